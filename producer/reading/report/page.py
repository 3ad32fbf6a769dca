"""The report as HTML: the words and tables around the pictures. Pure but for the template, which lies beside it."""

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from importlib.resources import files
from itertools import pairwise
from typing import Any

import msgspec
import numpy as np
from jinja2 import Environment, PackageLoader
from markupsafe import Markup

from producer.presentation.caution import CAUTION
from producer.presentation.clock import clock
from producer.presentation.palette import COLOURS, STACK
from producer.reading.analysis.moments import BEFORE_AND_AFTER_S, Moment, in_words
from producer.reading.analysis.timeline import FEWEST_FOR_MARGIN, GAP_S, Participant, Timeline, strongest
from producer.reading.lectures import Lecture
from producer.reading.report.chart_data import pictures
from producer.reading.report.model_tests import Tested
from worker.contract.messages import EMOTIONS, Ledger

# Columns of the table of what each participant displayed: as many as a page is wide.
MOST_PARTS = 12

# Shares that are told of a participant.
MOST_SHARES = 3
LEAST_SHARE = 0.005

NOTHING = "\N{EN DASH}"

HEADINGS = {
    "class": "The class over time",
    "moments": "Moments worth looking at",
    "participants": "Participants",
    "coverage": "Who was seen how long",
    "certainty": "How sure the models are",
    "limits": "What these figures do not say",
    "ledger": "Where every frame went",
}


@dataclass(frozen=True)
class Content:
    """What a report is made of. `moments`, `names` (by participant id) and `tested` belong to `timeline`'s lecture."""

    lecture: Lecture
    timeline: Timeline
    moments: list[Moment]
    names: Mapping[str, str]
    tested: Tested | None
    made: datetime


def page(content: Content, specs: dict[str, dict[str, Any]], library: str) -> str:
    """The whole page, which needs no other file. `specs` and `library` are those of `figures`."""
    environment = Environment(
        loader=PackageLoader("producer.reading.report", "."), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    scripts = [_checked(script) for script in (library, _beside("charts.js"), _beside("report.js"))]
    style = _beside("report.css") + colour_rules()
    timeline, names = content.timeline, content.names
    rows = _class_table(timeline)
    parts = _parts(timeline)
    sections = [(id, heading) for id, heading in HEADINGS.items() if id != "participants" or timeline.participants]
    return environment.get_template("report.html.jinja").render(
        facts=_facts(content),
        tiles=_tiles(timeline),
        looked_at=timeline.looked_at,
        headings=HEADINGS,
        sections=sections,
        stack=STACK,
        shares=_shares(timeline),
        step_words=_span(timeline.bin_s),
        margin_words=_margin_words(timeline),
        rows=rows,
        moments=[_moment(each) for each in content.moments],
        moment_words=_moment_words(content),
        parts=[clock(first * timeline.bin_s) for first, _ in parts],
        participants=[_participant(each, timeline, names, parts) for each in timeline.participants],
        coverage_words=_coverage_words(timeline, content.lecture.ledger),
        certainty_words=_certainty_words(content),
        tested=_tested(content.tested),
        caution=CAUTION,
        ledger=_ledger(content.lecture),
        specs=_json(specs),
        pictures=_json(pictures(timeline, content.moments, names)),
        style=Markup(style),  # a file of ours  # nosec B704
        scripts=[Markup(script) for script in scripts],  # files of ours  # nosec B704
        policy=policy(scripts, style),
    )


def policy(scripts: list[str], style: str) -> str:
    """A Content-Security-Policy that allows these scripts, this style sheet and nothing else: no network, no frames."""
    allowed = " ".join(_hash(script) for script in scripts)
    return f"default-src 'none'; script-src {allowed}; style-src {_hash(style)}; base-uri 'none'; form-action 'none'"


def colour_rules() -> str:
    """The emotions' colours for a style sheet, as variables and as classes of SVG shapes."""
    variables = "".join(f"--{emotion}:{colour};" for emotion, colour in COLOURS.items())
    return f":root{{{variables}}}" + "".join(f"svg .{emotion}{{fill:var(--{emotion})}}" for emotion in COLOURS)


def _beside(name: str) -> str:
    """The text of a file that lies beside this one."""
    return (files("producer.reading.report") / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _json(value: Any) -> Markup:
    """JSON that lies in a page as data: nothing in it can end the element or begin another."""
    text = msgspec.json.encode(value).decode()
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))  # nothing ends a script  # nosec B704


def _checked(script: str) -> str:
    if "</script" in script.lower() or "<!--" in script:
        raise ValueError("a script of the report would end its element early; install another vl-convert-python")
    return script


def _facts(content: Content) -> dict[str, Any]:
    lecture, timeline = content.lecture, content.timeline
    started = datetime.fromtimestamp(lecture.info.started)
    people = len(timeline.participants)
    subtitle = [lecture.info.source, f"{started:%-d %B %Y, %H:%M}"]
    subtitle += [f"{clock(timeline.seconds)} long"] if timeline.bins else []
    subtitle += [f"{people} participant{'s' if people != 1 else ''}"] if people else []
    return {
        "title": f"Lecture {lecture.id}",
        "subtitle": subtitle,
        "warning": _warning(content),
        "made": f"Made by LecturePulse on {content.made:%-d %B %Y at %H:%M}. Nothing in this file calls the network.",
    }


def _warning(content: Content) -> str | None:
    info = content.lecture.info
    if info.status == "running":
        what = "is not over, and nobody feeds it any more" if content.lecture.abandoned else "is still running"
        return f"This lecture {what}: the report shows what was there on {content.made:%-d %B %Y at %H:%M}."
    if info.status != "done":
        ended = {"failed": "ended with failures", "stopped": "was stopped before its end"}[info.status]
        return f"This lecture {ended}{f': {info.reason}' if info.reason else ''}."
    return None


def _tiles(timeline: Timeline) -> list[dict[str, str]]:
    mean = timeline.mean_scores
    tiles = [{"what": "length", "value": clock(timeline.seconds), "more": ""}]
    if timeline.participants:
        tiles.append({"what": "participants seen", "value": str(len(timeline.participants)), "more": ""})
    if timeline.bins:
        faces = f"{timeline.mean_faces:.1f}"
        tiles.append({"what": "faces in view, on average", "value": faces, "more": f"most {timeline.most_faces}"})
    if mean is not None:
        ranked = sorted(zip(mean, EMOTIONS, strict=True), reverse=True)
        (share, emotion), (next_share, next_emotion) = ranked[:2]
        more = f"then {next_emotion} {next_share:.0%}"
        tiles.append({"what": "displayed most", "value": f"{emotion} {share:.0%}", "more": more})
    return tiles


def _shares(timeline: Timeline) -> dict[str, str]:
    mean = timeline.mean_scores
    return {} if mean is None else {emotion: f"{mean[EMOTIONS.index(emotion)]:.0%}" for emotion in STACK}


def _margin_words(timeline: Timeline) -> str:
    if not timeline.certainty.sightings:
        return "No band of uncertainty can be drawn, because single participants are not known."
    if np.isnan(timeline.margins).all():
        return f"A band of uncertainty needs at least {FEWEST_FOR_MARGIN} participants in view; there were fewer."
    return (
        "The band: where the line could lie had other participants been in view (95% interval of Student's t, from the "
        f"spread between those who were; none where fewer than {FEWEST_FOR_MARGIN} were). "
        "The models' own errors are not in it."
    )


def _class_table(timeline: Timeline) -> list[dict[str, Any]]:
    rows = []
    for step in range(timeline.bins):
        at, scores = clock(step * timeline.bin_s), timeline.scores[step]
        if timeline.frames[step] == 0:
            rows.append({"at": at, "cells": [NOTHING] * (len(STACK) + 3)})
            continue
        seen = not np.isnan(scores[0])
        shares = [f"{scores[EMOTIONS.index(each)]:.0%}" if seen else NOTHING for each in reversed(STACK)]
        affect = [
            _with_margin(value, margin)
            for value, margin in zip(
                (timeline.valence[step], timeline.arousal[step]), timeline.margins[step], strict=True
            )
        ]
        rows.append({"at": at, "cells": [f"{timeline.faces[step]:.1f}", *shares, *affect]})
    return rows if timeline.mean_scores is not None else []


def _with_margin(value: float, margin: float) -> str:
    if np.isnan(value):
        return NOTHING
    return f"{value:+.2f}" + ("" if np.isnan(margin) else f" ± {margin:.2f}")


def _moment(moment: Moment) -> dict[str, Any]:
    basis = f"{_span(moment.look_s)} before and after"
    if moment.compared is not None:
        basis += f", {moment.compared} participant{'s' if moment.compared != 1 else ''} compared with themselves"
    return {"t": moment.t, "at": clock(moment.t), "words": in_words(moment), "basis": basis}


def _moment_words(content: Content) -> str:
    if content.timeline.mean_scores is None:
        return "Nobody was seen, so nothing changed."
    shortest = min(BEFORE_AND_AFTER_S)
    if content.timeline.seconds < 2 * shortest:
        return f"The lecture is too short: {_span(shortest)} before a moment are compared with as many after it."
    who = (
        "those in view before and after are compared with themselves, so that coming and going do not count"
        if content.timeline.certainty.sightings
        else "single participants are not known, so a change may also be that of who was in view"
    )
    how = f"Where the class changed most at once: {who}. Points are percentage points of the share of an expression."
    if not content.moments:
        return f"{how} No change stood out from what participants and models vary by themselves."
    if not content.moments[0].stands_out:
        return f"{how} None stands out from how much this class changed all the time; these are the largest."
    return how


def _parts(timeline: Timeline) -> list[tuple[int, int]]:
    """The steps of the lecture in at most MOST_PARTS parts: first step of each, and the one behind its last."""
    count = min(MOST_PARTS, timeline.bins)
    borders = [round(n * timeline.bins / count) for n in range(count + 1)] if count else []
    return list(pairwise(borders))


def _participant(
    person: Participant, timeline: Timeline, names: Mapping[str, str], parts: list[tuple[int, int]]
) -> dict[str, Any]:
    seen = min(person.frames / timeline.looked_at, 1.0) if timeline.looked_at else 0.0
    ranked = sorted(person.emotions.items(), key=lambda item: (-item[1], item[0]))[:MOST_SHARES]
    shares = [(emotion, count / person.frames) for emotion, count in ranked]
    return {
        "label": f"{names[person.id]} ({person.id})" if person.id in names else person.id,
        "seen": f"{seen:.0%}",
        "percent_seen": round(100 * seen, 1),
        "first": clock(person.first),
        "last": clock(person.last),
        "gaps": person.gaps or NOTHING,
        "longest": _span(person.longest_gap[1]) + f" from {clock(person.longest_gap[0])}"
        if person.longest_gap
        else NOTHING,
        "shares": ", ".join(f"{emotion} {share:.0%}" for emotion, share in shares if share >= LEAST_SHARE),
        "parts": [_part(person, first, behind) for first, behind in parts],
    }


def _part(person: Participant, first: int, behind: int) -> str:
    weights = person.sightings[first:behind]
    if not weights.any():
        return NOTHING
    mean = weights @ np.nan_to_num(person.scores[first:behind]) / weights.sum()
    most = int(strongest(mean[np.newaxis])[0])
    return f"{EMOTIONS[most]} {mean[most]:.0%}"


def _coverage_words(timeline: Timeline, ledger: Ledger) -> list[str]:
    if not timeline.bins:
        return ["No frame has been looked at."]
    words = f"{timeline.looked_at} frames were looked at."
    if timeline.most_faces:
        words += f" On average {timeline.mean_faces:.1f} faces were in view, at most {timeline.most_faces}."
        words += f" In {timeline.empty / timeline.looked_at:.0%} of the frames nobody was." if timeline.empty else ""
    else:
        words += " In none of them a face was found."
    lost = ledger.dropped + ledger.failed
    words += f" {lost} more were sampled, but dropped or failed: of these nothing is known." if lost else ""
    if not timeline.participants:
        return [words]
    away = (
        "Seen is the share of these frames in which somebody's face was found and told apart from others'. Away counts "
        f"how often somebody was not seen for more than {GAP_S:g} s between the first and the last time; a face turned "
        "aside or covered is away too. Absence from the picture is not absence from the lecture."
    )
    return [words, away]


def _certainty_words(content: Content) -> list[str]:
    timeline = content.timeline
    sure = timeline.certainty
    versions = ", ".join(f"{version or 'unknown'}" for version, _ in timeline.versions.most_common())
    words = [] if timeline.bins else ["No frame was looked at, so no model was asked."]
    if sure.sightings:
        words.append(
            f"In {sure.sightings} sightings the strongest expression had a share of {sure.confidence:.0%} on average. "
            f"If the models were as well calibrated here as on their test pictures, they would be right about "
            f"{100 * sure.confidence:.0f} times in 100; on pictures unlike those, expect less."
        )
    if sure.compared:
        agreeing = ", ".join(
            f"{model} in {sure.agreed[model] / asked:.0%}" for model, asked in sorted(sure.asked.items()) if asked
        )
        words.append(
            f"The networks were of one mind in {sure.unanimous / sure.compared:.0%} of the {sure.compared} sightings "
            f"that more than one was asked about. Each said what their ensemble said: {agreeing}."
        )
    elif sure.sightings and sure.asked:
        words.append("Only one network was asked, so there is no second opinion to compare with.")
    if not sure.sightings and timeline.mean_scores is not None:
        words.append("How sure the models were of single faces is not kept for this lecture.")
    if timeline.bins and content.tested is None:
        words.append(
            f"The models (version {versions}) are not those that come with this program, so how they were tested is "
            "not known here. Ask whoever made them."
        )
    return words


def _tested(known: Tested | None) -> dict[str, Any] | None:
    if known is None:
        return None
    rows = [
        {
            "name": model.name,
            "n": model.n,
            "accuracy": f"{model.accuracy:.1%}",
            "weight": f"{model.weight:.2f}",
            "sets": model.validation,
        }
        for model in known.models
    ]
    ensemble = known.ensemble
    figures = ensemble.figures
    sets = ", ".join(ensemble.validation)
    rows.append(
        {"name": "ensemble", "n": sum(ensemble.n), "accuracy": f"{figures.accuracy:.1%}", "weight": "", "sets": sets}
    )
    words = [
        f"Measured on {ensemble.date} as they are shipped, quantized, on pictures that were not in the training. "
        f"The ensemble's weights were chosen on the same pictures, so its figure is a little too good, and "
        f"{rows[0]['sets']} alone, everyday pictures, is the harder test.",
        f"Over the seven expressions alike the ensemble is right in {figures.macro_recall:.0%}. Its stated shares "
        f"differ from how often it is right by {100 * figures.ece:.0f} percentage points on average (expected "
        "calibration error).",
    ]
    return {"rows": rows, "words": words}


def _ledger(lecture: Lecture) -> list[tuple[str, str]]:
    info, ledger = lecture.info, lecture.ledger
    entries = [
        ("lecture", lecture.id),
        ("source", info.source),
        ("status", "abandoned" if lecture.abandoned else info.status),
        ("started", f"{datetime.fromtimestamp(info.started):%-d %B %Y, %H:%M:%S}"),
        ("frames a second", f"{info.fps:g}"),
        ("size of a frame", f"{info.width} by {info.height} pixels"),
        ("frames sampled", str(ledger.sampled)),
        ("published", str(ledger.published)),
        ("dropped", str(ledger.dropped)),
        ("failed", str(ledger.failed)),
    ]
    entries += [("in flight", str(ledger.in_flight))] if ledger.in_flight or info.status == "running" else []
    entries += [(reason.replace(":", ", "), str(count)) for reason, count in sorted(ledger.reasons.items())]
    return entries


def _span(seconds: float) -> str:
    """A length of time in words."""
    if seconds < 120:
        return f"{seconds:g} s" if seconds == int(seconds) else f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else clock(seconds)
