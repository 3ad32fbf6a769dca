"""Names for participants, after the fact: for people to read, never written to Redis, where pseudonyms stay pseudonyms.

A roster is a YAML file, of which either part may be missing:

    participants:
      p01: Alice
    tiles:                       # x, y, width, height in pixels of the recording
      - {name: Bob, box: [640, 0, 640, 360]}
"""

import unicodedata
from collections import Counter
from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Any

import msgspec
import redis
from msgspec import Meta, Struct

from producer.reading.follow import replay
from producer.reading.lectures import participants, read_lecture
from worker.contract.keys import checked_id
from worker.contract.messages import EmotionEvent, Event, encode

# A gallery of 250 people, the most that a lecture remembers, takes some 20 KB.
MOST_BYTES = 256 * 1024

LONGEST_NAME = 64

# Unicode's categories of control characters, halves of characters, and what begins a new line or paragraph.
UNPRINTABLE = frozenset({"Cc", "Cs", "Zl", "Zp"})

Length = Annotated[float, Meta(gt=0)]


class RosterRefused(Exception):
    """A roster that is none, or does not fit its lecture; the message says why."""


class Tile(Struct, frozen=True, forbid_unknown_fields=True):
    """Where one person is shown. `box` is x, y, width, height in pixels of the recording."""

    name: str
    box: tuple[float, float, Length, Length]

    def holds(self, event: EmotionEvent) -> bool:
        """Whether the middle of the face lies in it."""
        x, y, width, height = self.box
        face_x, face_y, face_width, face_height = event.box
        return 0 <= face_x + face_width / 2 - x < width and 0 <= face_y + face_height / 2 - y < height


class Roster(Struct, frozen=True, forbid_unknown_fields=True):
    """Names by participant id, and by the place where somebody is shown."""

    participants: dict[str, str] | None = None
    tiles: list[Tile] | None = None


def read_roster(path: Path) -> Roster:
    """The roster in the file at `path`. Raises RosterRefused where there is none that can be used."""
    try:
        roster = _converted(_loaded(_content(path)))
        _check(roster)
    except ValueError as wrong:
        raise RosterRefused(f"roster {str(path)!r}: {wrong}") from None
    return roster


class Names:
    """What a roster calls the participants of a lecture, by what has been seen of them so far.

    Who is named by id is called so. A tile names who else has more than half of all sightings in it; nobody, if that
    are two, or lie in another tile as well.
    """

    def __init__(self, roster: Roster) -> None:
        self._by_id = roster.participants or {}
        self._tiles = roster.tiles or []
        self._last_frame: dict[str, int] = {}
        self._sightings: Counter[str] = Counter()
        self._in_tiles: dict[str, Counter[int]] = {}
        self._mostly_in: dict[str, list[int]] = {}

    def add(self, event: Event) -> None:
        """Take an event into account. Those of a participant are in order; what was there before may come again."""
        if not self._tiles or not isinstance(event, EmotionEvent) or event.participant in self._by_id:
            return
        who = event.participant
        if event.frame <= self._last_frame.get(who, -1):
            return
        self._last_frame[who] = event.frame
        self._sightings[who] += 1
        inside = self._in_tiles.setdefault(who, Counter())
        inside.update(number for number, tile in enumerate(self._tiles) if tile.holds(event))
        self._mostly_in[who] = [number for number, times in inside.items() if 2 * times > self._sightings[who]]

    def of(self, participant: str) -> str | None:
        """The participant's name, if there is one."""
        if participant in self._by_id:
            return self._by_id[participant]
        mine = self._mostly_in.get(participant, [])
        return self._tiles[mine[0]].name if len(mine) == 1 and self._who_is_in(mine[0]) == [participant] else None

    def check(self, seen: Collection[str]) -> None:
        """Raise RosterRefused if the roster does not fit a lecture that is over and in which `seen` were seen."""
        unknown = sorted(set(self._by_id).difference(seen))
        if unknown:
            there = ", ".join(sorted(seen)) or "nobody"
            raise RosterRefused(f"the roster names {', '.join(unknown)}, not seen in the lecture; seen: {there}")
        for number, tile in enumerate(self._tiles):
            inside = self._who_is_in(number)
            if len(inside) > 1:
                raise RosterRefused(
                    f"the roster's tile {tile.name!r} shows {' and '.join(inside)}; name them by their ids"
                )
        for who, tiles in sorted(self._mostly_in.items()):
            if len(tiles) > 1:
                both = " and ".join(repr(self._tiles[number].name) for number in sorted(tiles))
                raise RosterRefused(f"the roster's tiles {both} both show {who}; name {who} by id")

    def _who_is_in(self, tile: int) -> list[str]:
        return sorted(who for who, tiles in self._mostly_in.items() if tile in tiles)


def names_in(client: redis.Redis, lecture: str, roster: Roster) -> Names:
    """The names of the participants of `lecture`, by all that is there of it.

    Raises LectureUnknown where there is no such lecture, and RosterRefused where the roster does not fit one that is
    over; of one that is running, who is missing may still come.
    """
    over = read_lecture(client, lecture).info.status != "running"
    names = Names(roster)
    if roster.tiles:
        for event in replay(client, lecture):
            names.add(event)
    if over:
        names.check(participants(client, lecture))
    return names


def encode_named(event: Event, names: Names | None) -> bytes:
    """The event's JSON; with `names`, that of a participant has one more field, `name`, null where there is none."""
    if names is None or not isinstance(event, EmotionEvent):
        return encode(event)
    return msgspec.json.encode({**msgspec.to_builtins(event), "name": names.of(event.participant)})


def _content(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except OSError as failure:
        raise ValueError(f"cannot be read: {failure.strerror}") from None
    if len(content) > MOST_BYTES:
        raise ValueError(f"is larger than {MOST_BYTES // 1024} KiB; give a file that holds names and nothing else")
    return content


def _loaded(content: bytes) -> dict[Any, Any]:
    import yaml  # late: nothing else needs it

    try:
        loaded = yaml.safe_load(content)
    except yaml.MarkedYAMLError as wrong:
        line = f" in line {wrong.problem_mark.line + 1}" if wrong.problem_mark else ""
        raise ValueError(f"is no YAML that can be read: {wrong.problem}{line}") from None
    except yaml.YAMLError:
        raise ValueError("is no YAML that can be read; write it with a text editor, in UTF-8") from None
    except (RecursionError, AttributeError, LookupError, TypeError, ValueError):  # [[[..., !!bool x, 2020-99-99
        raise ValueError("is no YAML that can be read; write names in quotes, and nothing nested or tagged") from None
    if not isinstance(loaded, dict):
        raise ValueError("is no mapping; write `participants:`, and below it lines like `  p01: Alice`")
    return loaded


def _converted(loaded: dict[Any, Any]) -> Roster:
    try:
        return msgspec.convert(loaded, Roster)
    except msgspec.ValidationError as wrong:
        form = '`participants: {p01: "Alice"}` or `tiles: [{name: "Bob", box: [x, y, width, height]}]`'
        raise ValueError(f"{wrong}; write {form}") from None


def _check(roster: Roster) -> None:
    for participant in roster.participants or {}:
        checked_id(participant, "participant id")
    seen = set()
    for name in [*(roster.participants or {}).values(), *(tile.name for tile in roster.tiles or [])]:
        if not 0 < len(name.strip()) <= len(name) <= LONGEST_NAME or _unprintable(name):
            raise ValueError(f"name {name[:80]!r} is not 1 to {LONGEST_NAME} characters that can be printed")
        if name in seen:
            raise ValueError(f"name {name!r} is there twice; tell the two apart")
        seen.add(name)


def _unprintable(name: str) -> bool:
    return any(unicodedata.category(character) in UNPRINTABLE for character in name)
