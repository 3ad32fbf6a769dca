"""The units for a host without containers, checked by systemd-analyze. systemd itself does not run here."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.deploy.manifests import DEPLOY
from tests.processes import called
from worker.running.process import DRAIN_S

UNITS = sorted((DEPLOY / "systemd").glob("*.service"))

EXPOSURE = 20
"""Tenths: `systemd-analyze security` calls a service below 2.0 OK, and one without any of these settings 9.6 UNSAFE."""


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_systemd_accepts_the_unit_and_finds_little_exposed(unit: Path, tmp_path: Path) -> None:
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("systemd-analyze is not installed")
    copy = tmp_path / unit.name
    copy.write_text(unit.read_text().replace("/opt/lecturepulse/bin/", "/bin/true "))
    for words in (["verify", "--man=no"], ["security", "--offline=yes", f"--threshold={EXPOSURE}"]):
        done = subprocess.run([program, *words, str(copy)], capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr
        assert unit.name not in done.stderr


def test_a_worker_gets_the_time_to_finish_its_chunk() -> None:
    (line,) = [line for line in UNITS[-1].read_text().splitlines() if line.startswith("TimeoutStopSec=")]
    assert int(line.split("=")[1]) > DRAIN_S


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_a_service_whose_redis_is_away_at_its_start_is_started_again(unit: Path) -> None:
    settings = dict(re.findall(r"^(\w+)=(.*)$", unit.read_text(), re.MULTILINE))
    program, *words = settings["ExecStart"].split()
    code, _, said = called(*words, "--redis", "redis://127.0.0.1:1", program=Path(program).name)
    assert "cannot reach Redis" in said
    assert str(code) not in settings.get("RestartPreventExitStatus", "").split()
    assert (settings["Restart"], settings["StartLimitIntervalSec"]) == ("on-failure", "0")
