"""The parsed files of deploy/, and the objects that Helm makes of the chart."""

import json
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
CHART = DEPLOY / "helm"

Objects = list[dict[str, Any]]


def compose() -> dict[str, Any]:
    return dict(yaml.safe_load((DEPLOY / "compose.yaml").read_text()))


def helm(*words: str, values: dict[str, Any] | None = None) -> subprocess.CompletedProcess[str]:
    """Helm, run with these words and values; skips the test if it cannot be found."""
    fetched = ROOT / ".tools" / "helm" / "helm"
    program = str(fetched) if fetched.exists() else shutil.which("helm")
    if program is None:
        pytest.skip("Helm is not installed (`make services` fetches it)")
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        json.dump(values or {}, file)
        file.flush()
        command = [program, *words, "--values", file.name]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def rendered(values: dict[str, Any] | None = None) -> Objects:
    """The objects of a release `lp` in the namespace `teaching`."""
    return list(_rendered(json.dumps(values or {}, sort_keys=True)))


@cache
def _rendered(values: str) -> Objects:
    done = helm("template", "lp", str(CHART), "--namespace", "teaching", values=json.loads(values))
    assert done.returncode == 0, done.stderr
    return [each for each in yaml.safe_load_all(done.stdout) if each is not None]


def of_kind(kind: str, objects: Objects) -> Objects:
    return [each for each in objects if each["kind"] == kind]


def named(kind: str, name: str, objects: Objects) -> dict[str, Any]:
    (found,) = [each for each in of_kind(kind, objects) if each["metadata"]["name"] == name]
    return found


def pod_templates(objects: Objects) -> dict[str, dict[str, Any]]:
    """Kind and name of each object that has pods -> their template."""
    found = {}
    for each in objects:
        spec = each.get("spec", {})
        spec = spec["jobTemplate"]["spec"] if each["kind"] == "CronJob" else spec
        if "template" in spec:
            found[f"{each['kind']}/{each['metadata']['name']}"] = spec["template"]
    return found
