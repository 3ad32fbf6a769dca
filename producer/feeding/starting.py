"""Start a lecture: its first values in Redis."""

import time

from msgspec import Struct, json
from redis.client import Pipeline

from worker.contract.chapters import Chapter
from worker.contract.keys import RUNNING, LectureKeys
from worker.contract.lecture_hash import LectureFields, as_hash
from worker.contract.lifetimes import FEEDER_TTL_S
from worker.contract.limits import MAX_RUNNING_LECTURES
from worker.contract.messages import LectureChoices, encode


class LectureExists(Exception):
    """The lecture's id is taken; the message says what to do."""


class TooManyLectures(Exception):
    """There is no room for another lecture; the message says what to do."""


class NewLecture(Struct, frozen=True):
    """The values that a lecture is started with. `fps` is in frames per second, the size in pixels.

    `chapters` are those of the source. `course` is the id of the course that the lecture belongs to, if the user named
    one. `expected` is the number of frames of a recording that declares its length.
    """

    lecture: str
    source: str
    fps: float
    width: int
    height: int
    choices: LectureChoices = LectureChoices()
    chapters: list[Chapter] = []
    course: str | None = None
    live: bool = False
    expected: int | None = None


def create(pipe: Pipeline, new: NewLecture, token: bytes) -> None:
    """Queue the writes that create the lecture; `pipe` watches its hash. `token` is that of its feed.

    Does nothing if Redis has done them already and only the answer was lost. Raises LectureExists and TooManyLectures.
    """
    keys, choices = LectureKeys(new.lecture), new.choices
    if pipe.hget(keys.info, "feed") == token:
        return
    if pipe.exists(keys.info):
        raise LectureExists(
            f"lecture {new.lecture} exists already: run `producer forget {new.lecture}` first, "
            "or choose another id with --lecture"
        )
    if pipe.scard(RUNNING) >= MAX_RUNNING_LECTURES:
        raise TooManyLectures(
            f"{MAX_RUNNING_LECTURES} lectures are running on this Redis, which is the limit; wait until one is over"
        )
    fields: LectureFields = {
        "source": new.source,
        "status": "running",
        "fps": new.fps,
        "width": new.width,
        "height": new.height,
        "started": time.time(),
        "feed": token,
        "chunks": 0,
        "retention": choices.retention,
        "class_only": int(choices.class_only),
        "live": int(new.live),
        "sampled": 0,
        "published": 0,
        "dropped": 0,
        "failed": 0,
        "min_group": choices.min_group,
    }
    if choices.begin is not None:
        fields["begin"] = choices.begin
    if choices.end is not None:
        fields["end"] = choices.end
    if choices.ignored:
        fields["ignored"] = json.encode(choices.ignored)
    if new.chapters:
        fields["chapters"] = json.encode(new.chapters)
    if new.course is not None:
        fields["course"] = new.course
    if new.expected is not None:
        fields["expected"] = new.expected
    pipe.multi()
    pipe.hset(keys.info, mapping=as_hash(fields))
    pipe.expire(keys.info, choices.retention)
    pipe.set(keys.state, encode(choices), ex=choices.retention)
    pipe.set(keys.feeder, 1, ex=FEEDER_TTL_S)
