"""The queries in the dashboards' JSON, as Grafana would send them."""

import json
from collections.abc import Iterator
from typing import Any

from tests.deploy.manifests import DEPLOY

JSON = DEPLOY / "grafana" / "dashboards"
BOARDS = sorted(file.stem for file in JSON.glob("*.json"))


def board(name: str) -> dict[str, Any]:
    return dict(json.loads((JSON / f"{name}.json").read_text()))


def panels(name: str) -> list[dict[str, Any]]:
    """All panels of a dashboard that have queries."""
    return [panel for panel in board(name)["panels"] if panel.get("targets")]


def promql(lecture: str) -> Iterator[tuple[str, str]]:
    """Every PromQL expression of every dashboard and its place, with Grafana's variables replaced."""
    values = {"$__rate_interval": "8s", "$lecture": lecture}
    for name in BOARDS:
        for panel in panels(name):
            for target in panel["targets"]:
                if "expr" in target:
                    expr = target["expr"]
                    for variable, value in values.items():
                        expr = expr.replace(variable, value)
                    yield f"{name}: {panel['title']} {target['refId']}", expr


def streams(lecture: str, participant: str) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Every panel that reads Redis, and its query with the variables replaced."""
    for name in BOARDS:
        for panel in panels(name):
            for target in panel["targets"]:
                if "keyName" in target:
                    yield panel, {**target, "keyName": filled_in(target["keyName"], lecture, participant)}


def filled_in(text: str, lecture: str, participant: str) -> str:
    return text.replace("${lecture}", lecture).replace("${participant}", participant)
