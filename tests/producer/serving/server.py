"""`producer serve` as a real process, and a client for it."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import httpx


@contextmanager
def serving(redis: str | None, *words: str) -> Iterator[str]:
    """The address that `producer serve` prints. It serves on a free port, from the private Redis if `redis` is None."""
    where = [] if redis is None else ["--redis", redis]
    command = [sys.executable, "-m", "producer", "serve", *words, "--port", "0", *where]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            yield server.stdout.readline().strip()
        finally:
            server.terminate()
            assert server.wait(timeout=60) == 143


class Page:
    """Applies patches as the script in the browser does: bins of the class, bins of each participant, newest rest."""

    def __init__(self) -> None:
        self.edition: str | None = None
        self.bins: dict[int, Any] = {}
        self.people: dict[str, dict[int, Any]] = {}
        self.rest: dict[str, Any] = {}

    def take(self, edition: str, patch: dict[str, Any]) -> None:
        self.edition = edition
        if patch["whole"]:
            self.bins, self.people = {}, {}
        self.bins.update((row[0], row) for row in patch["bins"])
        for person in patch["participants"]:
            self.people.setdefault(person["id"], {}).update((row[0], row) for row in person.pop("bins"))
        if patch["parts"] is None:
            patch["parts"] = self.rest.get("parts")
        self.rest = {name: value for name, value in patch.items() if name not in ("whole", "bins")}

    @property
    def state(self) -> Any:
        return self.bins, self.people, self.rest

    def until(self, messages: "Iterator[Message]", **wanted: object) -> "Page":
        """Apply patches until the lecture's standing has all `wanted` values."""
        for message in messages:
            self.take(message.id, message.data)
            if all(self.rest["standing"][name] == value for name, value in wanted.items()):
                return self
        raise AssertionError(f"the stream ended before {wanted}")


class Message(NamedTuple):
    """A server-sent event."""

    id: str
    data: Any


def messages(answer: httpx.Response) -> Iterator[Message]:
    """The server-sent events of an open answer, as they come."""
    position = ""
    for line in answer.iter_lines():
        if line.startswith("id: "):
            position = line.removeprefix("id: ")
        elif line.startswith("data: "):
            yield Message(position, json.loads(line.removeprefix("data: ")))


@contextmanager
def listening(address: str, headers: dict[str, str] | None = None) -> Iterator[Iterator[Message]]:
    """The server-sent events of `address`."""
    with httpx.stream("GET", address, headers={"Accept": "text/event-stream", **(headers or {})}, timeout=60) as answer:
        assert answer.status_code == 200, answer.read()
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield messages(answer)
