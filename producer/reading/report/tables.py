"""The tables of a report: text for every cell."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from producer.presentation.clock import clock, date
from producer.presentation.palette import STACK
from producer.presentation.thresholds import MIN_SHARE
from producer.reading.analysis.chapters import Part, Parts, displayed
from producer.reading.analysis.moment import Moment
from producer.reading.analysis.presence import PRESENCE, presence_shares
from producer.reading.analysis.summary import emotion_shares, unreadable_words
from producer.reading.analysis.timeline import ParticipantTimeline, Timeline, strongest
from producer.reading.lectures import Lecture
from producer.reading.report.content import Content
from producer.reading.report.model_tests import ModelTests
from producer.reading.report.words import span
from worker.contract.lecture_hash import LectureInfo
from worker.contract.messages import EMOTIONS
from worker.contract.usual import mean_of

MAX_SECTIONS = 12
"""Columns of the table of what each participant displayed, as many as fit on a page."""

MAX_SHARES = 3
"""Shares that are listed for a participant."""

NOTHING = "\N{EN DASH}"


def shares(timeline: Timeline) -> dict[str, str]:
    """Emotion -> its mean share over the lecture, a dash if no face could be read."""
    mean = timeline.mean_scores
    if mean is None:
        return dict.fromkeys(STACK, NOTHING)
    return {emotion: f"{mean[EMOTIONS.index(emotion)]:.0%}" for emotion in STACK}


def class_rows(timeline: Timeline) -> list[dict[str, Any]]:
    """One row for each step: faces, shares, valence and arousal. No rows if nobody was seen."""
    rows = []
    places = presence_shares(timeline.presence)
    columns = len(presence(timeline))
    for step in range(timeline.bins):
        at, scores = clock(step * timeline.bin_s), timeline.scores[step]
        if timeline.frames[step] == 0:
            rows.append({"at": at, "cells": [NOTHING] * (len(STACK) + 3 + columns)})
            continue
        seen = not np.isnan(scores[0])
        shares = [f"{scores[EMOTIONS.index(each)]:.0%}" if seen else NOTHING for each in reversed(STACK)]
        means = (timeline.valence[step], timeline.arousal[step])
        affect = [_with_margin(*each) for each in zip(means, timeline.margins[step], strict=True)]
        faces = f"{timeline.faces[step]:.1f}"
        unread = timeline.faces[step] - timeline.readable[step]
        faces += f" ({unread:.1f} not readable)" if unread > 0.05 else ""
        faces += " (hidden)" if not seen and timeline.hidden[step] else ""
        rows.append({"at": at, "cells": [faces, *shares, *affect, *map(_percent, places[step][:columns])]})
    return rows if timeline.most_faces else []


def presence(timeline: Timeline) -> list[tuple[str, str]]:
    """The words of PRESENCE, each with its share over the lecture; empty if not known.

    If single participants are not known, nor is who is out of view.
    """
    shares = timeline.mean_presence
    if shares is None:
        return []
    return [(word, _percent(share)) for word, share in zip(PRESENCE, shares, strict=True) if not np.isnan(share)]


def _percent(share: float) -> str:
    return NOTHING if np.isnan(share) else f"{share:.0%}"


def _with_margin(value: float, margin: float) -> str:
    if np.isnan(value):
        return NOTHING
    return f"{value:+.2f}" + ("" if np.isnan(margin) else f" ± {margin:.2f}")


def moments(moments: list[Moment], parts: Parts) -> list[dict[str, Any]]:
    """One row for each moment: times, slide or chapter, kind, the change in words, how many people, and p."""
    return [
        {
            "t": each.begin,
            "place": parts.place(each.begin),
            "at": clock(each.begin),
            "to": clock(each.end) if each.end > each.begin else "",
            "end": each.end,
            "kind": each.kind,
            "words": each.in_words,
            "people": NOTHING if each.people is None else f"{each.people} of {each.of}",
            "p": f"{each.p:.3f}",
        }
        for each in moments
    ]


def usuals(content: Content) -> list[dict[str, Any]]:
    """One row for each participant whose face could be read, and one for the class: the usual share of each emotion."""
    people = content.timeline.participants
    rows = [(content.label(each.id), each.usual) for each in people if each.usual is not None]
    of_class = mean_of([usual for _, usual in rows])
    rows = [*rows, ("the class, on average", of_class)] if of_class is not None and len(rows) > 1 else rows
    return [{"label": who, "cells": [f"{usual[each]:.0%}" for each in reversed(STACK)]} for who, usual in rows]


def named_parts(parts: Sequence[Part], timeline: Timeline) -> list[dict[str, Any]]:
    """One row for each chapter or slide: when it began, its length, and what was displayed in how many people."""
    rows = []
    for part in parts:
        found = displayed(part, timeline)
        words, people = NOTHING, NOTHING
        if found is not None:
            changes = [f"{each} {'up' if up > 0 else 'down'} {100 * abs(up):.0f}" for each, up in found.change.items()]
            words = ", ".join(changes) or "as usual"
            people = f"{found.people} of {found.of}" if found.people is not None else NOTHING
        length = span(max(1, round(part.end - part.begin)))
        times = {"t": round(part.begin, 3), "end": round(part.end, 3), "at": clock(part.begin), "length": length}
        rows.append({"title": part.title, **times, "words": words, "people": people})
    return rows


def section_times(timeline: Timeline) -> list[str]:
    """The times at which the sections of the lecture begin."""
    return [clock(first * timeline.bin_s) for first, _ in _sections(timeline)]


def participants(content: Content) -> list[dict[str, Any]]:
    """One row for each participant: where and when they were seen, and what they displayed in each section."""
    missing = {each.participant: each.in_words() for each in content.losses}
    return [
        {
            **_participant(each, content.timeline),
            "label": content.label(each.id),
            "missing": missing.get(each.id, ""),
            "map": content.places[each.id].map(content.size) if each.id in content.places else None,
            "left_out": content.left_out.get(each.id, ""),
        }
        for each in content.timeline.everybody
    ]


def lost(content: Content) -> list[dict[str, str]]:
    """One row for each participant of whom no event is left."""
    return [
        {"label": content.label(each.participant), "words": each.in_words()}
        for each in content.losses
        if each.participant is not None and each.complete
    ]


def _participant(person: ParticipantTimeline, timeline: Timeline) -> dict[str, Any]:
    seen = min(person.frames / timeline.analysed, 1.0) if timeline.analysed else None
    shares = emotion_shares(person.emotions)[:MAX_SHARES]
    longest = NOTHING
    if person.longest_gap:
        start, seconds = person.longest_gap
        longest = f"{span(seconds)} from {clock(start)}"
    return {
        "seen": NOTHING if seen is None else f"{seen:.0%}",
        "unreadable": unreadable_words(person.unreadable, person.frames) or NOTHING,
        "percent_seen": round(100 * (seen or 0.0), 1),
        "first": clock(person.first),
        "last": clock(person.last),
        "gaps": person.gaps or NOTHING,
        "longest": longest,
        "shares": ", ".join(f"{emotion} {share:.0%}" for emotion, share in shares if share >= MIN_SHARE),
        "sections": [_section(person, first, end) for first, end in _sections(timeline)],
    }


def _sections(timeline: Timeline) -> list[tuple[int, int]]:
    """At most MAX_SECTIONS equally long sections of the lecture, each as [first step, end)."""
    count = min(MAX_SECTIONS, timeline.bins)
    borders = [round(n * timeline.bins / count) for n in range(count + 1)] if count else []
    return list(pairwise(borders))


def _section(person: ParticipantTimeline, first: int, end: int) -> str:
    weights = person.read[first:end]
    if not weights.any():
        return "not readable" if person.sightings[first:end].any() else NOTHING
    mean = weights @ np.nan_to_num(person.scores[first:end]) / weights.sum()
    most = int(strongest(mean[np.newaxis])[0])
    return f"{EMOTIONS[most]} {mean[most]:.0%}"


def model_tests(tests: ModelTests) -> list[dict[str, Any]]:
    """One row for each network, and one for the ensemble."""
    rows = [
        {
            "name": network.name,
            "n": network.n,
            "accuracy": f"{network.accuracy:.1%}",
            "weight": f"{network.weight:.2f}",
            "sets": network.validation,
        }
        for network in tests.models
    ]
    ensemble = tests.ensemble
    accuracy, sets = f"{ensemble.figures.accuracy:.1%}", ", ".join(ensemble.validation)
    return [*rows, {"name": "ensemble", "n": sum(ensemble.n), "accuracy": accuracy, "weight": "", "sets": sets}]


def ledger(lecture: Lecture) -> list[tuple[str, str]]:
    """The lecture's facts and its ledger, as (name, value)."""
    info, ledger = lecture.info, lecture.ledger
    entries = [
        ("lecture", lecture.id),
        ("source", info.source),
        ("status", "abandoned" if lecture.abandoned else info.status),
        ("started", date(info.started)),
        ("frames a second", f"{info.fps:g}"),
        ("size of a frame", f"{info.width} by {info.height} pixels"),
        *_choices(info),
        ("frames sampled", str(ledger.sampled)),
        ("published", str(ledger.published)),
        ("dropped", str(ledger.dropped)),
        ("failed", str(ledger.failed)),
    ]
    entries += [("in flight", str(ledger.in_flight))] if ledger.in_flight or info.status == "running" else []
    entries += [(reason.replace(":", ", "), str(count)) for reason, count in sorted(ledger.reasons.items())]
    return entries


def _choices(info: LectureInfo) -> list[tuple[str, str]]:
    """What was read and shown of the lecture, if it is not everything."""
    chosen = []
    if info.begin is not None or info.end is not None:
        begin = clock(info.begin or 0.0)
        chosen.append(("read", f"from {begin}" + (f" to {clock(info.end)}" if info.end is not None else "")))
    if info.ignored:
        chosen.append(("ignored", " and ".join(",".join(map(str, box)) for box in info.ignored)))
    if info.min_group > 1:
        chosen.append(("hidden", f"groups of fewer than {info.min_group} people"))
    return chosen
