"""Sources of cheap frames, and functions that compare all published events of lectures."""

import itertools
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping

import redis
from msgspec import structs

from producer.feeding.feed import Feed
from producer.feeding.sources.frame import SampledFrame
from producer.feeding.sources.source import Source
from producer.feeding.starting import NewLecture
from tests.lectures import events_of, ledger_of
from tests.processes import eventually
from tests.producer.committing import work_on
from worker.contract.keys import LectureKeys
from worker.contract.messages import EndEvent, Event

FPS = 2.0
SIZE = 640, 360
NEVER = threading.Event()


class Slides(Source):
    """A recording with the frames `first` to `count` - 1. `at` is called with the number of each."""

    live = False
    shortfall: str | None = None

    def __init__(self, count: int, first: int = 0, at: Callable[[int], object] = lambda number: None) -> None:
        self._numbers = range(first, count)
        self._at = at

    def frames(self, stop: threading.Event, first: int | None = None) -> Iterator[SampledFrame]:
        for number in self._numbers[first - self._numbers.start if first else 0 :]:
            if stop.is_set():
                return
            self._at(number)
            yield SampledFrame(number, number / FPS, number.to_bytes(2, "big") * 50)

    def close(self) -> None:
        pass


class Camera(Source):
    """A live source: it does not wait until its frames are read."""

    live = True
    shortfall: str | None = None

    def __init__(self) -> None:
        self.taken = 0

    def frames(self, stop: threading.Event, first: int | None = None) -> Iterator[SampledFrame]:
        for number in itertools.count():
            if stop.wait(0.002):
                return
            self.taken = number + 1
            yield SampledFrame(number, number / FPS, bytes(1000))

    def close(self) -> None:
        pass


def feed_camera_through(client: redis.Redis, trouble: Callable[[], object], end_trouble: Callable[[], object]) -> None:
    """Feed a camera through a time in which Redis takes nothing: its frames are dropped and counted."""
    camera, stop, keys = Camera(), threading.Event(), LectureKeys("l")
    feed = Feed.start(client, NewLecture("l", "camera", FPS, *SIZE))
    feeding = threading.Thread(target=feed.run, args=(camera, stop))
    feeding.start()
    eventually(lambda: feed.progress.frames)
    try:
        trouble()
        seen = camera.taken
        eventually(lambda: camera.taken > seen + 200)  # many more than the backlog of a live source
    finally:
        end_trouble()
    eventually(lambda: feed.progress.dropped)
    fed = feed.progress.frames
    work_on(client, keys)
    eventually(lambda: feed.progress.frames > fed)
    stop.set()
    feeding.join()
    work_on(client, keys)
    ledger = ledger_of(client, keys)
    assert ledger.balances
    assert ledger.dropped == feed.progress.dropped > 100
    assert ledger.sampled == camera.taken


def begin(client: redis.Redis, lecture: str) -> Feed:
    return Feed.start(client, NewLecture(lecture, "talk.mp4", FPS, *SIZE))


def published(client: redis.Redis, lecture: str) -> dict[str, list[Event]]:
    """All events of a lecture by stream, as if its id were `l`, so that lectures can be compared."""
    streams = events_of(client, LectureKeys(lecture))
    return {name: [structs.replace(event, lecture="l") for event in stream] for name, stream in streams.items()}


def in_order(events: Iterable[Event]) -> list[str]:
    """Events in a fixed order, to be compared."""
    return sorted(repr(structs.replace(event, lecture="l")) for event in events)


def as_printed(streams: Mapping[str, list[Event]]) -> list[str]:
    """What a command prints of a lecture, in a fixed order: all events, and of the end events that of the class."""
    people = itertools.chain.from_iterable(stream for name, stream in streams.items() if name != "class")
    return in_order([*streams["class"], *(event for event in people if not isinstance(event, EndEvent))])


def undisturbed(client: redis.Redis, count: int) -> dict[str, list[Event]]:
    """The events of a lecture of `count` frames if nothing goes wrong."""
    begin(client, "undisturbed").run(Slides(count), NEVER)
    work_on(client, LectureKeys("undisturbed"))
    assert ledger_of(client, LectureKeys("undisturbed")).balances
    return published(client, "undisturbed")
