"""The Helm chart: rendered with several sets of values, it is valid, hardened, and consistent with the code.

No cluster runs it here, so these tests do not show that one accepts it.
"""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.deploy.manifests import CHART, Objects, helm, pod_templates, rendered
from tests.deploy.releases import VALUES

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


@pytest.mark.parametrize(
    ("values", "named_in_error"),
    [
        ({"image": ""}, "image"),
        ({"worker": {"procesess": 3}}, "procesess"),
        ({"redis": {"url": "http://redis"}}, "redis.url"),
        ({"cells": [{"name": "a", "url": "http://redis"}]}, "cells.0.url"),
        ({"cells": [{"name": "A b", "url": "redis://h"}]}, "cells.0.name"),
        (
            {"cells": [{"name": "a", "url": "redis://h"}, {"name": "a", "url": "redis://g"}]},
            "two cells have the name a",
        ),
        ({"redis": {"url": "redis://h"}, "cells": [{"name": "a", "url": "redis://g"}]}, "redis.url and cells are both"),
        ({"serve": {"ingress": {"enabled": True}}}, "serve.ingress.host"),
        ({"archive": {"store": "/folder"}}, "archive.store"),
        ({"archive": {"store": "s3://b", "claim": "c"}}, "archive.store and archive.claim are both given"),
        ({"lectures": [{"id": "a b", "source": "x"}]}, "lectures.0.id"),
        ({"serve": {"ingress": {"enabled": True, "host": "https://lp.example.org"}}}, "serve.ingress.host"),
        ({"worker": {"min": 5, "max": 2}}, "worker.min is 5, more than worker.max, 2"),
        ({"worker": {"resources": {"limits": {"memory": "2 GB"}}}}, "worker.resources.limits.memory"),
        ({"nodeSelector": {"gpu": True}}, "nodeSelector.gpu"),
        ({"lectures": [{"id": "nine"}]}, "nine needs either source or sourceFrom"),
        ({"lectures": [{"id": "A_b", "source": "x"}, {"id": "a-b", "source": "y"}]}, "two lectures have the id a-b"),
    ],
)
def test_a_wrong_value_is_named(values: dict[str, Any], named_in_error: str) -> None:
    done = helm("template", str(CHART), values=values)
    assert done.returncode != 0
    assert named_in_error in done.stderr


@pytest.mark.parametrize("name", ["9am", "a.b", "a" * 41])
def test_a_release_name_of_which_no_service_or_stateful_set_can_be_made_is_refused(name: str) -> None:
    assert f"the release name {name} is not" in helm("template", name, str(CHART)).stderr


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
