"""One recording that is added on the page, and `producer ingest`, which reads it."""

import asyncio
from asyncio.subprocess import Process
from contextlib import suppress
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct

from producer.serving import child

State = Literal["uploading", "waiting", "reading", "done", "failed", "stopped"]

# Messages of an ingest that are kept, the newest. One names what is wrong with a file; few recordings have more.
MAX_MESSAGES = 5


class Addition(Struct):
    """A recording that is added. `size` and `received` are bytes of an upload, 0 for a path.

    `lecture` is known when its first event is there. `resume` is the lecture that it continues. `messages` are those of
    `producer ingest`.
    """

    id: str
    name: str
    path: Path
    state: State
    class_only: bool = False
    resume: str | None = None
    upload: bool = False
    size: int = 0
    received: int = 0
    stopping: bool = False
    lecture: str | None = None
    messages: list[str] = []

    @property
    def unfinished(self) -> bool:
        return self.state in ("uploading", "waiting", "reading")


class Ingest:
    """Runs `producer ingest` for one addition after the other. `redis` is the URL of a Redis, None the private one."""

    def __init__(self, redis: str | None) -> None:
        self._redis = redis
        self._child: Process | None = None

    async def run(self, addition: Addition) -> None:
        """Read the addition, to its end or until it is stopped. It never raises because of the child."""
        addition.state = "reading"
        options = ["--class-only"] if addition.class_only else []
        options += [f"--lecture={addition.resume}", "--resume"] if addition.resume else []
        try:
            self._child = await child.start(self._redis, "ingest", str(addition.path), "--json", *options)
            code = await self._follow(addition, self._child)
        except (OSError, ValueError) as failure:  # no process can be started, or it writes no lines
            addition.messages = [f"{addition.name}: cannot be read now: {failure}"]
            code = 1
        finally:
            self._child = None
        addition.state = "done" if code == 0 else "stopped" if addition.stopping else "failed"
        if addition.state == "failed" and not addition.messages:
            addition.messages = [f"{addition.name}: `producer ingest` ended with exit code {code}"]

    def stop(self) -> None:
        """Stop as Ctrl-C does: what is in flight is finished. The second time, the child exits at once."""
        if self._child is not None:
            with suppress(ProcessLookupError):
                self._child.terminate()

    def kill(self) -> None:
        if self._child is not None:
            with suppress(ProcessLookupError):
                self._child.kill()

    async def _follow(self, addition: Addition, ingest: Process) -> int:
        """Read what the child writes; its exit code."""
        if addition.stopping:  # meanwhile
            self.stop()
        try:
            await asyncio.gather(_follow_events(addition, ingest), _follow_messages(addition, ingest))
        finally:
            if not (ingest.stdout and ingest.stdout.at_eof()):
                self.stop()
        return await ingest.wait()


async def _follow_events(addition: Addition, ingest: Process) -> None:
    """Take the events. If nobody takes them, because the server was killed, the child stops its lecture."""
    assert ingest.stdout is not None
    first = await ingest.stdout.readline()
    with suppress(msgspec.DecodeError):
        addition.lecture = msgspec.json.decode(first, type=_Event).lecture
    while await ingest.stdout.read(1 << 16):
        pass


async def _follow_messages(addition: Addition, ingest: Process) -> None:
    assert ingest.stderr is not None
    async for line in ingest.stderr:
        said = child.message(line.decode(errors="replace"))
        if said is not None and not said.startswith("stopping;"):  # it speaks of Ctrl-C
            # The user knows an upload by its name.
            shown = said.replace(str(addition.path), addition.name) if addition.upload else said
            addition.messages = [*addition.messages, shown][-MAX_MESSAGES:]


class _Event(Struct):
    """What is read of an event: its lecture."""

    lecture: str
