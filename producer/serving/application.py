"""The addresses of the server: pages, their files, and JSON for programs."""

import html
import re
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import redis
from msgspec import structs
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from producer.presentation.caution import CAUTION
from producer.presentation.web import shared_script, shared_style
from producer.reading.analysis.names import Roster
from producer.reading.lectures import Lecture, LectureUnknown, list_lectures, participants, read_lecture
from producer.serving.channel import MAX_PAGE_EVENTS, follow_channel, is_over, read_page
from producer.serving.entries import START
from producer.serving.reader import Readers, TooManyReaders
from producer.serving.stream import HEARTBEAT, HEARTBEAT_S, RETRY, EventStream, Streams, message
from worker.contract.keys import LectureKeys

STATIC = Path(__file__).parent / "static"

MEDIA_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}

DEFAULT_EVENTS = 1000
"""Events in one answer if the request gives no limit."""

# A number without a sign or needless zeros, so that every number is written in one way.
_NUMBER = "0|[1-9][0-9]{0,19}"
_POSITION = re.compile(f"({_NUMBER})(-({_NUMBER}))?")


class NotFound(Exception):
    """An address does not exist; the message says what is missing."""


class BadRequest(Exception):
    """A parameter of an address is wrong; the message says which."""


class Site:
    """The pages and JSON of one lecture (`only`), or of all lectures."""

    def __init__(self, client: redis.Redis, only: str | None, roster: Roster | None) -> None:
        self._client = client
        self._only = only
        self._readers = Readers(client, roster)
        self._streams = Streams()
        self._files = _files()

    def application(self) -> Starlette:
        """The site as an ASGI application."""
        events = "/api/lectures/{lecture}/participants/{participant}/events"
        return Starlette(
            routes=[
                Route("/", self.home),
                Route("/lectures/{lecture}", self.page),
                Route("/lectures/{lecture}/stream", self.board),
                Route("/static/{name}", self.static),
                Route("/api/lectures", self.lectures),
                Route("/api/lectures/{lecture}", self.lecture),
                Route("/api/lectures/{lecture}/participants", self.participants),
                Route("/api/lectures/{lecture}/class/events", self.events),
                Route(events, self.events),
            ],
            exception_handlers={
                NotFound: _problem(404),
                LectureUnknown: _problem(404),
                BadRequest: _problem(400),
                TooManyReaders: _problem(503),
                redis.RedisError: _problem(503, "Redis does not answer; try again"),
            },
        )

    def stop(self) -> None:
        """End all streams and readers."""
        self._streams.stopping = True
        self._readers.stop()

    # Pages.

    def home(self, _: Request) -> Response:
        return self._file("lectures.html") if self._only is None else RedirectResponse(f"/lectures/{self._only}", 303)

    def page(self, request: Request) -> Response:
        self._keys(request)
        return self._file("lecture.html")

    def static(self, request: Request) -> Response:
        return self._file(request.path_params["name"])

    async def board(self, request: Request) -> Response:
        lecture = self._keys(request).lecture
        self._readers.check_room(lecture)
        # A page that was hidden reconnects without the header, but with the edition that it knows.
        since = request.headers.get("last-event-id") or _parameter(request, "since", "")
        return EventStream(self._streams, self._board(lecture, since))

    # JSON.

    def lectures(self, _: Request) -> Response:
        kept = list_lectures(self._client)
        return _json({"lectures": [_lecture_item(each) for each in kept if self._only in (None, each.id)]})

    def lecture(self, request: Request) -> Response:
        return _json(_lecture_item(self._lecture(self._keys(request))))

    def participants(self, request: Request) -> Response:
        spans = participants(self._client, self._keys(request).lecture)
        return _json({"participants": [{"id": each, **structs.asdict(span)} for each, span in spans.items()]})

    def events(self, request: Request) -> Response:
        keys, participant = self._keys(request), request.path_params.get("participant")
        started = self._lecture(keys).info.started
        stream = keys.class_ if participant is None else self._participant(keys, participant)
        live = "text/event-stream" in request.headers.get("accept", "")
        last = request.headers.get("last-event-id") if live else None
        # Both are checked, also where they are not used.
        since = _position(_parameter(request, "since", START))
        limit = _limit(_parameter(request, "limit", str(DEFAULT_EVENTS)))
        since = _position(last) if last else since
        if not live:
            return _json(read_page(self._client, stream, started, since, limit))
        if is_over(self._client, stream, since):
            return Response(status_code=204)  # a browser does not reconnect after this
        return EventStream(self._streams, self._channel(stream, since))

    async def _board(self, lecture: str, since: str | None) -> AsyncGenerator[bytes, None]:
        yield RETRY
        async with self._readers.of(lecture) as reader:
            while not self._streams.stopping:
                if not await reader.news(since, HEARTBEAT_S):
                    yield HEARTBEAT
                    continue
                edition, patch = reader.patch(since)
                yield message(edition, patch)
                since = edition

    async def _channel(self, stream: str, since: str) -> AsyncGenerator[bytes, None]:
        yield RETRY
        quiet_since = time.monotonic()
        async for event in follow_channel(self._client, stream, since):
            if self._streams.stopping:
                return
            if event is not None:
                yield message(*event)
            elif time.monotonic() - quiet_since > HEARTBEAT_S:
                yield HEARTBEAT
            else:
                continue
            quiet_since = time.monotonic()

    def _keys(self, request: Request) -> LectureKeys:
        """The keys of the lecture in the address, if it may be read here."""
        lecture = request.path_params["lecture"]
        if self._only not in (None, lecture):
            raise NotFound(f"only lecture {self._only} is served here")
        try:
            return LectureKeys(lecture)
        except ValueError as wrong:
            raise NotFound(str(wrong)) from None

    def _lecture(self, keys: LectureKeys) -> Lecture:
        try:
            return read_lecture(self._client, keys.lecture)
        except ValueError:  # a stranger's hash under the name of a lecture
            raise LectureUnknown(keys.lecture) from None

    def _participant(self, keys: LectureKeys, participant: str) -> str:
        """The stream of a participant of the lecture."""
        try:
            stream = keys.participant(participant)
        except ValueError as wrong:
            raise NotFound(str(wrong)) from None
        if not self._client.exists(stream):
            if self._client.hexists(keys.participants, participant):
                raise NotFound(f"the events of participant {participant!r} of lecture {keys.lecture!r} are lost")
            raise NotFound(f"lecture {keys.lecture!r} has no participant {participant!r}")
        return stream

    def _file(self, name: str) -> Response:
        if name not in self._files:
            raise NotFound(f"there is no file {name[:80]!r}")
        return Response(self._files[name], media_type=MEDIA_TYPES[Path(name).suffix])


def _files() -> dict[str, bytes]:
    """Name -> content of the files in STATIC, and of those shared with the report."""
    files = {path.name: path.read_bytes() for path in STATIC.iterdir() if path.suffix in MEDIA_TYPES}
    caution = "".join(f"<p>{html.escape(paragraph)}</p>" for paragraph in CAUTION)
    files["lecture.html"] = files["lecture.html"].replace(b"<!-- caution -->", caution.encode())
    return {**files, "shared.css": shared_style().encode(), "shared.js": shared_script().encode()}


def _problem(status: int, text: str | None = None) -> Callable[[Request, Exception], Awaitable[Response]]:
    async def answer(_: Request, failure: Exception) -> Response:
        return _json({"error": text or str(failure)}, status)

    return answer


def _json(content: object, status: int = 200) -> Response:
    return Response(msgspec.json.encode(content), status, media_type="application/json")


def _position(text: str) -> str:
    if not _POSITION.fullmatch(text) or any(int(part) >= 2**64 for part in text.split("-")):
        raise BadRequest(f"{text[:80]!r} is not a position in a stream; give one that came with an event, or {START}")
    return text


def _limit(text: str) -> int:
    if not re.fullmatch(_NUMBER, text) or not 1 <= int(text) <= MAX_PAGE_EVENTS:
        raise BadRequest(
            f"limit {text[:80]!r} is not a number from 1 to {MAX_PAGE_EVENTS}, in digits, without a 0 before them"
        )
    return int(text)


def _parameter(request: Request, name: str, default: str) -> str:
    """A parameter of the query; `default` if it is not there."""
    given = request.query_params.getlist(name) or [default]
    if len(given) > 1:
        raise BadRequest(f"{name} is given {len(given)} times; give it once")
    return given[0]


def _lecture_item(lecture: Lecture) -> dict[str, Any]:
    """A lecture in the JSON for programs. Times are seconds since 1970."""
    info = ("status", "source", "fps", "started", "ended", "reason")
    more = ("participants", "fed", "abandoned", "ledger")
    return {
        "id": lecture.id,
        **{name: getattr(lecture.info, name) for name in info},
        **{name: getattr(lecture, name) for name in more},
    }
