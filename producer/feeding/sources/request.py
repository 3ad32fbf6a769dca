"""What SOURCE... on the command line asks for: sources, and whom each of them shows."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from producer.feeding.sources.address import SourceError, address_of
from worker.contract.keys import checked_id


class SourceRequest(NamedTuple):
    """A source as it is written (file, URL or camera), and the id of the one person whom it shows, if that is told."""

    source: str
    participant: str | None


def source_requests(words: Sequence[str], participant: str | None = None) -> list[SourceRequest]:
    """The sources that `words`, at least one, ask for: each is SOURCE or NAME=SOURCE.

    A file that exists is a SOURCE, whatever it is called. Of several each has to have a name of its own, a single one
    may have it from `participant` instead. Raises SourceError where that is not so, or a name cannot be an id.
    """
    requests = [_request(word) for word in words]
    if participant is not None:
        if len(requests) > 1 or requests[0].participant is not None:
            raise SourceError(
                f"--participant {participant} names the person of a single SOURCE; leave it out where NAME=SOURCE does"
            )
        return [SourceRequest(requests[0].source, participant)]
    if len(requests) > 1:
        _check_names(requests)
    return requests


def _request(word: str) -> SourceRequest:
    name, equals, source = word.partition("=")
    if not equals or "/" in name or _exists(word):  # a slash: the `=` is inside a URL or a path
        return SourceRequest(word, None)
    try:
        return SourceRequest(source, checked_id(name, "participant id"))
    except ValueError as wrong:
        raise SourceError(f"{wrong}; write NAME=SOURCE") from None


def _exists(word: str) -> bool:
    try:
        return Path(word).exists()
    except (OSError, ValueError):  # too long for a name, or a zero byte in it
        return False


def _check_names(requests: Sequence[SourceRequest]) -> None:
    seen = set()
    for request in requests:
        if request.participant is None:
            shown = address_of(request.source).shown
            raise SourceError(f"{shown}: of several recordings each needs the name of its person; write NAME=SOURCE")
        if request.participant in seen:
            raise SourceError(f"{request.participant} names two recordings; give each person one, and one name")
        seen.add(request.participant)
