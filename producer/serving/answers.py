"""JSON answers, and the answers to errors."""

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from producer.reading.lectures import Lecture


def problem(status: int, text: str | None = None) -> Callable[[Request, Exception], Awaitable[Response]]:
    async def answer(_: Request, failure: Exception) -> Response:
        return json({"error": text or str(failure)}, getattr(failure, "status", status))

    return answer


def json(content: object, status: int = 200) -> Response:
    return Response(msgspec.json.encode(content), status, media_type="application/json")


def lecture_item(lecture: Lecture) -> dict[str, Any]:
    """A lecture in the JSON for programs. Times are seconds since 1970."""
    info = ("status", "source", "fps", "live", "expected", "started", "ended", "reason")
    more = ("participants", "fed", "abandoned", "ledger")
    return {
        "id": lecture.id,
        **{name: getattr(lecture.info, name) for name in info},
        **{name: getattr(lecture, name) for name in more},
    }
