"""A report, from a lecture in Redis to a file."""

from dataclasses import replace
from datetime import datetime
from pathlib import Path

import redis

from producer.reading.analysis.moments import moments
from producer.reading.analysis.timeline import Tally
from producer.reading.export import ExportRefused, complete_or_absent
from producer.reading.follow import replay
from producer.reading.lectures import read_lecture
from producer.reading.report.model_tests import how_tested
from producer.reading.report.page import Content, page
from producer.reading.roster import Names, Roster

SUFFIXES = (".html", ".htm")


def report(
    client: redis.Redis, lecture: str, path: Path, roster: Roster | None = None, class_only: bool = False
) -> bool:
    """Write the report of what is there of `lecture` to `path`; whether the lecture is over.

    With `class_only` the report holds nothing about single participants. The file is there as a whole or not at all,
    and one that exists is left alone. Raises ExportRefused for a path that cannot be written to, LectureUnknown where
    there is no such lecture, RosterRefused where the roster does not fit it.
    """
    check_report_path(path)
    from producer.reading.report.charts import library, specs  # late: altair is slow to load, and a path soon refused

    with complete_or_absent(path) as file:
        content = _content(client, lecture, roster, class_only)
        file.write(page(content, specs(), library()).encode())
    return content.lecture.info.status != "running"


def check_report_path(path: Path) -> None:
    """ExportRefused if no report can be written to `path`."""
    if path.suffix not in SUFFIXES:
        raise ExportRefused(f"cannot write a report to {str(path)!r}: the name must end in .html")
    if path.exists():
        raise ExportRefused(f"{str(path)!r} exists already; remove it or choose another name")


def _content(client: redis.Redis, lecture: str, roster: Roster | None, class_only: bool) -> Content:
    found = read_lecture(client, lecture)
    tally, names = Tally(found.info.fps), Names(roster or Roster())
    for event in replay(client, lecture):
        tally.add(event)
        names.add(event)
    timeline = tally.timeline()
    seen = [each.id for each in timeline.participants]
    if found.info.status != "running":
        names.check(seen)
    known = {each: name for each in seen if (name := names.of(each)) is not None}
    largest = moments(timeline)
    if class_only:
        timeline = replace(timeline, participants=[])
    version = next(iter(timeline.versions)) if len(timeline.versions) == 1 else ""
    return Content(found, timeline, largest, known, how_tested(version), datetime.now())
