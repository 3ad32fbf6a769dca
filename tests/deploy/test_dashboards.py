"""The dashboards: the committed JSON equals what the code makes, and its parts fit together.

test_running_lecture runs their queries. Grafana itself is not tested, because it cannot be installed here.
"""

import pytest
import yaml

from producer.presentation.palette import COLOURS
from tests.deploy.manifests import DEPLOY
from tests.deploy.queries import BOARDS, JSON, board, panels
from worker.contract.messages import EMOTIONS


def test_the_committed_json_equals_what_the_code_makes() -> None:
    pytest.importorskip("grafana_foundation_sdk", reason="grafana-foundation-sdk needs Python 3.11")
    from deploy.grafana.boards import BOARDS as MADE
    from deploy.grafana.boards import as_json

    assert sorted(MADE) == BOARDS
    for name, make in MADE.items():
        assert (JSON / f"{name}.json").read_text() == as_json(make()), "run `python -m deploy.grafana`"


@pytest.mark.parametrize("name", BOARDS)
def test_panels_have_descriptions_do_not_overlap_and_use_a_provisioned_data_source(name: str) -> None:
    provisioned = yaml.safe_load((DEPLOY / "grafana/provisioning/datasources/lecturepulse.yaml").read_text())
    sources = {(each["type"], each["uid"]) for each in provisioned["datasources"]}
    taken: set[tuple[int, int]] = set()
    for panel in board(name)["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= cells
    for panel in panels(name):
        assert panel["description"]
        assert (panel["datasource"]["type"], panel["datasource"]["uid"]) in sources
    for variable in board(name)["templating"].get("list", []):
        assert (variable["datasource"]["type"], variable["datasource"]["uid"]) in sources


def test_emotions_have_the_colours_of_the_report() -> None:
    for name, title in (("lecture", "Displayed expression of the class"), ("participant", "Displayed expression")):
        (panel,) = [panel for panel in panels(name) if panel["title"] == title]
        overrides = panel["fieldConfig"]["overrides"]
        colours = {each["matcher"]["options"]: each["properties"][0]["value"]["fixedColor"] for each in overrides}
        assert tuple(colours) == EMOTIONS
        assert colours == COLOURS
