"""An archived lecture: written to its file, and read from it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any

import msgspec
from msgspec import Struct

from producer.archive.place import Place, refused
from producer.archive.table import GROUP_ROWS, HEAD, Head, Row, schema, table
from worker.contract.lecture_hash import LectureInfo, ledger_from_hashes
from worker.contract.limits import MAX_PARTICIPANTS, MAX_STREAM_EVENTS
from worker.contract.messages import EmotionEvent, EndEvent, Event, Ledger, ParticipantSpan, decode, decode_event

# Limits of a file, against damaged and hostile ones. The head of 1,000 participants has 70 kB, and a row group that
# we write has about 6 MB in memory.
MAX_HEAD_BYTES = 32 * 2**20
MAX_GROUP_BYTES = 64 * 2**20
MAX_ROWS = (1 + MAX_PARTICIPANTS) * MAX_STREAM_EVENTS

# Rows that are in memory as Python's objects.
STEP_ROWS = 1_000


class ArchiveDamaged(Exception):
    """The file of a lecture in the archive is not as it was written; the message says which one and why."""

    def __init__(self, place: Place, lecture: str, why: str) -> None:
        shown = " ".join(why.split())[:300]
        super().__init__(f"archive {place.shown}: the file of lecture {lecture!r} is damaged: {shown}")
        self.lecture = lecture


def write(place: Place, head: Head, rows: Iterable[Row]) -> bytes:
    """Write the file of a lecture, in place of an older one; the digest of its rows. ArchiveUnusable."""
    from pyarrow.parquet import ParquetWriter

    made, digest = schema(head), hashlib.blake2b()
    words = [field.name for field in made if str(field.type) == "string" and field.name not in ("position", "event")]
    left = _hashed(rows, digest)
    with (
        place.writing(head.lecture) as file,
        ParquetWriter(
            file, made, compression="zstd", use_dictionary=words, write_statistics=words, write_page_checksum=True
        ) as writer,
    ):
        while group := list(islice(left, GROUP_ROWS)):
            writer.write_table(table(group, made))
    return digest.digest()


class ArchivedLecture(Struct, frozen=True):
    """An archived lecture: what was its hash, its ledger and its participants. Events are read when they are asked for.

    `expires` is when it is to be erased, in seconds since 1970.
    """

    place: Place
    id: str
    info: LectureInfo
    ledger: Ledger
    participants: dict[str, ParticipantSpan]
    expires: float

    def events(self) -> Iterator[Event]:
        """All events in order, and the EndEvent of the class. Raises ArchiveDamaged and ArchiveUnusable."""
        for row in self.rows():
            event = self._event(row)
            yield event
            if isinstance(event, EndEvent):
                return

    def channel(self, participant: str | None) -> Iterator[tuple[Row, Event]]:
        """The events of a participant, or of the class, as they were published, with their EndEvent."""
        for row in self.rows():
            if row.participant == participant:
                yield row, self._event(row)

    def rows(self) -> Iterator[Row]:
        """All rows: the events of all channels in order, the end of the class, the ends of the participants."""
        with opened(self.place, self.id) as file:
            for batch in file.iter_batches(STEP_ROWS, columns=list(Row._fields), use_threads=False):
                participants, positions, events = (batch.column(name).to_pylist() for name in Row._fields)
                if None in positions or None in events:
                    raise ArchiveDamaged(self.place, self.id, "it has a row without a position or an event")
                for participant, position, event in zip(participants, positions, events, strict=True):
                    yield Row(participant, position, event.encode())

    def digest(self) -> bytes:
        """The digest of what can be read, to compare with that of `write`."""
        digest = hashlib.blake2b()
        for _ in _hashed(self.rows(), digest):
            pass
        return digest.digest()

    def _event(self, row: Row) -> Event:
        try:
            event = decode_event(row.event)
        except ValueError as wrong:
            raise ArchiveDamaged(self.place, self.id, f"it has a row without an event ({wrong})") from None
        if isinstance(event, EmotionEvent) and event.participant not in self.participants:
            raise ArchiveDamaged(self.place, self.id, f"it has an event of the unknown {event.participant[:80]!r}")
        return event


def read(place: Place, lecture: str) -> ArchivedLecture:
    """The lecture in an archive that has a file of it. Raises ArchiveDamaged and ArchiveUnusable."""
    with opened(place, lecture) as file:
        stored = (file.schema_arrow.metadata or {}).get(HEAD, b"")
        try:
            head = decode(stored, Head)
            fields = {name.encode(): value.encode() for name, value in head.hash.items()}
            info, ledger = LectureInfo.from_hash(fields), ledger_from_hashes(fields, {})
        except ValueError as wrong:
            raise ArchiveDamaged(place, lecture, f"it does not say of which lecture it is ({wrong})") from None
        if head.lecture != lecture:
            raise ArchiveDamaged(place, lecture, f"it is of lecture {head.lecture!r}")
    return ArchivedLecture(place, lecture, info, ledger, head.participants, head.expires)


@contextmanager
def opened(place: Place, lecture: str) -> Iterator[Any]:
    """The file of a lecture as a ParquetFile, if it is within the limits."""
    from pyarrow import ArrowException
    from pyarrow.parquet import ParquetFile

    try:
        with place.open(lecture) as source:
            file = ParquetFile(
                source,
                thrift_string_size_limit=MAX_HEAD_BYTES,
                thrift_container_size_limit=MAX_ROWS,
                page_checksum_verification=True,
            )
            groups = map(file.metadata.row_group, range(file.metadata.num_row_groups))
            if file.metadata.num_rows > MAX_ROWS or any(each.total_byte_size > MAX_GROUP_BYTES for each in groups):
                raise ArchiveDamaged(place, lecture, "it is larger than any lecture")
            types = {field.name: str(field.type) for field in file.schema_arrow}
            if any(types.get(name) != "string" for name in Row._fields):
                raise ArchiveDamaged(place, lecture, f"it lacks text in its columns {', '.join(Row._fields)}")
            yield file
    except FileNotFoundError:
        raise ArchiveDamaged(place, lecture, "it was deleted") from None
    except OSError as failure:
        raise (place.refusal(failure) if refused(failure) else ArchiveDamaged(place, lecture, str(failure))) from None
    except (ArrowException, UnicodeError) as wrong:
        raise ArchiveDamaged(place, lecture, str(wrong)) from None


def _hashed(rows: Iterable[Row], digest: hashlib.blake2b) -> Iterator[Row]:
    """The rows; each is added to `digest` when it is taken."""
    for row in rows:
        digest.update(msgspec.json.encode((row.participant, row.position)) + row.event)
        yield row
