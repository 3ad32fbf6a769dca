"""The parsed files of deploy/."""

from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
KUBERNETES = sorted((DEPLOY / "kubernetes").glob("*.yaml"))


def compose() -> dict[str, Any]:
    return _read(DEPLOY / "compose.yaml")[0]


def objects(kind: str | None = None) -> list[dict[str, Any]]:
    """All Kubernetes objects, or all of one kind."""
    found = [each for file in KUBERNETES for each in _read(file)]
    return [each for each in found if kind in (None, each["kind"])]


def workloads() -> list[dict[str, Any]]:
    """The objects that have pods."""
    return [each for each in objects() if "template" in each.get("spec", {})]


def pod_of(name: str) -> dict[str, Any]:
    """The pod specification of the workload `name`."""
    (found,) = [each for each in workloads() if each["metadata"]["name"] == name]
    return dict(found["spec"]["template"]["spec"])


def _read(file: Path) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(file.read_text()))
