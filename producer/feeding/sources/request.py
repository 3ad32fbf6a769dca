"""Parse the words SOURCE and NAME=SOURCE of the command line: the sources, and the person that each of them shows."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from producer.feeding.sources.address import SourceError, address_of
from worker.contract.keys import checked_id


class SourceRequest(NamedTuple):
    """A source as written (file, URL or camera), and the id of the one person it shows, if that person is named."""

    source: str
    participant: str | None


def source_requests(words: Sequence[str], participant: str | None = None) -> list[SourceRequest]:
    """Parse `words`, at least one, each of them SOURCE or NAME=SOURCE.

    A word that is the path of an existing file is a SOURCE. Each of several sources must have its own name. The person
    of a single source may also be given as `participant`. Raises SourceError if a name is missing, double or cannot be
    an id.
    """
    requests = [_request(word) for word in words]
    if participant is not None:
        if len(requests) > 1 or requests[0].participant is not None:
            raise SourceError(
                f"--participant {participant} names the person of a single SOURCE; leave it out if you use NAME=SOURCE"
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
    except (OSError, ValueError):  # too long for a name, or with a zero byte
        return False


def _check_names(requests: Sequence[SourceRequest]) -> None:
    names = set()
    for request in requests:
        if request.participant is None:
            shown = address_of(request.source).shown
            raise SourceError(f"{shown}: each of several recordings needs the name of its person; write NAME=SOURCE")
        if request.participant in names:
            raise SourceError(f"{request.participant} names two recordings; give each recording its own name")
        names.add(request.participant)
