"""JSON answers, and the answers to errors."""

import sys
from collections.abc import Awaitable, Callable

import msgspec
from msgspec import Struct
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from producer.reading.lectures import Lecture
from worker.contract.messages import Ledger, Status


def problem(status: int, text: str | None = None) -> Callable[[Request, Exception], Awaitable[Response]]:
    async def answer(_: Request, failure: Exception) -> Response:
        return json(Problem(text or str(failure)), getattr(failure, "status", status))

    return answer


async def unknown(_: Request, failure: Exception) -> Response:
    """The answer to an address or a method that does not exist."""
    assert isinstance(failure, HTTPException)
    answer = json(Problem(f"{failure.detail}; /api/openapi.json describes what there is"), failure.status_code)
    answer.headers.update(failure.headers or {})
    return answer


async def failed(_: Request, failure: Exception) -> Response:
    """The answer to a request that ran into an error of this program, which is printed."""
    sys.excepthook(type(failure), failure, failure.__traceback__)
    return json(Problem("the server failed; its log says why"), 500)


def json(content: object, status: int = 200) -> Response:
    return Response(msgspec.json.encode(content), status, media_type="application/json")


class Problem(Struct, frozen=True):
    """The answer to a request that cannot be served: what is wrong, and what to do."""

    error: str


class LectureItem(Struct, frozen=True):
    """A lecture. Times are seconds since 1970.

    `expected` is the number of frames of a recording that declares its length. `fed` is whether a producer feeds the
    lecture; `abandoned` is one that runs without.
    """

    id: str
    status: Status
    source: str
    fps: float
    live: bool
    expected: int | None
    started: float
    ended: float | None
    reason: str | None
    participants: int
    fed: bool
    abandoned: bool
    ledger: Ledger


class LectureItems(Struct, frozen=True, omit_defaults=True):
    """The lectures that are kept, the oldest first. Those of the cells in `down`, which do not answer, are missing."""

    lectures: list[LectureItem]
    down: list[str] = []


class ParticipantItem(Struct, frozen=True):
    """A participant: the first and the last sighting in seconds of media time, and the number of frames with one."""

    id: str
    first: float
    last: float
    frames: int


class ParticipantItems(Struct, frozen=True):
    """The participants of a lecture, by id."""

    participants: list[ParticipantItem]


def lecture_item(lecture: Lecture) -> LectureItem:
    fields = LectureItem.__struct_fields__
    return LectureItem(*(getattr(lecture if hasattr(lecture, name) else lecture.info, name) for name in fields))
