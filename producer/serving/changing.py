"""Requests that change something: add a recording, stop an addition, forget a lecture."""

from contextlib import suppress
from pathlib import Path

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from producer.serving import child
from producer.serving.adding import AddingRefused, Additions
from producer.serving.answers import Problem, json
from producer.serving.ingesting import Addition, State
from producer.serving.openapi import JSON, Body, described
from producer.serving.parameters import BadRequest, parameter
from worker.contract.keys import checked_id

MAX_WORDS_BYTES = 1 << 16
"""Bytes of a request that names a path."""


class RecordingPath(msgspec.Struct, forbid_unknown_fields=True):
    """A recording on this machine. `resume` is the id of the lecture that it continues."""

    path: str
    class_only: bool = False
    resume: str | None = None


class RecordingItem(msgspec.Struct, frozen=True):
    """A recording that is added. `size` and `received` are bytes of an upload, 0 for a path.

    `lecture` is known when its first event is there. `messages` are those of `producer ingest`.
    """

    id: str
    name: str
    state: State
    size: int
    received: int
    stopping: bool
    lecture: str | None
    messages: list[str]


class RecordingItems(msgspec.Struct, frozen=True):
    """The recordings that were added, whether a path may name one, and the bytes that an upload may have."""

    paths: bool
    room: int
    recordings: list[RecordingItem]


class Changes:
    """Additions and forgetting, as routes. With `paths`, a recording on this machine may be named by its path.

    `redis` is the URL that the user gave, None for the private Redis.
    """

    def __init__(self, folder: Path, redis: str | None, paths: bool) -> None:
        self.additions = Additions(folder, redis)
        self._redis = redis
        self._paths = paths

    def routes(self) -> list[Route]:
        one = "/api/recordings/{addition}"
        return [
            Route("/api/recordings", self.list, methods=["GET"]),
            Route("/api/recordings", self.add, methods=["POST"]),
            Route(one, self.stop, methods=["DELETE"]),
            Route("/api/lectures/{lecture}", self.forget, methods=["DELETE"]),
        ]

    @described(Body(JSON, RecordingItems))
    async def list(self, _: Request) -> Response:
        """The recordings that are being added, and those added last."""
        additions = [_item(each) for each in self.additions.listed]
        return json(RecordingItems(self._paths, self.additions.room, additions))

    @described(
        Body(JSON, RecordingItem),
        status=201,
        query={"name": {"type": "string"}, "class_only": {"enum": ["0", "1"]}, "resume": {"type": "string"}},
        body=[Body("application/octet-stream"), Body(JSON, RecordingPath)],
    )
    async def add(self, request: Request) -> Response:
        """Add a recording: as the body, with its name in the address, or as JSON with a path.

        Content-Length is needed. A path is accepted only on loopback.
        """
        kind = request.headers.get("content-type", "")
        if kind == "application/json":
            return json(_item(self._add_path(await self._words(request))), 201)
        if kind != "application/octet-stream":
            raise BadRequest(f"content type {kind[:80]!r}; send application/octet-stream, or JSON with a path")
        class_only = parameter(request, "class_only", "0")
        if class_only not in ("0", "1"):
            raise BadRequest(f"class_only {class_only[:80]!r} is not 0 or 1")
        name, size = parameter(request, "name", ""), request.headers.get("content-length", "")
        if not size.isascii() or not size.isdecimal() or len(size) > 18:
            raise BadRequest("the length of the recording is not given; send Content-Length")
        with suppress(ClientDisconnect):
            resume = _lecture_id(parameter(request, "resume", "") or None)
            made = await self.additions.upload(name, int(size), request.stream(), class_only == "1", resume)
            return json(_item(made), 201)
        return Response(status_code=400)  # nobody reads it

    def _add_path(self, words: bytes) -> Addition:
        if not self._paths:
            raise AddingRefused("a path is accepted only by a server on loopback; upload the recording", 403)
        try:
            named = msgspec.json.decode(words, type=RecordingPath)
        except msgspec.DecodeError as wrong:
            raise BadRequest(f'{wrong}; send {{"path": "/folder/lecture.mp4"}}') from None
        return self.additions.add_path(named.path, named.class_only, _lecture_id(named.resume))

    async def _words(self, request: Request) -> bytes:
        words = b""
        async for part in request.stream():
            words += part
            if len(words) > MAX_WORDS_BYTES:
                raise BadRequest(f"the request is longer than {MAX_WORDS_BYTES} bytes")
        return words

    @described(status=204)
    async def stop(self, request: Request) -> Response:
        """Stop an addition as Ctrl-C does."""
        with suppress(KeyError):
            self.additions.stop(request.path_params["addition"])
        return Response(status_code=204)

    @described(status=204)
    async def forget(self, request: Request) -> Response:
        """Forget a lecture as `producer forget` does, which also erases it from logs and from the disk."""
        lecture = request.path_params["lecture"]
        _lecture_id(lecture)
        said = await child.start(self._redis, "forget", "--", lecture)
        lines = await child.messages(said)
        if said.returncode == 2:
            return json(Problem(" ".join(lines)), 409)
        self.additions.forget(lecture)
        return json(Problem(" ".join(lines)), 500) if said.returncode else Response(status_code=204)


def _lecture_id(text: str | None) -> str | None:
    try:
        return text and checked_id(text, "lecture id")
    except ValueError as wrong:
        raise BadRequest(str(wrong)) from None


def _item(addition: Addition) -> RecordingItem:
    return RecordingItem(**{name: getattr(addition, name) for name in RecordingItem.__struct_fields__})
