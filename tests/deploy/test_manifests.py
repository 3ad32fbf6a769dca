"""compose.yaml and the Kubernetes manifests: valid by their schemas, hardened, and consistent with the code.

No container engine runs them here, so these tests do not show that one accepts them.
"""

import json
import re
import shutil
import subprocess
import sys
from typing import Any

import pytest
import yaml

from tests.deploy.manifests import DEPLOY, KUBERNETES, ROOT, compose, objects, pod_of, workloads
from worker.contract.jobs import QUEUE
from worker.running.process import DRAIN_S

KEDAS = ("ScaledObject", "TriggerAuthentication")


def test_compose_is_valid_by_the_schema_of_the_compose_specification() -> None:
    pytest.importorskip("check_jsonschema", reason="check-jsonschema, of the extra `dev`, is not installed")
    command = ["check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(DEPLOY / "compose.yaml")]
    done = subprocess.run([sys.executable, "-m", *command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_manifests_are_valid_by_kubernetes_own_schemas() -> None:
    validator = pytest.importorskip("kubernetes_validate", reason="kubernetes-validate, of `dev`, is not installed")
    checked = [each for each in objects() if each["kind"] not in (*KEDAS, "Kustomization")]
    for each in checked:
        validator.validate(each, validator.latest_version(), strict=True)
    assert len(checked) >= 11


def test_the_kustomization_names_every_file_and_selectors_find_existing_pods() -> None:
    (kustomization,) = objects("Kustomization")
    named = {file.name for file in KUBERNETES} - {"kustomization.yaml", "producer-job.yaml"}
    assert named == set(kustomization["resources"])
    components = {each["spec"]["template"]["metadata"]["labels"]["app.kubernetes.io/component"] for each in workloads()}
    assert _components_asked_for(objects()) == components


def test_kustomize_builds_them() -> None:
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not installed")
    command = ["kubectl", "kustomize", str(DEPLOY / "kubernetes")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    built = list(yaml.safe_load_all(done.stdout))
    assert all(each["metadata"].get("namespace", "lecturepulse") == "lecturepulse" for each in built)
    (worker,) = [each for each in built if each["kind"] == "Deployment"]
    labels = worker["spec"]["template"]["metadata"]["labels"]
    assert worker["spec"]["selector"]["matchLabels"].items() <= labels.items()
    assert worker["spec"]["template"]["spec"]["containers"][0]["image"] == "lecturepulse:0.1.0"


@pytest.mark.parametrize("name", ["redis", "worker", "lecture-monday-9"])
def test_pods_run_unprivileged_on_a_read_only_file_system(name: str) -> None:
    pod = pod_of(name)
    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    for container in pod["containers"]:
        context = container["securityContext"]
        assert context["readOnlyRootFilesystem"]
        assert not context["allowPrivilegeEscalation"]
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert container["resources"]["requests"].keys() == {"cpu", "memory"}
        assert "memory" in container["resources"]["limits"]


def test_containers_of_compose_are_hardened_and_reachable_from_this_machine_only() -> None:
    for name, service in compose()["services"].items():
        assert service["read_only"], name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", [])), name
    assert compose()["networks"]["inside"] == {"internal": True}
    assert compose()["services"]["redis"]["networks"] == ["inside"]


def test_a_worker_gets_the_time_to_finish_its_chunk() -> None:
    assert pod_of("worker")["terminationGracePeriodSeconds"] > DRAIN_S
    assert int(compose()["services"]["worker"]["stop_grace_period"].removesuffix("s")) > DRAIN_S


def test_keda_counts_the_queue_of_the_workers() -> None:
    (scaled,) = objects("ScaledObject")
    (trigger,) = scaled["spec"]["triggers"]
    assert trigger["metadata"]["listName"] == f"rq:queue:{QUEUE}"
    assert all(isinstance(value, str) for value in trigger["metadata"].values())
    assert scaled["spec"]["scaleTargetRef"]["name"] in {each["metadata"]["name"] for each in objects("Deployment")}
    (authentication,) = objects("TriggerAuthentication")
    assert trigger["authenticationRef"]["name"] == authentication["metadata"]["name"]


def test_pods_use_the_secrets_that_the_readme_creates() -> None:
    asked = set(re.findall(r"lecturepulse-(\w+)", json.dumps([objects("TriggerAuthentication"), *workloads()])))
    made = (DEPLOY / "README.md").read_text()
    assert asked == {"users", "worker", "producer", "scaler"}
    assert "secret generic lecturepulse-users --from-file=deploy/secrets/users.acl" in made
    assert "for each in worker producer scaler" in made


def test_no_file_contains_a_secret() -> None:
    for file in (DEPLOY / "compose.yaml", *KUBERNETES, *(DEPLOY / "grafana" / "provisioning").rglob("*.yaml")):
        assert not re.search(r"(?i)password\w*: [\"']?[A-Za-z0-9]{8,}", file.read_text()), file
        assert not re.search(r"://[^/\s$]+:[^@\s$]+@", file.read_text()), file


def test_compose_and_kubernetes_run_the_same_redis_and_the_same_image() -> None:
    in_compose, in_cluster = compose()["services"]["redis"], pod_of("redis")["containers"][0]
    assert in_compose["command"] == in_cluster["args"]
    assert in_compose["image"] == in_cluster["image"]
    (kustomization,) = objects("Kustomization")
    (image,) = kustomization["images"]
    tag = f"{image['newName']}:{image['newTag']}"
    assert {compose()["services"][each]["image"] for each in ("worker", "producer")} == {tag}
    assert pod_of("lecture-monday-9")["containers"][0]["image"] == tag


def test_their_commands_and_options_exist() -> None:
    options: dict[tuple[str, str], set[str]] = {}
    for program, command, *given in (
        compose()["services"]["worker"]["command"],
        pod_of("worker")["containers"][0]["command"],
        pod_of("lecture-monday-9")["containers"][0]["command"],
        _image_command(),
    ):
        options.setdefault((program, command), set()).update(word for word in given if word.startswith("--"))
    assert set(options) == {("worker", "run"), ("producer", "ingest")}
    for words, given in options.items():
        asked = subprocess.run([sys.executable, "-m", *words, "--help"], capture_output=True, text=True, check=True)
        unknown = [option for option in given if f"{option} " not in asked.stdout]
        assert unknown == [], words


def test_the_image_is_built_from_existing_files_and_runs_unprivileged() -> None:
    lines = (DEPLOY / "Dockerfile").read_text().splitlines()
    copied = [line.split()[1:-1] for line in lines if line.startswith("COPY ") and "--from" not in line]
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    for path in (path for paths in copied for path in paths):
        assert (ROOT / path).exists()
        assert f"!{path}" in ignored, f"{path} is copied, but .dockerignore keeps it out"
    assert "USER 10001:10001" in lines
    assert pod_of("worker")["securityContext"]["runAsUser"] == 10001


def _image_command() -> list[str]:
    (line,) = [line for line in (DEPLOY / "Dockerfile").read_text().splitlines() if line.startswith("CMD ")]
    return list(yaml.safe_load(line.removeprefix("CMD ")))


def _components_asked_for(node: Any) -> set[str]:
    """All values of the label component in selectors."""
    label, found = "app.kubernetes.io/component", set[str]()
    if isinstance(node, list):
        return found.union(*map(_components_asked_for, node))
    if isinstance(node, dict):
        if node.get("key") == label:
            found.update(node["values"])
        if label in node:
            found.add(node[label])
        return found.union(*map(_components_asked_for, node.values()))
    return found
