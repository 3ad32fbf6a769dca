"""The streams of a lecture: one of them, or all merged into one, in the order of frames."""

import re
import sys
from collections import deque
from collections.abc import Iterator, Mapping
from heapq import heapify, heappop, heapreplace
from typing import Any

import redis

from worker.contract.keys import ID, LectureKeys
from worker.contract.messages import EmotionEvent, EndEvent, Event, SlideEvent
from worker.contract.streams import entry_event

# Entries of each stream that are read at once. At most two pages of each participant are in memory.
PAGE = 32

# New slides that may follow one class event: the first slide becomes known with the second.
SLIDES_AT_ONCE = 2

Entry = tuple[bytes, Event]
"""An event with its position in its stream."""

START = b"0-0"
"""The position before a stream's first entry."""


class LectureUnreadable(ValueError):
    """Redis holds something under the name of a lecture that this version does not write; the message says what."""

    def __init__(self, lecture: str, what: str) -> None:
        super().__init__(
            f"lecture {lecture!r} cannot be read: {what}; another program or a newer LecturePulse wrote that: update "
            f"LecturePulse, or erase the lecture with `producer forget {lecture}`"
        )


class OneStream:
    """One stream, read page by page."""

    def __init__(self, client: redis.Redis, key: str) -> None:
        self._client = client
        self._key = key
        self._position = START
        self._frame = -1
        self._slide_frame = -1

    def skip_to_end(self) -> int:
        """Skip to behind the last event that is not the EndEvent; the last frame, or -1 if there is none."""
        newest: bytes | None = None
        for position, event in last_entries(self._client, self._key, 2 + SLIDES_AT_ONCE):
            if not isinstance(event, EndEvent):
                newest = newest or position
                if not isinstance(event, SlideEvent):
                    self._position = newest
                    return event.frame
        return -1

    def read(self, wait_ms: int | None) -> Iterator[Entry]:
        """The next page. It is empty if nothing comes within `wait_ms`; None does not wait."""
        for entries in _next_entries(self._client, {self._key: self._position}, wait_ms).values():
            for self._position, event in entries:
                if self._is_new(event):  # otherwise Redis crashed, lost the event, and it is published again
                    yield self._position, event

    def _is_new(self, event: Event) -> bool:
        if isinstance(event, SlideEvent):
            # Not the number, which begins again after a worker of an older version has committed.
            new = event.frame > self._slide_frame
            self._slide_frame = max(self._slide_frame, event.frame)
        else:
            new = _frame(event) > self._frame
            self._frame = max(self._frame, _frame(event))
        return new

    def rest(self) -> Iterator[Entry]:
        return iter(())


class MergedStreams:
    """All streams of a lecture as one.

    A commit writes all events of a frame in one transaction. So after the class event of a frame was read, the
    participants' streams have all their events up to that frame. Newer ones wait for their class event.
    """

    def __init__(self, client: redis.Redis, keys: LectureKeys) -> None:
        self._class = OneStream(client, keys.class_)
        self._participants = _ParticipantStreams(client, keys)

    def skip_to_end(self) -> None:
        # The participants are skipped first. So an event that is committed between the two calls is read later, and
        # left out because of its frame (`seen_frame`).
        self._participants.skip_to_end()
        self._participants.seen_frame = self._class.skip_to_end()

    def read(self, wait_ms: int | None) -> Iterator[Entry]:
        page = list(self._class.read(wait_ms))
        if not page:
            return
        self._participants.read(up_to=max(_frame(event) for _, event in page))
        for entry in page:
            yield from self._participants.entries(up_to=_frame(entry[1]))
            yield entry

    def rest(self) -> Iterator[Entry]:
        """The participants' events after the last class event. There are some only if class events are lost."""
        self._participants.read(up_to=sys.maxsize)
        yield from self._participants.entries(up_to=sys.maxsize)


def _frame(event: Event) -> int:
    """The event's frame. The end comes after every frame."""
    return sys.maxsize if isinstance(event, EndEvent) else event.frame


class _ParticipantStreams:
    """The streams of a lecture's participants, merged by frame, then by participant."""

    def __init__(self, client: redis.Redis, keys: LectureKeys) -> None:
        self._client = client
        self._keys = keys
        self._positions: dict[str, bytes] = {}
        self._held: dict[str, deque[tuple[bytes, EmotionEvent]]] = {}
        self._exhausted: set[str] = set()
        self._next: list[tuple[int, str]] = []
        self.seen_frame = -1
        """Events up to this frame are left out."""
        self._last_frames: dict[str, int] = {}

    def skip_to_end(self) -> None:
        for participant in known_participants(self._client, self._keys):
            for position, _ in last_entries(self._client, self._keys.participant(participant), 1):
                self._positions[participant] = position

    def read(self, up_to: int) -> None:
        """Read more of every participant without an event after frame `up_to` in memory, in one request."""
        self._exhausted.clear()
        wanted = []
        for participant in known_participants(self._client, self._keys):
            held = self._held.setdefault(participant, deque())
            if not held or held[-1][1].frame <= up_to:
                wanted.append(participant)
        self._read_more(wanted)
        self._next = [(held[0][1].frame, participant) for participant, held in self._held.items() if held]
        heapify(self._next)

    def entries(self, up_to: int) -> Iterator[tuple[bytes, EmotionEvent]]:
        """The events in memory up to and including frame `up_to`, in order."""
        while self._next and self._next[0][0] <= up_to:
            participant = self._next[0][1]
            held = self._held[participant]
            yield held.popleft()
            if not held:
                self._read_more([participant])
            if held:
                heapreplace(self._next, (held[0][1].frame, participant))
            else:
                heappop(self._next)

    def _read_more(self, participants: list[str]) -> None:
        """Read a page of each, and another one of those whose page held nothing new."""
        while participants := [each for each in participants if each not in self._exhausted]:
            self._read_page(participants)
            participants = [each for each in participants if not self._held[each]]

    def _read_page(self, participants: list[str]) -> None:
        positions = {self._keys.participant(each): self._positions.get(each, START) for each in participants}
        found = _next_entries(self._client, positions)
        for participant in participants:
            entries = found.get(self._keys.participant(participant), [])
            if len(entries) < PAGE:
                self._exhausted.add(participant)
            if not entries:
                continue
            self._positions[participant] = entries[-1][0]
            last, held = max(self.seen_frame, self._last_frames.get(participant, -1)), self._held[participant]
            for position, event in entries:
                if isinstance(event, EmotionEvent) and event.frame > last:
                    last = event.frame
                    held.append((position, event))
            self._last_frames[participant] = last


def _next_entries(
    client: redis.Redis, positions: Mapping[str, bytes], wait_ms: int | None = None
) -> dict[str, list[Entry]]:
    """Stream -> its next page behind the given position. Streams without new entries are left out."""
    streams: dict[Any, Any] = dict(positions)
    answer: Any = client.xread(streams, count=PAGE, block=wait_ms)
    return {key.decode(): [(at, _event(key.decode(), at, fields)) for at, fields in entries] for key, entries in answer}


def last_entries(client: redis.Redis, key: str, count: int) -> list[Entry]:
    """The last entries of a stream, the newest first."""
    answer: Any = client.xrevrange(key, count=count)
    return [(position, _event(key, position, fields)) for position, fields in answer]


def _event(key: str, position: bytes, fields: Mapping[bytes, bytes]) -> Event:
    try:
        return entry_event(fields)
    except ValueError as wrong:
        lecture = key[key.index("{") + 1 : key.index("}")]
        raise LectureUnreadable(lecture, f"{key} has an entry {position.decode()} without an event ({wrong})") from None


def known_participants(client: redis.Redis, keys: LectureKeys) -> list[str]:
    """The ids of all participants, sorted. A field that cannot be an id is a stranger's."""
    known: Any = client.hkeys(keys.participants)
    return sorted(name for key in known if re.fullmatch(ID, name := key.decode(errors="replace")))
