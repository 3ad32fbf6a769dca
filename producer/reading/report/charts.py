"""The charts of the class as Vega-Lite specifications, the same for every lecture. After a change: `make charts`.

They name data sets but hold none. `chart_data` makes the data sets, and `charts.js` fills them in, in the browser.
Colours are variables of the style sheet, so the same chart serves light and dark pages and paper.
"""

from collections.abc import Mapping, Sequence
from typing import Any, cast

import altair as alt

from producer.presentation.palette import PRESENCE_TONES, STACK

PARAMETERS: dict[str, Any] = {"seconds": 1, "step": 1, "ticks": [], "affectLow": -0.25, "affectHigh": 0.25, "faces": 1}
"""The parameters of the charts and their defaults: the ends of the axes, and the marks of the time axis."""

# Pixels of the border between two areas. Narrow steps get narrower borders, which would hide them otherwise.
BORDER = alt.ExprRef("min(0.75, 0.25 * width * step / seconds)")

# Pixels of the labels beside every chart. All have the same, so that their time axes lie below each other.
LABELS_PX = 40


def specs() -> dict[str, dict[str, Any]]:
    """Vega-Lite specifications by name: `shares`, `affect`, `presence` and `faces`."""
    return {name: _spec(*chart()) for name, chart in CHARTS.items()}


def _spec(top: int, height: int, *layers: alt.Chart) -> dict[str, Any]:
    chart = alt.layer(*layers, _cursor(), _playing()).properties(width="container", height=height)
    chart = chart.properties(padding={"left": 0, "right": 14, "top": top, "bottom": 0})
    chart = chart.add_params(*(alt.param(name=name, value=value) for name, value in PARAMETERS.items()))
    return cast(dict[str, Any], chart.configure(**_CONFIG).to_dict())


def _shares() -> tuple[Any, ...]:
    areas = _stacked("class", [{"fill": f"var(--{emotion})"} for emotion in STACK], [0, 25, 50, 75, 100])
    unread = _of("unread").mark_line(stroke="var(--quiet)", strokeWidth=2, strokeDash=[2, 4], clip=True)
    dots = unread.encode(x=_time(), y=alt.datum(50, type="quantitative"), detail="run:N")
    rules = _of("moments").mark_rule(stroke="var(--ink)", strokeWidth=1.5, strokeDash=[3, 3]).encode(x=_time())
    spans = _of("moments").mark_rect(fill="var(--ink)", fillOpacity=0.12, clip=True).encode(x=_time(), x2="end:Q")
    return 26, 260, *areas, dots, spans, rules, *_numbers(0), *_numbers(1)


def _numbers(lift: int) -> tuple[Any, ...]:
    """The numbers of the moments above the chart, in the lower (0) or the upper (1) of two rows."""
    place = {"yOffset": -11 - 20 * lift, "clip": False}
    moments = _of("moments").transform_filter(alt.datum.lift == lift)
    flags = moments.mark_point(filled=True, fill="var(--ink)", size=260, opacity=1, shape="circle", **place)
    numbers = moments.mark_text(fill="var(--paper)", fontWeight="bold", fontSize=11, **place)
    return flags.encode(x=_time(), y=alt.value(0)), numbers.encode(x=_time(), y=alt.value(0), text="n:N")


def _affect() -> tuple[Any, ...]:
    layers = []
    scale = alt.Scale(domain=[alt.ExprRef("affectLow"), alt.ExprRef("affectHigh")], nice=False)
    axis = alt.Axis(format="+.2~f", labelExpr="datum.value == 0 ? '0' : datum.label", tickCount=5)
    for name, dash in (("arousal", [5, 3]), ("valence", [1, 0])):
        layers.append(
            _of("margins")
            .mark_area(interpolate="step-after", fill=f"var(--{name})", fillOpacity=0.2, clip=True)
            .encode(x=_time(), y=alt.Y(f"{name}_low:Q", scale=scale, axis=axis), y2=f"{name}_high:Q", detail="run:N")
        )
        layers.append(
            _of("class")
            .mark_line(interpolate="step-after", stroke=f"var(--{name})", strokeWidth=2, strokeDash=dash, clip=True)
            .encode(x=_time(), y=alt.Y(f"{name}:Q", scale=scale, axis=axis), detail="run:N")
        )
    zero = (
        alt.Chart(alt.InlineData(values=[{"y": 0}]))
        .mark_rule(stroke="var(--soft)")
        .encode(y=alt.Y("y:Q", scale=scale, axis=axis))
    )
    return 6, 200, zero, *layers


def _presence() -> tuple[Any, ...]:
    fills = [{"fill": "var(--quiet)", "fillOpacity": tone} for tone in PRESENCE_TONES]
    return 6, 90, *_stacked("presence", fills, [0, 50, 100])


def _stacked(data: str, fills: Sequence[Mapping[str, Any]], marks: Sequence[int]) -> list[Any]:
    """Areas from `y0` to `y1`, `y1` to `y2`..., each with its fill, on an axis of percent with these marks."""
    axis = alt.Axis(values=marks, labelExpr="datum.value + '%'")
    return [
        _of(data)
        .mark_area(interpolate="step-after", stroke="var(--paper)", strokeWidth=BORDER, clip=True, **fill)
        .encode(
            x=_time(),
            y=alt.Y(f"y{n}:Q", scale=alt.Scale(domain=[0, 100]), axis=axis),
            y2=f"y{n + 1}:Q",
            detail="run:N",
        )
        for n, fill in enumerate(fills)
    ]


def _faces() -> tuple[Any, ...]:
    scale = alt.Scale(domain=[0, alt.ExprRef("faces")], nice=False)
    axis = alt.Axis(tickCount=3, format="d", labelExpr="datum.value == floor(datum.value) ? datum.label : ''")
    areas = [
        _of("faces")
        .mark_area(interpolate="step-after", fill="var(--soft)", fillOpacity=opacity, clip=True)
        .encode(x=_time(), y=alt.Y(f"{column}:Q", scale=scale, axis=axis, stack=None), detail="run:N")
        for column, opacity in (("faces", 0.2), ("read", 0.4))  # all faces, and on top those that could be read
    ]
    return 6, 90, *areas


def _of(data: str) -> Any:  # altair's marks and encodings have no types
    return alt.Chart(alt.NamedData(name=data))


def _time() -> alt.X:
    label = "utcFormat(datum.value * 1000, '%-H:%M:%S')"
    return alt.X(
        "t:Q",
        scale=alt.Scale(domain=[0, alt.ExprRef("seconds")], nice=False),
        axis=alt.Axis(values=alt.ExprRef("ticks"), labelExpr=label, labelOverlap="parity", labelFlush=True),
    )


def _cursor() -> Any:
    """The time that the reader chose."""
    return _of("cursor").mark_rule(stroke="var(--ink)", strokeWidth=1.5, clip=True).encode(x=_time())


def _playing() -> Any:
    """Where a recording beside the report plays: a line with a border, so that it is seen on every colour."""
    widths = {"var(--paper)": 5, "var(--accent)": 2}
    rules = [_of("playing").mark_rule(stroke=stroke, strokeWidth=px, clip=True) for stroke, px in widths.items()]
    return alt.layer(*(rule.encode(x=_time()) for rule in rules))


CHARTS = {"shares": _shares, "affect": _affect, "presence": _presence, "faces": _faces}

_AXIS = {
    "title": None,
    "labelColor": "var(--quiet)",
    "labelFontSize": 12,
    "tickColor": "var(--line)",
    "domainColor": "var(--line)",
    "gridColor": "var(--line)",
    "gridOpacity": 0.6,
}
_CONFIG: dict[str, Any] = {
    "background": "transparent",
    "font": "system-ui, sans-serif",
    "aria": False,  # the page has the same in words and tables
    "view": {"stroke": None},
    "axis": _AXIS,
    "axisX": {"grid": False},
    "axisY": {"domain": False, "ticks": False, "minExtent": LABELS_PX, "maxExtent": LABELS_PX},
    "autosize": {"type": "fit-x", "contains": "padding"},
}
