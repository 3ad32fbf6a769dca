"""The kinds of panels on the dashboards, for Prometheus queries."""

from collections.abc import Sequence
from typing import NamedTuple

from grafana_foundation_sdk.builders import common, dashboard, prometheus, stat, text, timeseries
from grafana_foundation_sdk.models import common as shared
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DataSourceRef,
    DynamicConfigValue,
    Threshold,
    ThresholdsMode,
    VariableRefresh,
    VariableSort,
)

from producer.presentation.palette import COLOURS
from worker.contract.messages import EMOTIONS

PROMETHEUS = DataSourceRef("prometheus", "lecturepulse-prometheus")
"""The uid in provisioning/datasources; a test checks that they agree."""

EMOTION_COLOURS = {emotion: COLOURS[emotion] for emotion in EMOTIONS}
"""In the contract's order."""

GREEN, AMBER, RED = "green", "orange", "red"

# Columns of Grafana's grid; a row has 24.
THIRD, QUARTER, SIXTH, HALF = 8, 6, 4, 12


class Line(NamedTuple):
    """A query, and the legend of its series; `{{label}}` in the legend stands for the value of a label."""

    expr: str
    legend: str


def board(title: str, uid: str, description: str) -> dashboard.Dashboard:
    """An empty dashboard of this project: the last half hour, refreshed every ten seconds."""
    return (
        dashboard.Dashboard(title)
        .uid(uid)
        .description(description)
        .tags(["lecturepulse"])
        .time("now-30m", "now")
        .refresh("10s")
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .readonly()
        .link(
            dashboard.DashboardLink("LecturePulse")
            .tags(["lecturepulse"])
            .as_dropdown(True)
            .keep_time(True)
            .include_vars(True)
        )
    )


def chart(
    title: str,
    description: str,
    *lines: Line,
    unit: str = "short",
    span: int = THIRD,
    stacked: bool = False,
    lowest: float = 0,
    highest: float | None = None,
) -> timeseries.Panel:
    """Series over time. `lowest` and `highest` bound the axis; without `highest`, Grafana chooses."""
    panel = (
        timeseries.Panel()
        .title(title)
        .description(description)
        .datasource(PROMETHEUS)
        .unit(unit)
        .span(span)
        .height(8)
        .fill_opacity(70 if stacked else 8)
        .line_width(1)
        .show_points(shared.VisibilityMode.NEVER)
        .legend(common.VizLegendOptions().show_legend(True).display_mode(shared.LegendDisplayMode.LIST))
        .tooltip(common.VizTooltipOptions().mode(shared.TooltipDisplayMode.MULTI))
    )
    if stacked:
        panel.stacking(common.StackingConfig().mode(shared.StackingMode.NORMAL))
    panel.min(lowest)
    if highest is not None:
        panel.max(highest)
    for query in _queries(lines):
        panel.with_target(query)
    return panel


def number(
    title: str,
    description: str,
    expr: str,
    unit: str = "short",
    steps: Sequence[tuple[float, str]] = (),
    span: int = SIXTH,
    below: str = GREEN,
) -> stat.Panel:
    """One current value. `steps` gives the colours from certain values on, `below` the colour under the first."""
    levels = [Threshold(None, below), *(Threshold(value, colour) for value, colour in steps)]
    return (
        stat.Panel()
        .title(title)
        .description(description)
        .datasource(PROMETHEUS)
        .unit(unit)
        .span(span)
        .height(4)
        .color_mode(shared.BigValueColorMode.VALUE)
        .graph_mode(shared.BigValueGraphMode.AREA)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        .thresholds(dashboard.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(levels))
        .with_target(prometheus.Dataquery().ref_id("A").expr(expr).range())
    )


def words(content: str) -> text.Panel:
    """A Markdown text, as wide as the dashboard."""
    return text.Panel().content(content).span(24).height(3).transparent(True)


def colour(value: str) -> list[DynamicConfigValue]:
    """The override that gives this colour to a series."""
    return [DynamicConfigValue("color", {"mode": "fixed", "fixedColor": value})]


def lecture_choice() -> dashboard.QueryVariable:
    """The variable `lecture`: the lectures that ran in the time range of the dashboard."""
    return (
        dashboard.QueryVariable("lecture")
        .label("Lecture")
        .datasource(PROMETHEUS)
        .query("label_values(lecturepulse_lecture_faces, lecture)")
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(VariableSort.ALPHABETICAL_ASC)
    )


def _queries(lines: Sequence[Line]) -> list[prometheus.Dataquery]:
    return [
        prometheus.Dataquery().ref_id(chr(ord("A") + number)).expr(line.expr).legend_format(line.legend).range()
        for number, line in enumerate(lines)
    ]
