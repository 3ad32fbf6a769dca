"""The report as HTML: fills the template with words, tables and charts."""

from collections.abc import Sequence
from importlib.resources import files
from typing import Any, NamedTuple

import msgspec
from jinja2 import Environment, PackageLoader
from markupsafe import Markup

from producer.presentation.caution import CAUTION
from producer.presentation.clock import clock
from producer.presentation.palette import STACK
from producer.presentation.thresholds import TONES
from producer.presentation.web import policy, shared_script, shared_style
from producer.reading.analysis.boxes import several_recordings
from producer.reading.report import tables, words
from producer.reading.report.chart_data import chart_data
from producer.reading.report.content import Content
from producer.reading.report.recording_data import recording_data
from producer.reading.report.words import span

HEADINGS = {
    "first": "How the class went",
    "class": "The class over time",
    "moments": "Moments worth watching",
    "chapters": "Chapters and slides",
    "participants": "Participants",
    "limits": "What these results do not say",
    "coverage": "How long participants were in view",
    "usual": "What each participant usually displays",
    "certainty": "How certain the models are",
    "ledger": "Where every frame went",
}


class Link(NamedTuple):
    """A link above a report that is served: its text and its address."""

    text: str
    address: str


def page(content: Content, links: Sequence[Link] = ()) -> str:
    """The whole page, which needs no other file. In `vega` is what draws the charts in a browser (`bundling`)."""
    environment = Environment(
        loader=PackageLoader("producer.reading.report", "."), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    ours = "".join(map(_text, ("charts.js", "notes.js", "recording.js")))
    scripts = [_checked(each) for each in (_text("vega/vega.js"), shared_script() + ours, _text("report.js"))]
    style = shared_style() + _text("report.css") + _text("recording.css")
    timeline, boxes = content.timeline, content.boxes
    several = boxes is not None and several_recordings(content.lecture.info.source, boxes.participants)
    boxes = None if several else boxes
    usuals = tables.usuals(content)
    named = {kind: tables.named_parts(getattr(content.parts, kind), timeline) for kind in ("chapters", "slides")}
    missing = {
        "first": True,
        "participants": not timeline.everybody,
        "usual": not usuals,
        "chapters": not any(named.values()),
    }
    contents = [(id, heading) for id, heading in HEADINGS.items() if not missing.get(id, False)]
    return environment.get_template("report.html.jinja").render(
        links=links,
        facts=words.facts(content),
        sentences=words.first(content),
        clock=clock,
        usuals=usuals,
        nothing=words.nothing(content),
        headings=HEADINGS,
        contents=contents,
        stack=STACK,
        tones=[f"{share:.0%}" for share, _ in TONES],
        shares=tables.shares(timeline),
        step_words=span(timeline.bin_s),
        margin_words=words.margins(timeline),
        class_words=words.class_figures(content),
        presence=tables.presence(timeline),
        presence_words=words.presence(timeline),
        rows=tables.class_rows(timeline),
        named_parts={kind: rows for kind, rows in named.items() if rows},
        seconds=timeline.seconds,
        moments=tables.moments(content.moments, content.parts),
        moment_words=words.moments(content),
        section_times=tables.section_times(timeline),
        participants=tables.participants(content),
        lost=tables.lost(content),
        coverage_words=words.coverage(content),
        certainty_words=words.certainty(content),
        tested=content.tested and tables.model_tests(content.tested),
        tested_words=content.tested and words.model_tests(content.tested),
        caution=CAUTION,
        ledger=tables.ledger(content.lecture),
        specs=_json(msgspec.json.decode(_text("vega/specs.json"))),
        few=content.few,
        thinned=boxes.every if boxes else 1,
        several=several,
        recording_data=_json(recording_data(content.lecture, timeline.seconds, boxes, content.names)),
        chart_data=_json(chart_data(content)),
        style=Markup(style),  # a file of ours  # nosec B704
        scripts=[Markup(script) for script in scripts],  # files of ours  # nosec B704
        policy=policy(scripts, style),
    )


def _text(name: str) -> str:
    """The text of a file in this folder."""
    return (files("producer.reading.report") / name).read_text(encoding="utf-8")


def _json(value: Any) -> Markup:
    """JSON inside a page. Nothing in it can end its element or begin another."""
    text = msgspec.json.encode(value).decode()
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))  # escaped  # nosec B704


def _checked(script: str) -> str:
    if "</script" in script.lower() or "<!--" in script:
        raise ValueError("a script of the report would end its element early; install another vl-convert-python")
    return script
