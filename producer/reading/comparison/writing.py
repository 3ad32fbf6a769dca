"""Writes the comparison of lectures in Redis to a file."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

from producer.cells.connections import Cells
from producer.reading.analysis.names import Roster, RosterRefused, natural_order
from producer.reading.choosing import store_of
from producer.reading.comparison.lectures import Compared, pairs, read_compared
from producer.reading.comparison.page import page
from producer.reading.lectures import all_lectures
from producer.reading.output_file import ExportRefused, check_page_path, complete_or_absent
from producer.saying import say

FEWEST = 2
"""Lectures of a comparison."""


def compare(
    cells: Cells,
    lectures: Sequence[str],
    path: Path,
    course: str | None = None,
    rosters: Mapping[str, Roster] | None = None,
) -> None:
    """Write the comparison of `lectures`, and of all lectures of `course` in the order of their beginnings, to `path`.

    Every lecture is compared with the first. `rosters` is lecture -> its roster. The file is written as a whole or not
    at all, and an existing file is never overwritten. Raises ExportRefused, also if there is nothing to
    compare, LectureUnknown, and RosterRefused if a roster does not fit its lecture.
    """
    check_page_path(path)
    chosen = _chosen(cells, lectures, course)
    rosters = rosters or {}
    if strange := sorted(set(rosters).difference(chosen)):
        raise RosterRefused(f"the roster of {strange[0]!r} has no lecture here; compared: {', '.join(chosen)}")
    read = [read_compared(store_of(cells, each), each, rosters.get(each)) for each in chosen]
    _say_unknown(read, rosters)
    whole, chapters = pairs(read)
    with complete_or_absent(path) as file:
        file.write(page(read, whole, chapters, course, datetime.now()).encode())


def _say_unknown(read: Sequence[Compared], rosters: Mapping[str, Roster]) -> None:
    """Say which ids of a roster no lecture has. A roster of a course names more people than one lecture has."""
    for n, (lecture, roster) in enumerate(rosters.items()):
        if roster in list(rosters.values())[:n]:
            continue
        with_it = [each for each in read if rosters.get(each.id) == roster]
        unknown = set.intersection(*(set(each.unknown) for each in with_it))
        if unknown:
            ids = ", ".join(sorted(unknown, key=natural_order))
            say(f"the roster of {lecture} names {ids}, not seen in {', '.join(each.id for each in with_it)}")


def _chosen(cells: Cells, lectures: Sequence[str], course: str | None) -> list[str]:
    """The ids, each once."""
    of_course: list[str] = []
    if course is not None:
        found, missing = all_lectures(cells)
        if missing:
            raise ExportRefused(f"{missing[0]}; the course may have lectures there, so name those to compare")
        of_course = [each.id for each in found if each.info.course == course]
    if course is not None and not of_course:
        raise ExportRefused(f"no lecture has the course {course!r}; `producer list` shows courses")
    chosen = list(dict.fromkeys([*lectures, *of_course]))
    if len(chosen) < FEWEST:
        named = f"only {chosen[0]!r}" if chosen else "nothing"
        raise ExportRefused(f"a comparison needs at least two lectures, not {named}; name more, or a --course")
    return chosen
