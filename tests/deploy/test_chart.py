"""The Helm chart: rendered with several sets of values, it is valid, hardened, and consistent with the code.

No cluster runs it here, so these tests do not show that one accepts it.
"""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.deploy.manifests import CHART, DEPLOY, Objects, compose, helm, named, of_kind, pod_templates, rendered
from worker.contract.jobs import QUEUE
from worker.running.process import DRAIN_S

LECTURES: list[dict[str, Any]] = [
    {"id": "Monday_9", "source": "https://streams.example.org/hall-3.m3u8", "options": ["--fps", "1"]},
    {"id": "m10", "sourceFrom": {"name": "hall", "key": "url"}, "schedule": "0 10 * * 1", "timeZone": "Europe/Berlin"},
    {"id": "pushed", "source": "rtmp://0.0.0.0:1935/live/KEY?listen=1", "listen": 1935},
]
ALL_ON: dict[str, Any] = {
    "image": "registry.example.org/lecturepulse@sha256:00ff",
    "imagePullSecrets": ["registry"],
    "redis": {"url": "rediss://teach:s%2Fe%40c@redis.example.org:7777/3"},
    "worker": {"processes": 4, "options": ["--ensemble", "full"], "max": 50},
    "lectures": LECTURES,
    "producer": {"recordings": "recordings"},
    "serve": {"ingress": {"enabled": True, "host": "lp.example.org", "tlsSecret": "tls", "className": "nginx"}},
    "monitoring": {"labels": {"release": "prometheus"}},
    "tolerations": [{"key": "lectures", "operator": "Exists"}],
}
ALL_OFF: dict[str, Any] = {
    "worker": {"keda": False, "min": 3},
    "serve": {"enabled": False},
    "monitoring": {"enabled": False},
    "networkPolicy": {"enabled": False},
    "redis": {"storageClass": "fast", "secrets": "teaching"},
    "nodeSelector": {"kubernetes.io/arch": None},
    "lectures": LECTURES[:1],
}
OWN_SECRETS: dict[str, Any] = {"redis": {"url": "redis://redis.example.org", "secrets": "vault"}, "lectures": LECTURES}
VALUES = {"defaults": {}, "all on": ALL_ON, "all off": ALL_OFF, "own secrets": OWN_SECRETS}
CUSTOM = ("keda.sh/v1alpha1", "monitoring.coreos.com/v1")
"""Versions of objects that Kubernetes itself does not know."""


@pytest.fixture(params=VALUES)
def objects(request: pytest.FixtureRequest) -> Objects:
    return rendered(VALUES[request.param])


@pytest.mark.parametrize("name", VALUES)
def test_helm_finds_nothing_wrong(name: str) -> None:
    done = helm("lint", "--strict", str(CHART), values=VALUES[name])
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_it_makes_is_valid_by_kubernetes_own_schemas(objects: Objects) -> None:
    validator = pytest.importorskip("kubernetes_validate", reason="kubernetes-validate, of `dev`, is not installed")
    for each in objects:
        if each["apiVersion"] not in CUSTOM:
            validator.validate(each, validator.latest_version(), strict=True)
    names = [(each["kind"], each["metadata"]["name"]) for each in objects]
    assert len(set(names)) == len(names)


def test_selectors_find_pods_of_this_release(objects: Objects) -> None:
    pods = [template["metadata"]["labels"] for template in pod_templates(objects).values()]
    for place, selector in _selectors(objects):
        if "kubernetes.io/metadata.name" not in selector.get("matchLabels", {}):
            assert selector["matchLabels"]["app.kubernetes.io/instance"] == "lp", place
            assert any(_selects(selector, labels) for labels in pods) or place.endswith("-sources"), place


def test_pods_run_unprivileged_on_a_read_only_file_system(objects: Objects) -> None:
    for name, template in pod_templates(objects).items():
        pod = template["spec"]
        assert pod["securityContext"]["runAsNonRoot"], name
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert pod["automountServiceAccountToken"] is False, name
        for container in pod["containers"]:
            context = container["securityContext"]
            assert context["readOnlyRootFilesystem"], name
            assert not context["allowPrivilegeEscalation"], name
            assert context["capabilities"] == {"drop": ["ALL"]}, name
            assert container["resources"]["requests"].keys() == {"cpu", "memory"}, name
            assert "memory" in container["resources"]["limits"], name


def test_one_value_names_the_image_of_all_programs() -> None:
    images = {name: _container(template)["image"] for name, template in pod_templates(rendered(ALL_ON)).items()}
    assert len(images) == 5
    assert set(images.values()) == {ALL_ON["image"]}
    worker = _container(pod_templates(rendered())["Deployment/lp-worker"])
    assert worker["image"] == compose()["services"]["worker"]["image"]


def test_the_chart_s_redis_is_that_of_compose() -> None:
    in_compose, in_cluster = (
        compose()["services"]["redis"],
        _container(pod_templates(rendered())["StatefulSet/lp-redis"]),
    )
    assert in_compose["command"] == in_cluster["args"]
    assert in_compose["image"] == in_cluster["image"]


def test_your_own_redis_is_used_by_all_and_its_url_stays_in_a_secret() -> None:
    made = rendered(ALL_ON)
    assert of_kind("StatefulSet", made) == []
    assert named("Secret", "lp-worker", made)["stringData"] == {"REDIS_URL": ALL_ON["redis"]["url"]}
    assert named("Secret", "lp-scaler", made)["stringData"] == {"username": "teach", "password": "s/e@c"}
    trigger = named("ScaledObject", "lp-worker", made)["spec"]["triggers"][0]["metadata"]
    assert trigger["address"] == "redis.example.org:7777"
    assert (trigger["enableTLS"], trigger["databaseIndex"]) == ("true", "3")
    assert "s%2Fe" not in json.dumps([each for each in made if each["kind"] != "Secret"])


@pytest.mark.parametrize(
    ("url", "address", "database"),
    [
        ("redis://h", "h:6379", "0"),
        ("redis://:p@[2001:db8::1]", "[2001:db8::1]:6379", "0"),
        ("redis://h:1/?db=5&client_name=a", "h:1", "5"),
    ],
)
def test_keda_gets_address_and_database_of_the_url(url: str, address: str, database: str) -> None:
    (scaled,) = of_kind("ScaledObject", rendered({"redis": {"url": url}}))
    metadata = scaled["spec"]["triggers"][0]["metadata"]
    assert (metadata["address"], metadata["databaseIndex"], metadata["enableTLS"]) == (address, database, "false")


def test_pods_use_the_secrets_that_the_readme_creates() -> None:
    made = json.dumps(rendered({"lectures": LECTURES}))
    readme = (DEPLOY / "README.md").read_text()
    assert set(re.findall(r'"lecturepulse-(users|worker|producer|scaler|redis)"', made)) == {
        "users", "worker", "producer", "scaler",
    }  # fmt: skip
    assert "secret generic lecturepulse-users --from-file=deploy/secrets/users.acl" in readme
    assert "for each in worker producer scaler" in readme
    theirs = rendered(OWN_SECRETS)
    assert of_kind("Secret", theirs) == []
    assert '"vault-worker"' in json.dumps(theirs)


def test_keda_counts_the_queue_of_the_workers_or_there_is_a_fixed_number() -> None:
    made = rendered()
    (scaled,) = of_kind("ScaledObject", made)
    (trigger,) = scaled["spec"]["triggers"]
    assert trigger["metadata"]["listName"] == f"rq:queue:{QUEUE}"
    assert all(isinstance(value, str) for value in trigger["metadata"].values())
    worker = named("Deployment", scaled["spec"]["scaleTargetRef"]["name"], made)
    assert "replicas" not in worker["spec"]
    (authentication,) = of_kind("TriggerAuthentication", made)
    assert trigger["authenticationRef"]["name"] == authentication["metadata"]["name"]
    assert named("Deployment", "lp-worker", rendered(ALL_OFF))["spec"]["replicas"] == 3


def test_a_worker_gets_the_time_to_finish_its_chunk() -> None:
    assert pod_templates(rendered())["Deployment/lp-worker"]["spec"]["terminationGracePeriodSeconds"] > DRAIN_S


def test_a_lecture_is_a_job_and_with_a_schedule_a_cron_job_whose_lectures_have_ids_of_their_own() -> None:
    made = rendered(ALL_ON)
    jobs = of_kind("Job", made)
    assert sorted(re.sub("-[0-9a-f]{8}$", "", job["metadata"]["name"]) for job in jobs) == ["lp-monday-9", "lp-pushed"]
    first = _container(next(job for job in jobs if "monday" in job["metadata"]["name"])["spec"]["template"])
    assert first["args"] == ["--lecture", "Monday_9", "--fps", "1", LECTURES[0]["source"]]
    (cron,) = of_kind("CronJob", made)
    weekly = _container(cron["spec"]["jobTemplate"]["spec"]["template"])
    assert weekly["args"] == ["--lecture", "$(JOB)", "--course", "m10", "$(SOURCE)"]
    variables = {each["name"]: each["valueFrom"] for each in weekly["env"]}
    assert variables["JOB"]["fieldRef"]["fieldPath"] == "metadata.labels['batch.kubernetes.io/job-name']"
    assert variables["SOURCE"]["secretKeyRef"] == LECTURES[1]["sourceFrom"]
    (service,) = [each for each in of_kind("Service", made) if each["spec"].get("type") == "LoadBalancer"]
    assert service["spec"]["selector"]["lecturepulse/lecture"] == "pushed"


def test_a_changed_lecture_gets_another_job_and_an_upgrade_keeps_the_one_that_runs() -> None:
    (before,) = of_kind("Job", rendered(ALL_OFF))
    (after,) = of_kind("Job", rendered({**ALL_OFF, "image": "lecturepulse:0.2.0"}))
    assert before["metadata"]["name"] != after["metadata"]["name"]
    assert before["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}


def test_prometheus_gets_the_alerts_and_grafana_the_dashboards_with_its_own_data_sources() -> None:
    made = rendered(ALL_ON)
    (rule,) = of_kind("PrometheusRule", made)
    assert rule["spec"] == yaml.safe_load((DEPLOY / "prometheus" / "rules.yml").read_text())
    (monitor,) = of_kind("PodMonitor", made)
    assert monitor["metadata"]["labels"]["release"] == "prometheus"
    ports = {port["name"] for each in pod_templates(made).values() for port in _container(each)["ports"]}
    assert {endpoint["port"] for endpoint in monitor["spec"]["podMetricsEndpoints"]} <= ports
    boards = named("ConfigMap", "lp-dashboards", made)["data"]
    assert len(boards) == len(list((DEPLOY / "grafana" / "dashboards").glob("*.json"))) == 3
    for text in boards.values():
        assert json.loads(text)["panels"]
        assert "lecturepulse-prometheus" not in text
    unmonitored = pod_templates(rendered(ALL_OFF))["Deployment/lp-worker"]["metadata"]["annotations"]
    assert unmonitored == {"prometheus.io/scrape": "true", "prometheus.io/port": "9108"}


@pytest.mark.parametrize(
    ("values", "named_in_error"),
    [
        ({"image": ""}, "image"),
        ({"worker": {"procesess": 3}}, "procesess"),
        ({"redis": {"url": "http://redis"}}, "redis.url"),
        ({"serve": {"ingress": {"enabled": True}}}, "serve.ingress.host"),
        ({"lectures": [{"id": "a b", "source": "x"}]}, "lectures.0.id"),
        ({"lectures": [{"id": "nine"}]}, "nine needs either source or sourceFrom"),
        ({"lectures": [{"id": "A_b", "source": "x"}, {"id": "a-b", "source": "y"}]}, "two lectures have the id a-b"),
    ],
)
def test_a_wrong_value_is_named(values: dict[str, Any], named_in_error: str) -> None:
    done = helm("template", str(CHART), values=values)
    assert done.returncode != 0
    assert named_in_error in done.stderr


def test_commands_and_options_of_chart_compose_and_image_exist() -> None:
    (image,) = [line for line in (DEPLOY / "Dockerfile").read_text().splitlines() if line.startswith("CMD ")]
    services, pods = compose()["services"], pod_templates(rendered(ALL_ON))
    commands = [yaml.safe_load(image.removeprefix("CMD ")), services["worker"]["command"], services["serve"]["command"]]
    commands += [(each := _container(pod))["command"] + each.get("args", []) for pod in pods.values()]
    options: dict[tuple[str, str], set[str]] = {}
    for program, command, *given in commands:
        options.setdefault((program, command), set()).update(word for word in given if word.startswith("--"))
    assert set(options) == {("worker", "run"), ("producer", "ingest"), ("producer", "serve")}
    for words, given in options.items():
        asked = subprocess.run([sys.executable, "-m", *words, "--help"], capture_output=True, text=True, check=True)
        unknown = [option for option in given if f"{option} " not in asked.stdout]
        assert unknown == [], words


def _container(template: dict[str, Any]) -> dict[str, Any]:
    (container,) = template["spec"]["containers"]
    return dict(container)


def _selectors(objects: Objects) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every selector of pods, and the object that has it."""

    def inside(node: Any) -> Iterator[dict[str, Any]]:
        for value in node if isinstance(node, list) else node.values() if isinstance(node, dict) else ():
            yield from inside(value)
        if isinstance(node, dict):
            yield from (node[key] for key in ("selector", "podSelector", "labelSelector") if key in node)

    for each in objects:
        for selector in inside(each["spec"] if each["kind"] != "PrometheusRule" and "spec" in each else {}):
            found = {"matchLabels": selector} if each["kind"] == "Service" else selector
            yield f"{each['kind']}/{each['metadata']['name']}", found


def _selects(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    return selector["matchLabels"].items() <= labels.items() and all(
        labels.get(each["key"]) in each["values"] for each in selector.get("matchExpressions", [])
    )
