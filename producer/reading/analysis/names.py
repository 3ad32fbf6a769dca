"""Names of participants, by a roster: by id, or by the place in the picture where somebody is shown."""

from collections import Counter
from collections.abc import Collection
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from producer.reading.analysis.losses import Loss
from worker.contract.messages import EmotionEvent, Event, encode

Length = Annotated[float, Meta(gt=0)]
Role = Literal["lecturer"]


class RosterRefused(Exception):
    """A roster that cannot be read or does not fit its lecture; the message says why."""


class Person(Struct, frozen=True, forbid_unknown_fields=True):
    """What a roster says of a person. The lecturer and excluded people are left out of the class's figures."""

    name: str | None = None
    role: Role | None = None
    exclude: bool = False

    @property
    def left_out(self) -> bool:
        return self.exclude or self.role is not None

    @property
    def named(self) -> bool:
        """Whether there is a name; a roster to fill in has none yet."""
        return bool(self.name and self.name.strip())


class Tile(Struct, frozen=True, forbid_unknown_fields=True):
    """The place where one person is shown. `box` is x, y, width, height in pixels of the recording."""

    name: str
    box: tuple[float, float, Length, Length]
    role: Role | None = None
    exclude: bool = False

    @property
    def person(self) -> Person:
        return Person(self.name, self.role, self.exclude)

    def holds(self, event: EmotionEvent) -> bool:
        """Whether the middle of the face is inside."""
        x, y, width, height = self.box
        face_x, face_y, face_width, face_height = event.box
        return 0 <= face_x + face_width / 2 - x < width and 0 <= face_y + face_height / 2 - y < height


class Roster(Struct, frozen=True, forbid_unknown_fields=True):
    """Names by participant id (a name alone, or a Person) and by tile."""

    participants: dict[str, str | Person | None] | None = None
    tiles: list[Tile] | None = None

    def by_id(self) -> dict[str, Person]:
        """The people of `participants`."""
        given = (self.participants or {}).items()
        return {each: said if isinstance(said, Person) else Person(said) for each, said in given}


class Names:
    """The names of a lecture's participants, as far as the events that were added show them.

    A name by id comes first. Otherwise a participant gets the name of the tile that holds more than half of their
    sightings. They get none if two tiles do, or if the tile holds most of another participant's sightings too.
    """

    def __init__(self, roster: Roster) -> None:
        self._by_id = {each: person for each, person in roster.by_id().items() if person.named or person.left_out}
        self._tiles = roster.tiles or []
        self._last_frame: dict[str, int] = {}
        self._sightings: Counter[str] = Counter()
        self._in_tiles: dict[str, Counter[int]] = {}
        self._main_tiles: dict[str, list[int]] = {}

    def add(self, event: Event) -> None:
        """Add an event. Each participant's events come in order; an event that comes again is ignored."""
        if not self._tiles or not isinstance(event, EmotionEvent) or event.participant in self._by_id:
            return
        participant = event.participant
        if event.frame <= self._last_frame.get(participant, -1):
            return
        self._last_frame[participant] = event.frame
        self._sightings[participant] += 1
        inside = self._in_tiles.setdefault(participant, Counter())
        inside.update(number for number, tile in enumerate(self._tiles) if tile.holds(event))
        half = self._sightings[participant] / 2
        self._main_tiles[participant] = [number for number, count in inside.items() if count > half]

    def of(self, participant: str) -> str | None:
        """The participant's name; None if they have none."""
        person = self._person(participant)
        return person.name if person is not None and person.named else None

    def left_out(self, seen: Collection[str]) -> dict[str, str]:
        """Those of the participants `seen` who do not count for the class, each with the reason in words."""
        people = {each: self._person(each) for each in seen}
        return {each: person.role or "excluded" for each, person in people.items() if person and person.left_out}

    def check(self, seen: Collection[str]) -> str:
        """What the roster says of people who are not in a lecture that is over and has the participants `seen`.

        Empty if there are none. Raises RosterRefused if its tiles do not fit the lecture.
        """
        for number, tile in enumerate(self._tiles):
            inside = self._participants_in(number)
            if len(inside) > 1:
                raise RosterRefused(
                    f"the roster's tile {tile.name!r} shows {' and '.join(inside)}; name them by their ids"
                )
        for participant, tiles in sorted(self._main_tiles.items()):
            if len(tiles) > 1:
                both = " and ".join(repr(self._tiles[number].name) for number in sorted(tiles))
                raise RosterRefused(f"the roster's tiles {both} both show {participant}; name {participant} by id")
        unknown = self.unknown(seen)
        known = ", ".join(sorted(seen, key=natural_order)) or "nobody"
        return f"the roster names {', '.join(unknown)}, not seen in the lecture; seen: {known}" if unknown else ""

    def unknown(self, seen: Collection[str]) -> list[str]:
        """The ids that the roster names and that are not among the participants `seen`."""
        return sorted(set(self._by_id).difference(seen), key=natural_order)

    def _person(self, participant: str) -> Person | None:
        if participant in self._by_id:
            return self._by_id[participant]
        tiles = self._main_tiles.get(participant, [])
        unique = len(tiles) == 1 and self._participants_in(tiles[0]) == [participant]
        return self._tiles[tiles[0]].person if unique else None

    def _participants_in(self, tile: int) -> list[str]:
        return sorted(participant for participant, tiles in self._main_tiles.items() if tile in tiles)


def encode_named(event: Event | Loss, names: Names | None) -> bytes:
    """The event's JSON. With `names`, a participant's event has one more field, `name`, which may be null."""
    if names is None or not isinstance(event, EmotionEvent):
        return encode(event)
    return msgspec.json.encode({**msgspec.to_builtins(event), "name": names.of(event.participant)})


def natural_order(participant: str) -> tuple[str, int]:
    """A sort key that puts p9 before p10 and p100 after p99."""
    prefix = participant.rstrip("0123456789")
    return prefix, int(participant[len(prefix) :] or -1)
