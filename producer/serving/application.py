"""The addresses of the server: pages, their files, and JSON for programs."""

import html
import shutil
import time
from collections.abc import AsyncGenerator
from pathlib import Path

import redis
from msgspec import structs
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from producer.archive.lecture import ArchiveDamaged
from producer.archive.place import ArchiveUnusable
from producer.cells.connections import CellDown, Cells
from producer.presentation.caution import CAUTION
from producer.presentation.web import shared_script, shared_style
from producer.reading.analysis.names import Roster, RosterRefused
from producer.reading.choosing import store_of
from producer.reading.formats.choice import FORMATS
from producer.reading.lectures import (
    Lecture,
    LectureUnknown,
    Missing,
    Store,
    all_lectures,
    participants,
    read_lecture,
)
from producer.reading.merging import LectureUnreadable
from producer.reading.output_file import ExportRefused
from producer.serving.adding import AddingRefused
from producer.serving.answers import (
    LectureItem,
    LectureItems,
    ParticipantItem,
    ParticipantItems,
    failed,
    json,
    lecture_item,
    problem,
    unknown,
)
from producer.serving.changing import Changes
from producer.serving.channel import Channel, Page, follow_channel, is_over, read_page
from producer.serving.entries import START
from producer.serving.openapi import EVENT_STREAM, JSON, Body, described, openapi
from producer.serving.parameters import DEFAULT_EVENTS, LIMIT, POSITION, BadRequest, limit, parameter, position
from producer.serving.reader import Readers, TooManyReaders
from producer.serving.reports import Reports
from producer.serving.stream import HEARTBEAT, HEARTBEAT_S, RETRY, EventStream, Streams, message
from worker.contract.keys import LectureKeys

STATIC = Path(__file__).parent / "static"

MEDIA_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}

# The rest of the policy is in the report itself, which holds all its scripts.
REPORT_POLICY = "frame-ancestors 'none'"

EVENTS = described(Body(JSON, Page), Body(EVENT_STREAM), query={"since": POSITION, "limit": LIMIT})


class NotFound(Exception):
    """An address does not exist; the message says what is missing."""


class Site:
    """The pages and JSON of one lecture (`only`), or of all lectures, to which `changes` may add others.

    `folder` is for files that are made for an answer.
    """

    def __init__(self, cells: Cells, only: str | None, roster: Roster | None, folder: Path) -> None:
        self._cells = cells
        self._only = only
        self._reports = Reports(cells, folder, roster, home=only is None)
        self._readers = Readers(cells, roster)
        self._streams = Streams()
        self._files = _files()

    def application(self, changes: Changes | None) -> Starlette:
        """The site as an ASGI application; it is read only without `changes`."""
        events = "/api/lectures/{lecture}/participants/{participant}/events"
        return Starlette(
            routes=[
                Route("/", self.home),
                Route("/lectures/{lecture}", self.page),
                Route("/lectures/{lecture}/stream", self.board),
                Route("/lectures/{lecture}/export.{ending}", self.export),
                Route("/static/{name}", self.static),
                Route("/api/openapi.json", self.openapi),
                Route("/api/lectures", self.lectures),
                Route("/api/lectures/{lecture}", self.lecture),
                Route("/api/lectures/{lecture}/participants", self.participants),
                Route("/api/lectures/{lecture}/class/events", self.class_events),
                Route(events, self.participant_events),
                *(changes.routes() if changes is not None else ()),
            ],
            exception_handlers={
                HTTPException: unknown,
                Exception: failed,
                NotFound: problem(404),
                LectureUnknown: problem(404),
                LectureUnreadable: problem(409),
                BadRequest: problem(400),
                RosterRefused: problem(409),
                ExportRefused: problem(409),
                AddingRefused: problem(409),
                TooManyReaders: problem(503),
                CellDown: problem(503),
                ArchiveUnusable: problem(503),
                ArchiveDamaged: problem(409),
                redis.RedisError: problem(503, "Redis does not answer; try again"),
            },
        )

    def stop(self) -> None:
        """End all streams and readers."""
        self._streams.stopping = True
        self._readers.stop()

    # Pages.

    def home(self, _: Request) -> Response:
        return self._file("lectures.html") if self._only is None else RedirectResponse(f"/lectures/{self._only}", 303)

    async def page(self, request: Request) -> Response:
        """The report of a lecture that is over; otherwise the live page."""
        keys = self._keys(request)
        try:
            found = await run_in_threadpool(self._lecture, keys)
        except LectureUnknown:  # it may begin later
            return self._file("lecture.html")
        except (CellDown, redis.RedisError):  # the page says so, and shows the lecture when Redis is back
            return self._file("lecture.html", 503)
        except (ArchiveUnusable, ArchiveDamaged) as failure:
            return PlainTextResponse(f"Lecture {keys.lecture} cannot be shown: {failure}", 503)
        if found.info.status == "running":
            return self._file("lecture.html")
        page = await self._reports.of(keys.lecture)
        return Response(page, media_type="text/html", headers={"Content-Security-Policy": REPORT_POLICY})

    @described(Body("*/*"))
    async def export(self, request: Request) -> Response:
        """Download a lecture as a file; `ending` names the format, as in `producer export`."""
        lecture, ending = self._keys(request).lecture, request.path_params["ending"]
        if ending not in FORMATS:
            raise NotFound(f"there is no export.{ending[:80]}; there are {', '.join(FORMATS)}")
        path = await self._reports.export(lecture, ending)
        gone = BackgroundTask(shutil.rmtree, path.parent, ignore_errors=True)
        return FileResponse(path, filename=path.name, background=gone)

    def static(self, request: Request) -> Response:
        return self._file(request.path_params["name"])

    async def board(self, request: Request) -> Response:
        lecture = self._keys(request).lecture
        self._readers.check_room(lecture)
        # A page that was hidden reconnects without the header, but with the edition that it knows.
        since = request.headers.get("last-event-id") or parameter(request, "since", "")
        return EventStream(self._streams, self._board(lecture, since))

    # JSON.

    def openapi(self, request: Request) -> Response:
        return json(openapi(request.app.routes))

    @described(Body(JSON, LectureItems))
    def lectures(self, _: Request) -> Response:
        """The lectures, the oldest first."""
        kept, missing = all_lectures(self._cells)
        self._reports.keep_only({each.id for each in kept})
        items = [lecture_item(each) for each in kept if self._only in (None, each.id)]
        return json(LectureItems(items, [_name(each) for each in missing]))

    @described(Body(JSON, LectureItem))
    def lecture(self, request: Request) -> Response:
        """A lecture."""
        return json(lecture_item(self._lecture(self._keys(request))))

    @described(Body(JSON, ParticipantItems))
    def participants(self, request: Request) -> Response:
        """The participants of a lecture."""
        lecture = self._keys(request).lecture
        spans = participants(store_of(self._cells, lecture), lecture)
        return json(ParticipantItems([ParticipantItem(each, **structs.asdict(span)) for each, span in spans.items()]))

    @EVENTS
    def participant_events(self, request: Request) -> Response:
        """The events of a participant, as they were published.

        They come as JSON, page by page: the `limit` events behind the position `since`. A client that accepts
        text/event-stream gets them as they come, until the end; 204 says that no more will come.
        """
        return self._events(request)

    @EVENTS
    def class_events(self, request: Request) -> Response:
        """The events of the class, as they were published; otherwise like those of a participant."""
        return self._events(request)

    def _events(self, request: Request) -> Response:
        keys, participant = self._keys(request), request.path_params.get("participant")
        started = self._lecture(keys).info.started
        store = store_of(self._cells, keys.lecture)
        if participant is not None:
            _check_participant(store, keys, participant)
        channel = Channel(store, keys, participant)
        live = EVENT_STREAM in request.headers.get("accept", "")
        last = request.headers.get("last-event-id") if live else None
        # Both are checked, also where they are not used.
        since = position(parameter(request, "since", START))
        most = limit(parameter(request, "limit", str(DEFAULT_EVENTS)))
        since = position(last) if last else since
        if not live:
            return json(read_page(channel, started, since, most))
        if is_over(channel, since):
            return Response(status_code=204)  # a browser does not reconnect after this
        return EventStream(self._streams, self._channel(channel, since))

    async def _board(self, lecture: str, since: str | None) -> AsyncGenerator[bytes, None]:
        yield RETRY
        async with self._readers.of(lecture) as reader:
            while not (self._streams.stopping or reader.stopped):
                if not await reader.news(since, HEARTBEAT_S):
                    yield HEARTBEAT
                    continue
                edition, patch = reader.patch(since)
                yield message(edition, patch)
                since = edition

    async def _channel(self, channel: Channel, since: str) -> AsyncGenerator[bytes, None]:
        yield RETRY
        quiet_since = time.monotonic()
        async for event in follow_channel(channel, since):
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
            return read_lecture(store_of(self._cells, keys.lecture), keys.lecture)
        except ValueError:  # a stranger's hash under the name of a lecture
            raise LectureUnknown(keys.lecture) from None

    def _file(self, name: str, status: int = 200) -> Response:
        if name not in self._files:
            raise NotFound(f"there is no file {name[:80]!r}")
        return Response(self._files[name], status, media_type=MEDIA_TYPES[Path(name).suffix])


def _check_participant(store: Store, keys: LectureKeys, participant: str) -> None:
    """NotFound if the lecture has no such participant, or their events are lost."""
    try:
        stream = keys.participant(participant)
    except ValueError as wrong:
        raise NotFound(str(wrong)) from None
    if isinstance(store, redis.Redis):
        if store.exists(stream):
            return
        if store.hexists(keys.participants, participant):
            raise NotFound(f"the events of participant {participant!r} of lecture {keys.lecture!r} are lost")
    elif participant in store.participants:
        return
    raise NotFound(f"lecture {keys.lecture!r} has no participant {participant!r}")


def _name(missing: Missing) -> str:
    """What cannot be read, for a list of lectures that lacks some."""
    if isinstance(missing, ArchiveDamaged):
        return f"the archive's file of {missing.lecture}"
    return missing.cell.name if isinstance(missing, CellDown) else "the archive"


def _files() -> dict[str, bytes]:
    """Name -> content of the files in STATIC, and of those shared with the report."""
    files = {path.name: path.read_bytes() for path in STATIC.iterdir() if path.suffix in MEDIA_TYPES}
    caution = "".join(f"<p>{html.escape(paragraph)}</p>" for paragraph in CAUTION)
    files["lecture.html"] = files["lecture.html"].replace(b"<!-- caution -->", caution.encode())
    return {**files, "shared.css": shared_style().encode(), "shared.js": shared_script().encode()}
