"""The names of all keys in Redis. Pure.

All keys of a lecture carry its id in braces, so that they share one cluster slot.
"""

import re
from dataclasses import dataclass

ID_FORM = "1 to 64 letters, digits, dashes or underscores"
ID = "[A-Za-z0-9_-]{1,64}"
"""A regular expression for the ids of lectures and participants."""


def checked_id(value: str, kind: str) -> str:
    """`value` if it can be the id of a lecture or a participant; otherwise ValueError, which names it by `kind`."""
    if not re.fullmatch(ID, value):
        raise ValueError(f"{kind} {value[:80]!r} is not {ID_FORM}")
    return value


@dataclass(frozen=True)
class LectureKeys:
    """The keys of one lecture. ValueError if `lecture` cannot be an id."""

    lecture: str

    def __post_init__(self) -> None:
        checked_id(self.lecture, "lecture id")

    # Results, which subscribers read.

    @property
    def info(self) -> str:
        """Hash: source, status, fps, frame size, started, ended, and the ledger's counters (`lecture_hash`)."""
        return f"lecture:{{{self.lecture}}}"

    @property
    def participants(self) -> str:
        """Hash: participant id -> `ParticipantSpan` as JSON."""
        return f"{self.info}:participants"

    def participant(self, participant: str) -> str:
        """Stream and channel: the events of one participant."""
        return f"{self.info}:participant:{checked_id(participant, 'participant id')}"

    @property
    def class_(self) -> str:
        """Stream and channel: one event per sampled frame."""
        return f"{self.info}:class"

    # Work in progress, for producers and workers only. It is gone when the lecture has ended.

    def chunk(self, number: int) -> str:
        """Hash with a time to live: the head and the JPEG bytes of a chunk of frames."""
        return f"{self.info}:chunk:{number}"

    @property
    def in_flight(self) -> str:
        """Hash: chunk number -> `InFlight` as JSON, for every chunk that was fed and is not committed yet."""
        return f"{self.info}:in_flight"

    def outcome(self, number: int) -> str:
        """String: the outcome of a chunk, which waits for its turn to be committed."""
        return f"{self.info}:outcome:{number}"

    @property
    def state(self) -> str:
        """String: all that the ordered commit carries from chunk to chunk; `LectureProgress` and more.

        It is deleted when the lecture ends. If the source was not fed to its end, the lecture can be resumed, and the
        state is kept for RESUME_S.
        """
        return f"{self.info}:state"

    @property
    def feeder(self) -> str:
        """String with a short time to live, the feed's heartbeat: it exists while a producer feeds this lecture."""
        return f"{self.info}:feeder"

    @property
    def everything(self) -> str:
        """A SCAN pattern for all keys of the lecture except `info`."""
        return f"{self.info}:*"


RUNNING = "lectures:running"
"""Set: the ids of lectures that have begun and not ended. The transactions that begin and end a lecture do not include
it, so it may be wrong for a moment. Readers check the status in `info`."""

LECTURES = "lecture:{*}"
"""A SCAN pattern that matches the `info` key of every lecture, and other keys too."""

CHUNKS = "lecture:{*}:chunk:*"
"""A SCAN pattern that matches every chunk of every lecture: all pixels in Redis."""

SCAN_STEP = 1000
"""Keys per step of a SCAN: few calls, and none that blocks Redis for long."""

NO_SUCH_KEY = -2
"""The answer of TTL if there is no such key."""


def lecture_of_info_key(key: str) -> str | None:
    """The lecture's id if `key` is an `info` key, else None."""
    found = re.fullmatch(rf"lecture:\{{({ID})\}}", key)
    return found[1] if found else None
