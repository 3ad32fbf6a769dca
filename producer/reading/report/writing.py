"""Writes the report of a lecture in Redis to a file."""

from dataclasses import replace
from datetime import datetime
from pathlib import Path

import redis

from producer.reading.analysis.losses import Kept
from producer.reading.analysis.moments import moments
from producer.reading.analysis.names import Names, Roster
from producer.reading.analysis.places import Places
from producer.reading.analysis.timeline import TimelineBuilder
from producer.reading.export import ExportRefused, Written, complete_or_absent
from producer.reading.follow import replay
from producer.reading.lectures import participants, read_lecture
from producer.reading.report.model_tests import shipped_model_tests
from producer.reading.report.page import page
from producer.reading.report.words import Content
from producer.saying import say

SUFFIXES = (".html", ".htm")


def report(
    client: redis.Redis, lecture: str, path: Path, roster: Roster | None = None, class_only: bool = False
) -> Written:
    """Write the report of the events of `lecture` to `path`.

    With `class_only` the report has nothing about single participants. The file is written as a whole or not at all,
    and an existing file is never overwritten. Raises ExportRefused if `path` cannot be written, LectureUnknown, and
    RosterRefused if the roster does not fit the lecture.
    """
    check_report_path(path)
    from producer.reading.report.charts import library, specs  # late: slow to load, and a path may be refused

    with complete_or_absent(path) as file:
        content = _content(client, lecture, roster, class_only)
        file.write(page(content, specs(), library()).encode())
    return Written(content.lecture.info.status != "running", content.losses)


def check_report_path(path: Path) -> None:
    """ExportRefused if a report to `path` is not possible."""
    if path.suffix not in SUFFIXES:
        raise ExportRefused(f"cannot write a report to {str(path)!r}: the name must end in .html")
    if path.exists():
        raise ExportRefused(f"{str(path)!r} exists already; remove it or choose another name")


def _content(client: redis.Redis, lecture: str, roster: Roster | None, class_only: bool) -> Content:
    found = read_lecture(client, lecture)
    spans = participants(client, lecture)
    builder, names, kept = TimelineBuilder(found.info.fps), Names(roster or Roster()), Kept()
    places = Places(found.info.width, found.info.height)
    for event in replay(client, lecture):
        builder.add(event)
        names.add(event)
        kept.add(event)
        places.add(event)
    losses = kept.losses(lecture, found.info, spans)
    seen = {*builder.participants, *spans}
    if found.info.status != "running" and (unknown := names.check(seen)):
        say(unknown)
    left_out = names.left_out(seen)
    timeline = builder.timeline(without=left_out)
    known = {each: name for each in seen if (name := names.of(each)) is not None}
    largest = moments(timeline)
    if class_only:
        timeline = replace(timeline, participants=[], left_out=[])
        losses = [each for each in losses if each.participant is None]
    # Somebody with a recording of their own fills it.
    where = {each: place for each, place in places.places().items() if f"{each}=" not in found.info.source}
    version = next(iter(timeline.versions)) if len(timeline.versions) == 1 else ""
    return Content(
        found, timeline, largest, known, shipped_model_tests(version), datetime.now(), losses, where, left_out
    )
