"""What the Helm chart makes of its values: image, Redis, workers, lectures, monitoring."""

import json
import re
import subprocess
import sys

import pytest
import yaml

from tests.deploy.manifests import CHART, DEPLOY, compose, helm, named, of_kind, pod_templates, rendered
from tests.deploy.releases import ALL_OFF, ALL_ON, CELLS, LECTURES, OWN_SECRETS, container
from worker.contract.jobs import QUEUE
from worker.running.process import DRAIN_S


def test_one_value_names_the_image_of_all_programs() -> None:
    images = {name: container(template)["image"] for name, template in pod_templates(rendered(ALL_ON)).items()}
    assert len(images) == 6
    assert set(images.values()) == {ALL_ON["image"]}
    worker = container(pod_templates(rendered())["Deployment/lp-worker"])
    assert worker["image"] == compose()["services"]["worker"]["image"]


def test_the_chart_s_redis_is_that_of_compose() -> None:
    in_compose, in_cluster = (
        compose()["services"]["redis"],
        container(pod_templates(rendered())["StatefulSet/lp-redis"]),
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


def test_secrets_of_yours_hold_the_page_s_token_the_webhook_and_the_authority_of_redis() -> None:
    made = rendered(ALL_ON)
    for name, template in pod_templates(made).items():
        secrets = [each["secretRef"]["name"] for each in container(template)["envFrom"]]
        page = ["page"] if "serve" in name else []
        assert secrets == (["lp-worker"] if "worker" in name else ["lp-producer", "archive-keys", "hook", *page]), name
        mounted = {each["name"]: each["mountPath"] for each in container(template)["volumeMounts"]}
        (volume,) = [each for each in template["spec"]["volumes"] if each["name"] == "redis-ca"]
        assert volume["secret"] == {"secretName": "our-ca", "items": [{"key": "ca.crt", "path": "redis-ca.crt"}]}
        assert f"{mounted['redis-ca']}/redis-ca.crt" in (CHART / "values.yaml").read_text()
    keda = named("TriggerAuthentication", "lp-scaler", made)["spec"]["secretTargetRef"]
    assert {"parameter": "ca", "name": "our-ca", "key": "ca.crt"} in keda
    for values, allowed in ((ALL_ON, ["Ingress", "Egress"]), ({}, ["Ingress"])):
        assert named("NetworkPolicy", "lp-serve", rendered(values))["spec"]["policyTypes"] == allowed
    in_cells = rendered({**CELLS, "producer": {"webhook": "hook"}})
    assert container(pod_templates(in_cells)["Deployment/lp-serve"])["envFrom"] == [{"secretRef": {"name": "hook"}}]


def test_pods_use_the_secrets_that_the_readme_creates() -> None:
    made = json.dumps(rendered({"lectures": LECTURES}))
    readme = (DEPLOY / "README.md").read_text()
    assert set(re.findall(r'"lecturepulse-(users|worker|producer|scaler|redis)"', made)) == {
        "users", "worker", "producer", "scaler",
    }  # fmt: skip
    assert "secret generic lecturepulse-users --from-file=deploy/secrets/users.acl" in readme
    assert "for each in worker producer scaler serve" in readme
    assert "--set serve.token=lecturepulse-serve" in readme
    theirs = rendered(OWN_SECRETS)
    assert of_kind("Secret", theirs) == []
    assert '"vault-worker"' in json.dumps(theirs)


def test_each_cell_has_its_own_workers_scaled_by_its_own_queue_and_producers_and_page_know_all_cells() -> None:
    made = rendered(CELLS)
    assert of_kind("StatefulSet", made) == []
    pods = pod_templates(made)
    for name, beginning, address in (
        ("a", "lp-a", "redis-a.example.org:6379"),
        ("b-2", "vault-b", "redis-b.example.org:7777"),
    ):
        workers = named("Deployment", f"lp-worker-{name}", made)
        assert workers["spec"]["selector"]["matchLabels"]["lecturepulse/cell"] == name
        source = container(pods[f"Deployment/lp-worker-{name}"])["envFrom"]
        assert source == [{"secretRef": {"name": f"{beginning}-worker"}}]
        (trigger,) = named("ScaledObject", f"lp-worker-{name}", made)["spec"]["triggers"]
        assert trigger["metadata"]["address"] == address
        scaler = named("TriggerAuthentication", trigger["authenticationRef"]["name"], made)
        assert {each["name"] for each in scaler["spec"]["secretTargetRef"]} == {f"{beginning}-scaler"}
    (monitor,) = of_kind("PodMonitor", made)
    assert monitor["spec"]["podTargetLabels"] == ["lecturepulse/cell"]
    for name, template in pods.items():
        if "-worker-" not in name:
            variables = {each["name"]: each for each in container(template)["env"]}
            assert variables["LECTUREPULSE_CELLS"]["value"] == "a=$(CELL_0) b-2=$(CELL_1)", name
            names = list(variables)
            assert names.index("CELL_1") < names.index("LECTUREPULSE_CELLS"), "Kubernetes replaces earlier ones only"
            secret = variables["CELL_1"]["valueFrom"]["secretKeyRef"]
            assert secret == {"name": "vault-b-producer", "key": "REDIS_URL"}
            assert "REDIS_URL" not in variables
            assert container(template)["envFrom"] == []
    assert {each["metadata"]["name"] for each in of_kind("Secret", made)} == {
        "lp-a-worker",
        "lp-a-producer",
        "lp-a-scaler",
    }
    assert "s%2Fe" not in json.dumps([each for each in made if each["kind"] != "Secret"])
    (egress,) = [each for each in named("NetworkPolicy", "lp-to-redis", made)["spec"]["egress"] if "to" not in each]
    assert egress["ports"] == [{"port": 6379}, {"port": 7777}]


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
    first = container(next(job for job in jobs if "monday" in job["metadata"]["name"])["spec"]["template"])
    assert first["args"] == ["--lecture", "Monday_9", "--fps", "1", LECTURES[0]["source"]]
    cron = named("CronJob", "lp-m10", made)
    weekly = container(cron["spec"]["jobTemplate"]["spec"]["template"])
    assert weekly["args"] == ["--lecture", "$(JOB)", "--course", "m10", "$(SOURCE)"]
    variables = {each["name"]: each.get("valueFrom") for each in weekly["env"]}
    assert variables["JOB"]["fieldRef"]["fieldPath"] == "metadata.labels['batch.kubernetes.io/job-name']"
    assert variables["SOURCE"]["secretKeyRef"] == LECTURES[1]["sourceFrom"]
    (service,) = [each for each in of_kind("Service", made) if each["spec"].get("type") == "LoadBalancer"]
    assert service["spec"]["selector"]["lecturepulse/lecture"] == "pushed"


def test_long_ids_that_begin_alike_are_lectures_of_their_own() -> None:
    lectures = [
        {"id": f"an-introduction-to-machine-learning-{day}", "source": "x", "schedule": "0 9 * * *"}
        for day in ("mon", "tue")
    ]
    made = helm("template", "lecturepulse-production", str(CHART), values={"lectures": lectures})
    names = [each["metadata"]["name"] for each in of_kind("CronJob", [*filter(None, yaml.safe_load_all(made.stdout))])]
    assert len(set(names)) == 2
    assert all(len(name) <= 52 for name in names)


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
    ports = {port["name"] for each in pod_templates(made).values() for port in container(each).get("ports", [])}
    assert {endpoint["port"] for endpoint in monitor["spec"]["podMetricsEndpoints"]} <= ports
    boards = named("ConfigMap", "lp-dashboards", made)["data"]
    assert len(boards) == len(list((DEPLOY / "grafana" / "dashboards").glob("*.json"))) == 3
    for text in boards.values():
        assert json.loads(text)["panels"]
        assert "lecturepulse-prometheus" not in text


def test_a_prometheus_without_the_operator_finds_the_pods_by_annotations() -> None:
    ports = {}
    for name, template in pod_templates(rendered(ALL_OFF)).items():
        annotations = template["metadata"].get("annotations", {})
        if annotations.get("prometheus.io/scrape") == "true":
            ports[name.split("/")[0]] = int(annotations["prometheus.io/port"])
            assert ports[name.split("/")[0]] in [port["containerPort"] for port in container(template)["ports"]]
    assert ports == {"Deployment": 9108, "Job": 9109}


def test_an_upgrade_replaces_only_pods_that_it_changes() -> None:
    before = pod_templates(rendered(ALL_ON))
    after = pod_templates(rendered({**ALL_ON, "redis": {**ALL_ON["redis"], "url": "rediss://other"}}))
    changed = {name for name in before if before[name] != after.get(name)}
    assert changed == {"Deployment/lp-worker", "Deployment/lp-serve"}
    assert "helm.sh/chart" not in json.dumps([*before.values(), *pod_templates(rendered()).values()])


def test_commands_and_options_of_chart_compose_and_image_exist() -> None:
    (image,) = [line for line in (DEPLOY / "Dockerfile").read_text().splitlines() if line.startswith("CMD ")]
    services, pods = compose()["services"], pod_templates(rendered(ALL_ON))
    commands = [yaml.safe_load(image.removeprefix("CMD ")), services["worker"]["command"], services["serve"]["command"]]
    commands += [(each := container(pod))["command"] + each.get("args", []) for pod in pods.values()]
    options: dict[tuple[str, str], set[str]] = {}
    for program, command, *given in commands:
        options.setdefault((program, command), set()).update(word for word in given if word.startswith("--"))
    assert set(options) == {("worker", "run"), ("producer", "ingest"), ("producer", "serve"), ("producer", "archive")}
    for words, given in options.items():
        asked = subprocess.run([sys.executable, "-m", *words, "--help"], capture_output=True, text=True, check=True)
        unknown = [option for option in given if f"{option} " not in asked.stdout]
        assert unknown == [], words


def test_the_archive_is_known_to_the_page_to_producers_and_to_the_job_that_catches_up() -> None:
    for values, place in ((ALL_ON, ALL_ON["archive"]["store"]), (CELLS, "/archive")):
        made = rendered(values)
        job = named("CronJob", "archive-lp", made)["spec"]
        assert job["schedule"] == "17 * * * *"
        templates = pod_templates(made)
        users = [name for name in templates if not name.endswith(("redis", "worker", "worker-a", "worker-b-2"))]
        assert len(users) == 5
        for name in users:
            program = container(templates[name])
            assert {"name": "LECTUREPULSE_ARCHIVE", "value": place} in program["env"], name
            mounted = {"name": "archive", "mountPath": "/archive"} in program["volumeMounts"]
            assert mounted == (values is CELLS), name
            keys = {"secretRef": {"name": "archive-keys"}} in program["envFrom"]
            assert keys == (values is ALL_ON), name
    assert container(templates["CronJob/archive-lp"])["command"][:2] == ["producer", "archive"]
    assert "ARCHIVE" not in json.dumps(rendered())
