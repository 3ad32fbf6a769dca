"""Participant: the displayed expression of one participant, read from the participant's stream in Redis.

Prometheus has no series of participants, because their number has no bound. Grafana's Redis data source
(redis-datasource 2.x) reads the stream itself: the entries in the time range of the dashboard. Grafana extracts the
fields of each event. The data source logs in as the user `subscriber` of deploy/redis/users.acl, which can only read
events.
"""

from grafana_foundation_sdk.builders import common, dashboard, stat, table, timeseries, trend
from grafana_foundation_sdk.models import common as shared
from grafana_foundation_sdk.models.dashboard import (
    Dashboard,
    DataSourceRef,
    DataTransformerConfig,
    VariableRefresh,
    VariableSort,
)

from deploy.grafana import panels
from deploy.grafana.lecture import CAUTION
from deploy.grafana.panels import EMOTION_COLOURS, HALF, QUARTER, colour, lecture_choice, words

REDIS = DataSourceRef("redis-datasource", "lecturepulse-redis")

# The most events in one panel. A lecture of two hours at 2 frames per second has 14,400.
MAX_EVENTS = 20_000

AFFECT = "A fixed linear map of the scores, -1 to 1."

EVENTS = "lecture:{${lecture}}:participant:${participant}"
"""The key of the stream; Grafana replaces the variables by their values."""


class StreamQuery:
    """A query of the Redis data source: the entries of a stream in the time range of the dashboard.

    The SDK has no queries of this plugin. This class is both the builder and the query that it builds.
    """

    def __init__(self, command: str, count: int) -> None:
        self._json = {
            "refId": "A",
            "datasource": REDIS.to_json(),
            "type": "command",
            "command": command,
            "keyName": EVENTS,
            "count": count,
        }

    def build(self) -> "StreamQuery":
        return self

    def to_json(self) -> dict[str, object]:
        return dict(self._json)


def board() -> Dashboard:
    """One participant of one lecture."""
    into = (
        panels.board(
            "LecturePulse: Participant", "lecturepulse-participant", "Displayed expression of one participant."
        )
        .with_variable(lecture_choice())
        .with_variable(
            dashboard.QueryVariable("participant")
            .label("Participant")
            .datasource(REDIS)
            .query("HKEYS lecture:{${lecture}}:participants")
            .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
            .sort(VariableSort.ALPHABETICAL_ASC)
        )
    )
    for panel in (words(CAUTION), *_now(), _scores(), _affect(), _sightings()):
        into.with_panel(panel)
    return into.build()


def _now() -> list[stat.Panel]:
    """Panels of the newest event."""
    return [
        _newest(
            "emotion", "Expression now", "The most likely one in the newest event; empty if the face cannot be read."
        ),
        _newest("valence", "Valence", f"{AFFECT} Of the newest event."),
        _newest("arousal", "Arousal", f"{AFFECT} Of the newest event."),
        _newest("t", "Time", "Media time of the newest event; for a live lecture, seconds since it began.", "s"),
    ]


def _newest(field: str, title: str, description: str, unit: str = "none") -> stat.Panel:
    return (
        stat.Panel()
        .title(title)
        .description(description)
        .datasource(REDIS)
        .unit(unit)
        .span(QUARTER)
        .height(4)
        .graph_mode(shared.BigValueGraphMode.NONE)
        .reduce_options(common.ReduceDataOptions().calcs(["first"]).fields(f"/^{field}$/"))
        .with_target(StreamQuery("xrevrange", 2))  # the newest one may be the end event
        .transformations(_sightings_with({field: field}))
    )


def _scores() -> trend.Panel:
    scores = {f"smoothed.{emotion}": emotion for emotion in EMOTION_COLOURS}
    panel = (
        trend.Panel()
        .title("Displayed expression")
        .description(
            "Smoothed probabilities over media time. A gap means that the participant was not in view, or that the "
            "face could not be read."
        )
        .datasource(REDIS)
        .span(24)
        .height(10)
        .unit("percentunit")
        .min(0)
        .max(1)
        .x_field("t")
        .line_width(1)
        .show_points(shared.VisibilityMode.NEVER)
        .legend(common.VizLegendOptions().show_legend(True).display_mode(shared.LegendDisplayMode.LIST))
        .tooltip(common.VizTooltipOptions().mode(shared.TooltipDisplayMode.MULTI))
        .with_target(StreamQuery("xrange", MAX_EVENTS))
        .transformations([*_sightings_with({"t": "t", **scores}), _without_type()])
    )
    for emotion, value in EMOTION_COLOURS.items():
        panel.override_by_name(emotion, colour(value))
    return panel


def _affect() -> timeseries.Panel:
    return (
        timeseries.Panel()
        .title("Valence and arousal")
        .description(
            f"{AFFECT} Over the time at which events were committed. For a live lecture that is the wall-clock time."
        )
        .datasource(REDIS)
        .span(HALF)
        .height(9)
        .min(-1)
        .max(1)
        .line_width(1)
        .show_points(shared.VisibilityMode.NEVER)
        .legend(common.VizLegendOptions().show_legend(True).display_mode(shared.LegendDisplayMode.LIST))
        .with_target(StreamQuery("xrange", MAX_EVENTS))
        .transformations([*_sightings_with({"valence": "valence", "arousal": "arousal"}), _without_type()])
    )


def _sightings() -> table.Panel:
    columns = {
        "t": "t",
        "frame": "frame",
        "emotion": "emotion",
        "reason": "not readable",
        "models.mobilenetv2": "mobilenetv2",
        "models.resnet50v2": "resnet50v2",
        "models.inceptionv3": "inceptionv3",
        "detection": "detection",
    }
    return (
        table.Panel()
        .title("Newest events")
        .description(
            "The predictions of the ensemble and of each network, and the detection score of the face. A face that "
            "cannot be read has a reason instead of predictions."
        )
        .datasource(REDIS)
        .span(HALF)
        .height(9)
        .with_target(StreamQuery("xrevrange", 50))
        .transformations([*_sightings_with(columns), _without_type()])
    )


def _sightings_with(columns: dict[str, str]) -> list[DataTransformerConfig]:
    """Extract `columns` (path in the JSON of the field `event` -> name), `type` and the time, and nothing else.

    The end event, which has no scores, is left out.
    """
    paths = {"type": "type", **columns}
    extracted = {
        "source": "event",
        "format": "json",
        "jsonPaths": [{"path": path, "alias": alias} for path, alias in paths.items()],
        "replace": True,
        "keepTime": True,
    }
    sighting = {"fieldName": "type", "config": {"id": "equal", "options": {"value": "emotion"}}}
    return [
        DataTransformerConfig("extractFields", options=extracted),
        DataTransformerConfig("filterByValue", options={"filters": [sighting], "type": "include", "match": "all"}),
    ]


def _without_type() -> DataTransformerConfig:
    return DataTransformerConfig("organize", options={"excludeByName": {"type": True}})
