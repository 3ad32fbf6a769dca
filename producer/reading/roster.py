"""The roster: a YAML file of names. Names are for people to read; they are never written to Redis.

Either part may be missing:

    participants:
      p01: Alice
      p02: {name: Carol, role: lecturer}   # not part of the class's figures; nor is somebody with `exclude: true`
      p03: ""                              # not filled in yet: has no name
    tiles:                                 # x, y, width, height in pixels of the recording
      - {name: Bob, box: [640, 0, 640, 360]}

`producer roster` writes one to fill in.
"""

import unicodedata
from pathlib import Path
from typing import Any

import msgspec

from producer.reading.analysis.names import Names, Roster, RosterRefused
from producer.reading.follow import replay
from producer.reading.lectures import Store, participants, read_lecture
from producer.reading.small_file import read_small
from producer.saying import say
from worker.contract.keys import checked_id

MAX_ROSTER_BYTES = 256 * 1024
"""A gallery of 250 people takes about 20 KB."""

MAX_NAME_LENGTH = 64

# Unicode's categories of control characters, surrogates, and line and paragraph separators.
UNPRINTABLE = frozenset({"Cc", "Cs", "Zl", "Zp"})


def read_roster(path: Path) -> Roster:
    """The roster in the file at `path`; RosterRefused if it cannot be used."""
    try:
        roster = _converted(_parsed(read_small(path, MAX_ROSTER_BYTES)))
        _check(roster)
    except ValueError as wrong:
        raise RosterRefused(f"roster {str(path)!r}: {wrong}") from None
    return roster


def names_in(store: Store, lecture: str, roster: Roster) -> Names:
    """The names of the participants of `lecture`, by all of its events.

    Raises LectureUnknown, and RosterRefused if the roster's tiles do not fit a lecture that is over. Says which
    participants such a lecture lacks; in a running one they may still come.
    """
    over = read_lecture(store, lecture).info.status != "running"
    names = Names(roster)
    if roster.tiles:
        for event in replay(store, lecture):
            names.add(event)
    if over and (unknown := names.check(participants(store, lecture))):
        say(unknown)
    return names


def _parsed(content: bytes) -> dict[Any, Any]:
    import yaml  # late: only rosters need it

    class Loader(yaml.SafeLoader):
        """YAML without aliases, which let a few lines grow to gigabytes, and without a key that is there twice."""

        def compose_node(self, parent: Any, index: Any) -> Any:
            if self.check_event(yaml.AliasEvent):
                mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
                raise yaml.composer.ComposerError(None, None, "aliases (*) are not allowed", mark)
            return super().compose_node(parent, index)

        def compose_mapping_node(self, anchor: Any) -> Any:
            node = super().compose_mapping_node(anchor)
            seen = set()
            for key, _ in node.value:
                if str(key.value) in seen:
                    problem = f"{str(key.value)[:80]!r} is there twice"
                    raise yaml.composer.ComposerError(None, None, problem, key.start_mark)
                seen.add(str(key.value))
            return node

    try:
        parsed = yaml.load(content, Loader)  # only plain values, as `safe_load`  # nosec B506
    except yaml.MarkedYAMLError as wrong:
        line = f" in line {wrong.problem_mark.line + 1}" if wrong.problem_mark else ""
        raise ValueError(f"is not valid YAML: {wrong.problem}{line}") from None
    except yaml.YAMLError:
        raise ValueError("is not valid YAML; write it with a text editor, in UTF-8") from None
    except (RecursionError, AttributeError, LookupError, TypeError, ValueError):  # [[[..., !!bool x, 2020-99-99
        raise ValueError("is not valid YAML; write names in quotes, without nesting or tags") from None
    if not isinstance(parsed, dict):
        raise ValueError("is not a mapping; write `participants:`, and below it lines like `  p01: Alice`")
    return parsed


def _converted(parsed: dict[Any, Any]) -> Roster:
    try:
        return msgspec.convert(parsed, Roster)
    except msgspec.ValidationError as wrong:
        form = (
            '`participants: {p01: "Alice", p02: {name: "Carol", role: lecturer}}` or '
            '`tiles: [{name: "Bob", box: [x, y, width, height]}]`'
        )
        raise ValueError(f"{wrong}; write {form}") from None


def _check(roster: Roster) -> None:
    for participant in roster.participants or {}:
        checked_id(participant, "participant id")
    found = set()
    for person in [*roster.by_id().values(), *(tile.person for tile in roster.tiles or [])]:
        name = person.name
        if name is None or not person.named:
            continue  # not filled in yet
        if len(name) > MAX_NAME_LENGTH or any(unicodedata.category(each) in UNPRINTABLE for each in name):
            raise ValueError(f"name {name[:80]!r} is not 1 to {MAX_NAME_LENGTH} printable characters")
        if name in found:
            raise ValueError(f"name {name!r} is there twice; make them different")
        found.add(name)
