"""The parameters of an address, parsed strictly."""

import re

from starlette.requests import Request

from producer.serving.channel import MAX_PAGE_EVENTS
from producer.serving.entries import START

# A number without a sign or needless zeros, so that every number is written in one way.
_NUMBER = "0|[1-9][0-9]{0,19}"
_POSITION = re.compile(f"({_NUMBER})(-({_NUMBER}))?")

DEFAULT_EVENTS = 1000
"""Events in one answer if the request gives no limit."""

# The same for the description of the API.
POSITION = {"type": "string", "default": START, "description": "A position in a stream, as it came with an event"}
LIMIT = {"type": "integer", "minimum": 1, "maximum": MAX_PAGE_EVENTS, "default": DEFAULT_EVENTS}


class BadRequest(Exception):
    """A request is wrong; the message says which part."""


def parameter(request: Request, name: str, default: str) -> str:
    """A parameter of the query; `default` if it is not there."""
    given = request.query_params.getlist(name) or [default]
    if len(given) > 1:
        raise BadRequest(f"{name} is given {len(given)} times; give it once")
    return given[0]


def position(text: str) -> str:
    if not _POSITION.fullmatch(text) or any(int(part) >= 2**64 for part in text.split("-")):
        raise BadRequest(f"{text[:80]!r} is not a position in a stream; give one that came with an event, or {START}")
    return text


def limit(text: str) -> int:
    if not re.fullmatch(_NUMBER, text) or not 1 <= int(text) <= MAX_PAGE_EVENTS:
        raise BadRequest(
            f"limit {text[:80]!r} is not a number from 1 to {MAX_PAGE_EVENTS}, in digits, without a 0 before them"
        )
    return int(text)
