"""A feed that runs in a thread of its own."""

import threading

from producer.feeding.fed_lecture import FramesLost
from producer.feeding.feed import Feed
from producer.feeding.sources.source import Source

# Seconds to wait for a feed that stops. It needs one poll of Redis, or more if Redis does not answer.
STOP_S = 10.0

# The same after a second Ctrl-C.
HURRIED_STOP_S = 1.0


class BackgroundFeed:
    """Runs the feed inside this context. At its end `stop` is set, and the feed stops."""

    def __init__(self, feed: Feed, source: Source, stop: threading.Event) -> None:
        self._feed = feed
        self._source = source
        self._stop = stop
        self._failure: Exception | None = None

    def __enter__(self) -> "BackgroundFeed":
        self._start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._stop.set()
        self._thread.join(HURRIED_STOP_S if kind is SystemExit else STOP_S)

    def check(self) -> None:
        """Raise the feed's failure if it failed; otherwise keep its heartbeat. Call this often.

        If Redis has lost frames of a recording after they were all fed, the feed starts again.
        """
        if self._thread.is_alive():
            self._feed.beat()
            return
        if self._failure is not None:
            raise self._failure
        try:
            self._feed.renew()
        except FramesLost:
            self._feed.go_back()
            self._start()

    def _start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="feeding", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._feed.run(self._source, self._stop)
        except Exception as failure:
            self._failure = failure
