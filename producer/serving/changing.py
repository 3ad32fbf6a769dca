"""Requests that change something: add a recording, stop an addition, forget a lecture."""

from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from producer.serving import child
from producer.serving.adding import AddingRefused, Additions
from producer.serving.answers import json
from producer.serving.ingesting import Addition
from producer.serving.parameters import BadRequest, parameter
from worker.contract.keys import checked_id

MAX_WORDS_BYTES = 1 << 16
"""Bytes of a request that names a path."""


class _Path(msgspec.Struct, forbid_unknown_fields=True):
    """A recording on this machine, as a request names it."""

    path: str
    class_only: bool = False
    resume: str | None = None


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

    async def list(self, _: Request) -> Response:
        additions = [_item(each) for each in self.additions.listed]
        return json({"paths": self._paths, "room": self.additions.room, "recordings": additions})

    async def add(self, request: Request) -> Response:
        """Add a recording: as the body, with its name in the address, or as JSON with a path."""
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
            named = msgspec.json.decode(words, type=_Path)
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

    async def stop(self, request: Request) -> Response:
        with suppress(KeyError):
            self.additions.stop(request.path_params["addition"])
        return Response(status_code=204)

    async def forget(self, request: Request) -> Response:
        """Forget a lecture as `producer forget` does, which also erases it from logs and from the disk."""
        lecture = request.path_params["lecture"]
        _lecture_id(lecture)
        said = await child.start(self._redis, "forget", "--", lecture)
        lines = await child.messages(said)
        if said.returncode == 2:
            return json({"error": " ".join(lines)}, 409)
        self.additions.forget(lecture)
        return json({"error": " ".join(lines)}, 500) if said.returncode else Response(status_code=204)


def _lecture_id(text: str | None) -> str | None:
    try:
        return text and checked_id(text, "lecture id")
    except ValueError as wrong:
        raise BadRequest(str(wrong)) from None


def _item(addition: Addition) -> dict[str, Any]:
    """An addition in the JSON for the page."""
    names = ("id", "name", "state", "size", "received", "stopping", "lecture", "messages")
    return {name: getattr(addition, name) for name in names}
