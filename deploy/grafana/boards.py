"""All dashboards, and their JSON as it is committed."""

import json
from collections.abc import Callable
from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

from deploy.grafana import lecture, operations, participant

FOLDER = Path(__file__).parent / "dashboards"
"""The folder of the JSON files that Grafana reads."""

BOARDS: dict[str, Callable[[], Dashboard]] = {
    "operations": operations.board,
    "lecture": lecture.board,
    "participant": participant.board,
}
"""File name -> the function that makes the dashboard."""


def as_json(board: Dashboard) -> str:
    """The dashboard as Grafana's JSON model, indented, so that a changed panel changes few lines."""
    return json.dumps(board, cls=JSONEncoder, indent=2, sort_keys=True) + "\n"
