"""Recordings that are added on the page: uploaded or named by a path, and then read by `producer ingest`, one by one.

An upload is a file in the server's folder until its ingest has ended. Only the decoder reads it.
"""

import asyncio
import secrets
import shutil
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path

from starlette.concurrency import run_in_threadpool

from producer.saying import say
from producer.serving.ingesting import Addition, Ingest
from worker.contract.limits import MAX_RECORDING_BYTES

# Recordings that may be unfinished at the same time, and finished ones that are still listed.
MAX_UNFINISHED = 20
MAX_FINISHED = 20

SPARED_BYTES = 1 << 30
"""Bytes of the disk that uploads leave free."""

# Seconds after which an upload without a byte is given up.
STALLED_S = 60.0

# Seconds that an ingest has to finish what is in flight when the server stops. Then it ends at once; it can be resumed.
CLOSE_S = 30.0

# Bytes of a file's name in Linux.
MAX_NAME_BYTES = 255


class AddingRefused(Exception):
    """A recording cannot be added; the message says why. `status` is that of the answer."""

    def __init__(self, message: str, status: int = 409) -> None:
        super().__init__(message)
        self.status = status


class Additions:
    """All additions since the server began, and the ingest of one of them at a time."""

    def __init__(self, folder: Path, redis: str | None) -> None:
        """`folder` is for uploads; `redis` the URL that the user gave, None for the private Redis."""
        self._folder = folder
        self._ingest = Ingest(redis)
        self._all: dict[str, Addition] = {}
        self._reading: asyncio.Task[None] | None = None
        self._closed = False

    @property
    def listed(self) -> list[Addition]:
        return list(self._all.values())

    @property
    def room(self) -> int:
        """Bytes that an upload may have."""
        promised = sum(each.size - each.received for each in self._all.values() if each.state == "uploading")
        return max(0, min(shutil.disk_usage(self._folder).free - SPARED_BYTES - promised, MAX_RECORDING_BYTES))

    def add_path(self, path: str, class_only: bool = False, resume: str | None = None) -> Addition:
        """Add the recording at `path` on this machine, to continue the lecture `resume`. Raises AddingRefused."""
        with suppress(RuntimeError, ValueError):
            whole = Path(path).expanduser()
            if whole.is_absolute() and "\0" not in path:
                made = self._begun(Addition(_new_id(), whole.name, whole, "waiting", class_only, resume))
                self._read_next()
                return made
        raise AddingRefused(f"{path[:200]!r} is not a whole path; write it from / or ~ on", 400)

    async def upload(
        self,
        name: str,
        size: int,
        content: AsyncIterator[bytes],
        class_only: bool = False,
        resume: str | None = None,
    ) -> Addition:
        """Add a recording of `size` bytes that is uploaded, as in `add_path`. Raises AddingRefused."""
        name = _file_name(name)
        if size > MAX_RECORDING_BYTES:
            raise AddingRefused(f"{name}: has {size} bytes; the limit is {MAX_RECORDING_BYTES}; cut it into parts", 413)
        if size > self.room:
            raise AddingRefused(
                f"{name}: has {size} bytes, and the disk has room for {self.room}; free some space", 507
            )
        made = self._begun(Addition(_new_id(), name, Path(), "uploading", class_only, resume, True, size))
        try:
            made.path = await run_in_threadpool(self._new_file, made.id, name)
            with made.path.open("wb") as file:
                while chunk := await asyncio.wait_for(anext(content, b""), STALLED_S):
                    await run_in_threadpool(file.write, chunk)
                    made.received += len(chunk)
                    if made.stopping or self._closed:
                        raise AddingRefused(f"{name}: the upload was stopped")
        except asyncio.TimeoutError:
            self._drop(made)
            raise AddingRefused(f"{name}: nothing came for {STALLED_S:g} s; add it again", 408) from None
        except OSError as failure:
            self._drop(made)
            raise AddingRefused(f"{name}: cannot be stored: {failure.strerror}; free some space", 507) from None
        except BaseException:
            self._drop(made)
            raise
        made.state = "waiting"
        self._read_next()
        return made

    def stop(self, id: str) -> None:
        """Stop an addition; if it has ended, do not list it any more. KeyError if there is none."""
        each = self._all[id]
        each.stopping = True
        if each.state == "reading":
            self._ingest.stop()
        elif each.state != "uploading":  # an upload notices
            self._drop(each)

    def forget(self, lecture: str) -> None:
        """Do not list finished additions of this lecture."""
        for each in self.listed:
            if each.lecture == lecture and not each.unfinished:
                self._drop(each)

    async def close(self, hurried: Callable[[], bool]) -> None:
        """Stop everything, and wait for the ingest to end. After CLOSE_S, or if `hurried` is true, it ends at once."""
        self._closed = True
        reading = next((each for each in self.listed if each.state == "reading"), None)
        if reading is None or self._reading is None:
            return
        say(f"stopping the ingest of {reading.name}; workers finish what is in flight (Ctrl-C again exits at once)")
        self.stop(reading.id)
        until = time.monotonic() + CLOSE_S
        while not self._reading.done() and not hurried() and time.monotonic() < until:
            await asyncio.wait({self._reading}, timeout=0.1)
        for end in (self._ingest.stop, self._ingest.kill):
            if not self._reading.done():
                end()
                await asyncio.wait({self._reading}, timeout=CLOSE_S)
        for line in reading.messages:
            say(line)

    def _begun(self, addition: Addition) -> Addition:
        """List an addition, if there is room. Raises AddingRefused."""
        if self._closed:
            raise AddingRefused("the server is stopping", 503)
        unfinished = [each for each in self.listed if each.unfinished]
        if len(unfinished) >= MAX_UNFINISHED:
            raise AddingRefused(f"{MAX_UNFINISHED} recordings are being added already; wait until one is read", 503)
        finished = [each for each in self.listed if not each.unfinished]
        for old in finished[: max(0, len(finished) - MAX_FINISHED + 1)]:
            self._drop(old)
        self._all[addition.id] = addition
        return addition

    def _new_file(self, id: str, name: str) -> Path:
        folder = self._folder / id
        folder.mkdir(mode=0o700)
        path = folder / name
        path.touch(mode=0o600)
        return path

    def _drop(self, addition: Addition) -> None:
        self._all.pop(addition.id, None)
        self._delete(addition)

    def _delete(self, addition: Addition) -> None:
        if addition.upload:
            shutil.rmtree(self._folder / addition.id, ignore_errors=True)

    def _read_next(self) -> None:
        """Begin to read the next recording, if none is being read."""
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(self._read_all())

    async def _read_all(self) -> None:
        while not self._closed and (waiting := [each for each in self.listed if each.state == "waiting"]):
            try:
                await self._ingest.run(waiting[0])
            finally:
                self._delete(waiting[0])


def _new_id() -> str:
    return secrets.token_hex(8)


def _file_name(text: str) -> str:
    """A name for an upload, like that of the user's file, without its folders."""
    last = text.replace("\\", "/").rpartition("/")[2]
    plain = "".join(each for each in last if each.isprintable()).strip()
    plain = plain.encode()[-MAX_NAME_BYTES:].decode(errors="ignore")  # the ending matters more than the beginning
    return plain if plain.strip(". ") else "recording"
