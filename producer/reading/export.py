"""A lecture as a file: rows of a table, its events as JSON lines, subtitles, or annotations."""

from collections.abc import Collection, Iterator
from pathlib import Path

from producer.reading.analysis.class_without import ClassWithout
from producer.reading.analysis.losses import Kept, Loss
from producer.reading.analysis.names import Roster
from producer.reading.analysis.own_usual import OwnUsual
from producer.reading.follow import replay
from producer.reading.formats.annotations import AnnotationsBuilder, cues
from producer.reading.formats.choice import KINDS, ONE_KIND, WITHOUT_ROWS, Format, Kind, check_export
from producer.reading.formats.elan import write_eaf
from producer.reading.formats.json_lines import write_jsonl
from producer.reading.formats.rows import Rows
from producer.reading.formats.subtitles import write_vtt
from producer.reading.formats.tables import EXCEL_ROWS, too_long, write_csv, write_parquet, write_xlsx
from producer.reading.lectures import Lecture, Store, participants, read_lecture
from producer.reading.output_file import ExportRefused, Written, complete_or_absent
from producer.reading.roster import names_in
from producer.reading.summing_up import summed_up
from worker.contract.messages import EndEvent, Event

TABLES = {"csv": write_csv, "xlsx": write_xlsx, "parquet": write_parquet}


def export(
    store: Store,
    lecture: str,
    path: Path,
    roster: Roster | None = None,
    form: Format | None = None,
    rows: Kind | None = None,
) -> Written:
    """Write `lecture` to `path`, in the format `form`, or else that of its suffix.

    `rows` chooses what a table is about. Without it, a format that can hold both has both, and another one has those
    of the participants, or of the class in a lecture without participants (`--class-only`). With a `roster`, every
    row or participant's event has the participant's name in one more column or field. Each channel with missing
    events has one row (a participant's only) or line more. The file is written as a whole or not at all, and an
    existing file is never overwritten. Of the class, all figures are without those whom the roster leaves out.
    Raises ExportRefused if that is not possible, LectureUnknown, and RosterRefused if the roster does not fit the
    lecture.
    """
    form = check_export(path, form, rows)
    found = read_lecture(store, lecture)
    kinds = _kinds(found, form, rows)
    spans = participants(store, lecture)
    if form == "xlsx" and "people" in kinds and sum(span.frames for span in spans.values()) >= EXCEL_ROWS:
        raise too_long()
    names = names_in(store, lecture, roster) if roster is not None else None
    left_out = names.left_out(spans) if names is not None else {}
    if form in WITHOUT_ROWS:
        return _annotated(store, found, path, roster, left_out, form)
    over, losses = False, list[Loss]()

    def events() -> Iterator[Event | Loss]:
        nonlocal over
        kept, end, class_ = Kept(), None, ClassWithout(left_out)
        for event in replay(store, lecture):
            kept.add(event)
            if isinstance(event, EndEvent):
                over, end = True, event
            else:
                yield class_.of(event)
        losses.extend(kept.losses(lecture, found.info, spans))
        yield from losses
        if end is not None:
            yield end

    with complete_or_absent(path) as file:
        if form in TABLES:
            TABLES[form](events(), Rows(kinds, names, _own_usual(store, lecture, left_out), found.info.chapters), file)
        else:
            write_jsonl(events(), kinds, names, file)
    return Written(over, losses)


def _annotated(
    store: Store, found: Lecture, path: Path, roster: Roster | None, left_out: Collection[str], form: Format
) -> Written:
    """Write subtitles, or annotations for ELAN."""
    displayed, class_ = AnnotationsBuilder(found.info.fps), ClassWithout(left_out)
    with complete_or_absent(path) as file:
        summed = summed_up(store, found, roster, also=(lambda event: displayed.add(class_.of(event)),))
        if form == "vtt":
            write_vtt(cues(summed), file)
        else:
            write_eaf(displayed.tiers(summed), file)
    return Written(not summed.running, summed.losses)


def _kinds(found: Lecture, form: Format, rows: Kind | None) -> tuple[Kind, ...]:
    """The kinds of rows to write."""
    if found.info.class_only and rows == "people":
        raise ExportRefused(
            f"there are no rows of people: lecture {found.id} was ingested with --class-only; use --rows class"
        )
    if rows is not None:
        return (rows,)
    if found.info.class_only and form != "jsonl":
        return ("class",)
    return ("people",) if form in ONE_KIND else KINDS


def _own_usual(store: Store, lecture: str, left_out: Collection[str]) -> OwnUsual:
    own = OwnUsual(left_out)
    for event in replay(store, lecture):
        own.add(event)
    return own
