"""Writes the report of a lecture in Redis to a file."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import redis

from producer.reading.analysis.boxes import BoxesBuilder
from producer.reading.analysis.chapters import SlideTimes
from producer.reading.analysis.losses import Kept
from producer.reading.analysis.moments import moments
from producer.reading.analysis.names import Names, Roster
from producer.reading.analysis.places import Places
from producer.reading.analysis.sentences import placed, sentences
from producer.reading.analysis.timeline import TimelineBuilder
from producer.reading.follow import replay
from producer.reading.lectures import participants, read_lecture
from producer.reading.output_file import Written, check_page_path, complete_or_absent
from producer.reading.report.model_tests import shipped_model_tests
from producer.reading.report.page import Link, page
from producer.reading.report.shipped import library, specs
from producer.reading.report.words import Content
from producer.saying import say
from worker.contract.chapters import Chapter


def report(
    client: redis.Redis,
    lecture: str,
    path: Path,
    roster: Roster | None = None,
    class_only: bool = False,
    chapters: Sequence[Chapter] | None = None,
    links: Sequence[Link] = (),
) -> Written:
    """Write the report of the events of `lecture` to `path`; `-` is standard output.

    With `class_only` the report has nothing about single participants. `chapters` replace those of the lecture. `links`
    are shown above it. The file is written as a whole or not at all, and an existing file is never overwritten. Raises
    ExportRefused if `path` cannot be written, LectureUnknown, and RosterRefused if the roster does not fit the lecture.
    """
    check_page_path(path)
    with complete_or_absent(path) as file:
        content = _content(client, lecture, roster, class_only, chapters)
        file.write(page(content, specs(), library(), links).encode())
    return Written(content.lecture.info.status != "running", content.losses)


def _content(
    client: redis.Redis,
    lecture: str,
    roster: Roster | None,
    class_only: bool,
    chapters: Sequence[Chapter] | None,
) -> Content:
    found = read_lecture(client, lecture)
    spans = participants(client, lecture)
    builder, names, kept = TimelineBuilder(found.info.fps), Names(roster or Roster()), Kept()
    places, boxed, slides = Places(found.info.width, found.info.height), BoxesBuilder(), SlideTimes()
    readers = [builder.add, kept.add, slides.add]
    readers += [*([names.add] if roster else []), *([] if class_only else [places.add, boxed.add])]
    for event in replay(client, lecture):
        for add in readers:
            add(event)
    losses = kept.losses(lecture, found.info, spans)
    seen = {*builder.participants, *spans}
    if found.info.status != "running" and (unknown := names.check(seen)):
        say(unknown)
    left_out = names.left_out(seen)
    timeline = builder.timeline(without=left_out)
    known = {each: name for each in seen if (name := names.of(each)) is not None}
    worth = moments(timeline)
    parts = slides.parts(found.info.chapters if chapters is None else chapters, timeline.seconds)
    words = [placed(each, parts.place) for each in sentences(timeline, worth, found.info.status == "running")]
    if class_only:
        timeline = replace(timeline, participants=[], left_out=[])
        losses = [each for each in losses if each.participant is None]
    boxes = None if class_only or not timeline.everybody else boxed.boxes()
    # Somebody with a recording of their own fills it.
    where = {each: place for each, place in places.places().items() if f"{each}=" not in found.info.source}
    version = next(iter(timeline.versions)) if len(timeline.versions) == 1 else ""
    tested = shipped_model_tests(version)
    return Content(found, timeline, worth, words, known, tested, datetime.now(), losses, parts, boxes, where, left_out)
