"""Writes the report of a lecture in Redis to a file."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from producer.reading.analysis.boxes import BoxesBuilder
from producer.reading.analysis.names import Roster
from producer.reading.analysis.places import PlacesBuilder
from producer.reading.lectures import Store, read_lecture
from producer.reading.output_file import Written, check_page_path, complete_or_absent
from producer.reading.report.content import Content
from producer.reading.report.model_tests import shipped_model_tests
from producer.reading.report.page import Link, page
from producer.reading.summing_up import summed_up
from producer.saying import say
from worker.contract.chapters import Chapter


def report(
    store: Store,
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
        content = _content(store, lecture, roster, class_only, chapters)
        file.write(page(content, links).encode())
    return Written(content.lecture.info.status != "running", content.losses)


def _content(
    store: Store,
    lecture: str,
    roster: Roster | None,
    class_only: bool,
    chapters: Sequence[Chapter] | None,
) -> Content:
    found = read_lecture(store, lecture)
    info = found.info
    places, boxed = PlacesBuilder(info.width, info.height, info.source), BoxesBuilder()
    summed = summed_up(store, found, roster, chapters, () if class_only else (places.add, boxed.add))
    if summed.warning:
        say(summed.warning)
    timeline, losses = summed.timeline, summed.losses
    if class_only:
        timeline = replace(timeline, participants=[], left_out=[])
        losses = [each for each in losses if each.participant is None]
    version = next(iter(timeline.versions)) if len(timeline.versions) == 1 else ""
    return Content(
        found,
        timeline,
        summed.moments,
        summed.sentences,
        summed.names,
        shipped_model_tests(version),
        datetime.now(),
        losses,
        summed.parts,
        boxed.boxes() if timeline.everybody else None,
        places.places(),
        summed.left_out,
    )
