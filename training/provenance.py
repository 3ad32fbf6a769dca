"""Provenance of a measurement: the commit, the machine and the versions it was made with."""

import platform
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from worker.contract.cores import usable_cores

PACKAGES = ("ai-edge-litert", "tflite-runtime", "numpy", "opencv-contrib-python")
"""The packages that decide the predictions of a quantized network."""

INSTRUCTIONS = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "amx_int8", "asimd", "asimddp", "i8mm")
"""Instruction sets as /proc/cpuinfo names them, of Intel, AMD and ARM. Int8 networks are faster from VNNI on."""


def provenance(manifest: str | None = None, packages: Sequence[str] = PACKAGES) -> dict[str, Any]:
    """The provenance of a measurement made now, ready for JSON; `manifest` is the digest of the measured models.

    `packages` are those whose versions matter; one that is not installed is left out. `commit` is None if this code is
    not in a repository. `dirty` says whether the code differs from the commit; None if that is unknown.
    """
    commit, dirty = commit_of(Path(__file__).parent)
    flags = (_cpuinfo("flags") or _cpuinfo("Features")).split()
    return {
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "commit": commit,
        "dirty": dirty,
        "host": platform.node(),
        "cpu": _cpuinfo("model name") or platform.processor() or platform.machine(),
        "instructions": [name for name in INSTRUCTIONS if name in flags],
        "cores": usable_cores(),
        "versions": {"python": platform.python_version(), **_versions(packages)},
        **({} if manifest is None else {"manifest": manifest}),
    }


def commit_of(folder: Path) -> tuple[str | None, bool | None]:
    """The commit of the package in `folder`, and whether its repository has changes; None for unknown."""
    # An installed package may lie inside another project's repository.
    if _git(folder, "ls-files", "--error-unmatch", "__init__.py") is None:
        return None, None
    changes = _git(folder, "status", "--porcelain")
    return _git(folder, "rev-parse", "HEAD"), None if changes is None else bool(changes)


def short_path(path: str) -> str:
    """The last two parts of a path: enough to recognize it, without the home folder."""
    return "/".join(Path(path).parts[-2:])


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        run = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return run.stdout.strip()


def _cpuinfo(field: str) -> str:
    """A field of the first processor in /proc/cpuinfo; "" if there is none."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(field)), "")


def _versions(packages: Sequence[str]) -> dict[str, str]:
    found = {}
    for package in packages:
        with suppress(PackageNotFoundError):
            found[package] = version(package)
    return found
