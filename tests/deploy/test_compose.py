"""compose.yaml and the Dockerfile: valid by their schemas, hardened, and consistent with the code.

No container engine runs them here, so these tests do not show that one accepts them.
"""

import re
import subprocess
import sys

import pytest
import yaml

from producer.archive.archive import ARCHIVE_VARIABLE
from tests.deploy.manifests import DEPLOY, ROOT, compose
from worker.running.process import DRAIN_S

PROGRAMS = ("worker", "producer", "serve")


def test_compose_is_valid_by_the_schema_of_the_compose_specification() -> None:
    pytest.importorskip("check_jsonschema", reason="check-jsonschema, of the extra `dev`, is not installed")
    command = ["check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(DEPLOY / "compose.yaml")]
    done = subprocess.run([sys.executable, "-m", *command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_containers_of_compose_are_hardened_and_reachable_from_this_machine_only() -> None:
    for name, service in compose()["services"].items():
        assert service["read_only"], name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", [])), name
    assert compose()["networks"]["inside"] == {"internal": True}
    assert compose()["services"]["redis"]["networks"] == ["inside"]


def test_our_programs_run_the_same_image_on_the_platform_that_it_is_built_for() -> None:
    services = [compose()["services"][name] for name in PROGRAMS]
    assert len({service["image"] for service in services}) == 1
    assert {service["platform"] for service in services} == {"linux/amd64"}


def test_the_user_who_made_the_passwords_owns_recordings_and_reports() -> None:
    service = compose()["services"]["producer"]
    assert service["volumes"] == ["./lectures:/lectures", "./archive:/archive"]
    assert service["working_dir"] == "/lectures"
    assert service["user"] == "${LECTUREPULSE_USER:?run python3 passwords.py first}"


def test_the_page_and_producers_share_the_archive() -> None:
    producer, serve = (compose()["services"][name] for name in ("producer", "serve"))
    assert producer["environment"] == serve["environment"]
    assert producer["environment"][ARCHIVE_VARIABLE] == f"${{{ARCHIVE_VARIABLE}:-/archive}}"
    assert "./archive:/archive" in serve["volumes"]
    assert serve["group_add"] == ["${LECTUREPULSE_GROUP:?run python3 passwords.py first}"]


def test_a_worker_gets_the_time_to_finish_its_chunk() -> None:
    assert int(compose()["services"]["worker"]["stop_grace_period"].removesuffix("s")) > DRAIN_S


def test_no_file_contains_a_secret() -> None:
    for file in (DEPLOY / "compose.yaml", *(DEPLOY / "grafana" / "provisioning").rglob("*.yaml")):
        assert not re.search(r"(?i)password\w*: [\"']?[A-Za-z0-9]{8,}", file.read_text()), file
        assert not re.search(r"://[^/\s$]+:[^@\s$]+@", file.read_text()), file


def test_the_image_is_built_from_existing_files_and_runs_unprivileged() -> None:
    lines = (DEPLOY / "Dockerfile").read_text().splitlines()
    copied = [line.split()[1:-1] for line in lines if line.startswith("COPY ") and "--from" not in line]
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    for path in (path for paths in copied for path in paths):
        assert (ROOT / path).exists()
        assert f"!{path}" in ignored, f"{path} is copied, but .dockerignore keeps it out"
    assert "USER 10001:10001" in lines


def test_the_workflow_is_valid_and_runs_the_second_command_of_the_readme() -> None:
    file = ROOT / ".github" / "workflows" / "ci.yaml"
    pytest.importorskip("check_jsonschema", reason="check-jsonschema, of the extra `dev`, is not installed")
    command = ["check_jsonschema", "--builtin-schema", "vendor.github-workflows", str(file)]
    done = subprocess.run([sys.executable, "-m", *command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    jobs = yaml.safe_load(file.read_text())["jobs"]
    steps = [step["run"] for job in jobs.values() for step in job["steps"] if "run" in step]
    assert "make test" in steps
    assert "empty/bin/python -I tests/installed.py" in steps
    assert any(step.startswith("docker build --file deploy/Dockerfile ") for step in steps)
