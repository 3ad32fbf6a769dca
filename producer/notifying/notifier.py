"""Follows the events of a lecture and notifies a webhook: of each moment when it is found, and of the end."""

import math
import threading
import time
from queue import SimpleQueue

from producer.notifying.sending import UNWANTED, Sender
from producer.notifying.webhook import Webhook
from producer.reading.analysis.moment import Moment
from producer.reading.analysis.moments import grown_enough, moments
from producer.reading.analysis.names import Names, Roster
from producer.reading.analysis.timeline_builder import TimelineBuilder
from producer.saying import say
from producer.stopping import Stop
from worker.contract.messages import ClassEvent, EndEvent, Event

# Seconds for the last messages after the end of a lecture, and of one that Ctrl-C has stopped.
LAST_S = 120.0
STOPPED_S = 10.0

# Seconds of waiting after which a line says so, and between two checks for Ctrl-C.
SAY_AFTER_S = 3.0
POLL_S = 0.2

MOMENT, ENDED = "lecture.moment", "lecture.ended"
"""The types of messages."""


class Notifier:
    """Takes events with `add`, and does everything else in threads, so that it delays no event and no commit.

    At the end of this context it waits until the receiver has taken everything: at most LAST_S, or until a signal. It
    does not wait after an exception.
    """

    def __init__(
        self, webhook: Webhook, fps: float, stop: Stop, roster: Roster | None = None, known_s: float = -math.inf
    ) -> None:
        """`fps` is the lecture's. Moments that ended before `known_s` seconds of media time are not sent again."""
        self._webhook = webhook
        self._stop = stop
        self._sender = Sender(webhook)
        self._events: SimpleQueue[Event | None] = SimpleQueue()
        self._builder = TimelineBuilder(fps)
        self._names = Names(roster or Roster())
        self._seconds, self._searched_s, self._known_s = 0.0, -math.inf, known_s
        self._reported: list[Moment] = []
        self._said: str | None = None
        self._searching = threading.Thread(target=self._search_all, name="moments", daemon=True)

    def __enter__(self) -> "Notifier":
        self._searching.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._events.put(None)
        try:
            if kind is None:
                self._wait()
        finally:
            self._sender.close()

    def add(self, event: Event) -> None:
        """Take an event, in the order of `follow`. The EndEvent is the last. Returns at once."""
        self._events.put(event)

    def check(self) -> None:
        """Say once of each outage that messages are not taken, and once that the receiver wants no more."""
        trouble = self._sender.trouble
        ended = trouble == UNWANTED and self._said != UNWANTED
        if ended or (trouble is not None and self._said is None):
            say(f"--webhook {self._webhook.shown}: {trouble}{'' if ended else '; trying again'}")
        self._said = trouble

    def _wait(self) -> None:
        begun, stopped = time.monotonic(), self._stop.signal
        said = False
        while self._stop.signal == stopped and (waited := time.monotonic() - begun) < (
            STOPPED_S if stopped else LAST_S
        ):
            self._searching.join(POLL_S)
            if not self._searching.is_alive() and self._sender.flush(POLL_S):
                break
            if waited > SAY_AFTER_S and not said:
                said = True
                say(f"--webhook {self._webhook.shown}: waiting until it takes the last messages (Ctrl-C ends that)")
        searching = self._searching.is_alive()
        if searching or self._sender.gone or not self._sender.flush(0):
            slow = "the search for moments took too long" if searching else None
            trouble = slow or self._sender.trouble or "it does not answer"
            say(f"--webhook {self._webhook.shown}: {trouble}; the last messages were not taken")

    def _search_all(self) -> None:
        while (event := self._events.get()) is not None:
            if isinstance(event, EndEvent):
                data = {
                    "lecture": event.lecture,
                    "status": event.status,
                    "reason": event.reason,
                    "ledger": event.ledger,
                }
                self._sender.send(ENDED, {**data, "moments": [_item(each) for each in self._found(over=True)]})
                return
            self._builder.add(event)
            self._names.add(event)
            if isinstance(event, ClassEvent):
                self._seconds = max(self._seconds, event.t)
            if not self._events.empty():
                continue
            for moment in self._found(over=False):
                if self._is_new(moment):
                    self._sender.send(MOMENT, {"lecture": event.lecture, "moment": _item(moment)})

    def _found(self, over: bool) -> list[Moment]:
        """The moments of the lecture up to now, as the live page shows them; none if it is too early to search again.

        Participants whom the roster leaves out do not count.
        """
        if not over and not grown_enough(self._seconds, self._searched_s):
            return []
        self._searched_s = self._seconds
        return moments(self._builder.timeline(without=self._names.left_out(self._builder.participants)))

    def _is_new(self, moment: Moment) -> bool:
        """Whether a moment was not reported yet. A reported one that has grown overlaps with its earlier form."""
        known = [each for each in self._reported if each.kind == moment.kind and _overlap(each, moment)]
        self._reported = [each for each in self._reported if each not in known] + [moment]
        return not known and moment.end > self._known_s


def _overlap(one: Moment, other: Moment) -> bool:
    return one.begin <= other.end and other.begin <= one.end


def _item(moment: Moment) -> dict[str, object]:
    return {**moment.as_json(), "words": moment.in_words}
