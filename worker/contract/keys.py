"""Where things are in Redis. All keys of a lecture carry its id in braces, so that they share one cluster slot."""

import re
from dataclasses import dataclass

ID_FORM = "1 to 64 letters, digits, dashes or underscores"
ID_PATTERN = r"\A[A-Za-z0-9_-]{1,64}\Z"
_ID = re.compile(ID_PATTERN)


def checked_id(value: str, what: str) -> str:
    """`value`, if it can name a lecture or a participant; ValueError that says what can, if not."""
    if not _ID.fullmatch(value):
        raise ValueError(f"{what} {value[:80]!r} is not {ID_FORM}")
    return value


@dataclass(frozen=True)
class LectureKeys:
    """The names of everything that one lecture keeps in Redis."""

    lecture: str

    def __post_init__(self) -> None:
        checked_id(self.lecture, "lecture id")

    # What subscribers read.

    @property
    def info(self) -> str:
        """Hash: source, status, fps, frame size, started, ended, and the ledger's counters."""
        return f"lecture:{{{self.lecture}}}"

    @property
    def participants(self) -> str:
        """Hash: participant id -> `ParticipantSpan` as JSON."""
        return f"{self.info}:participants"

    def participant(self, participant: str) -> str:
        """Stream and channel: that participant's events."""
        return f"{self.info}:participant:{checked_id(participant, 'participant id')}"

    @property
    def class_(self) -> str:
        """Stream and channel: one event a sampled frame."""
        return f"{self.info}:class"

    # What producer and workers say to each other. None of it outlives the lecture.

    def chunk(self, number: int) -> str:
        """Hash: the head and the JPEG bytes of a chunk of frames, with a time to live."""
        return f"{self.info}:chunk:{number}"

    @property
    def in_flight(self) -> str:
        """Hash: chunk number -> `InFlight` as JSON, for every chunk that was fed and not yet committed."""
        return f"{self.info}:in_flight"

    def outcome(self, number: int) -> str:
        """String: what a worker made of a chunk, waiting for its turn to be committed."""
        return f"{self.info}:outcome:{number}"

    @property
    def state(self) -> str:
        """String: what the ordered commit carries from chunk to chunk; `LectureProgress` and more.

        It goes with the lecture's end, or RESUME_S after it if the lecture was stopped and can be gone on with.
        """
        return f"{self.info}:state"

    @property
    def feeder(self) -> str:
        """String with a short time to live: there while a producer feeds this lecture."""
        return f"{self.info}:feeder"

    @property
    def everything(self) -> str:
        """A SCAN pattern for all keys of the lecture but `info`."""
        return f"{self.info}:*"


RUNNING = "lectures:running"
"""Set: the ids of lectures that were begun and have not ended. A hint for those who look after all of them, written
beside the transactions that begin and end a lecture and not in them: what counts is the status in `info`."""

LECTURES = "lecture:{*}"
"""A SCAN pattern that finds the `info` key of every lecture (among keys that have more behind the braces)."""

CHUNKS = "lecture:{*}:chunk:*"
"""A SCAN pattern that finds every chunk of every lecture: all the pixels that there are."""

_INFO_KEY = re.compile(r"lecture:\{([A-Za-z0-9_-]{1,64})\}")


def lecture_of_info_key(key: str) -> str | None:
    """The lecture's id if `key` is the `info` key of one."""
    found = _INFO_KEY.fullmatch(key)
    return found[1] if found else None


SCAN_STEP = 1000
"""Keys that one step of a SCAN looks at."""

NO_SUCH_KEY = -2
"""The answer of TTL for a missing key."""
