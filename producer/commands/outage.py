"""Wait for a Redis that is away, and say so."""

import threading
import time
from collections.abc import Callable
from typing import Any

from producer.saying import say
from worker.contract.connection import RetryWhileAway
from worker.contract.lifetimes import OUTAGE_S

# Seconds of an outage before the first message. A restart takes a second or two.
QUIET_S = 5.0


class RetryWithMessages(RetryWhileAway):
    """Retries for OUTAGE_S while Redis is away. One message reports a longer outage, and one reports its end."""

    def __init__(self, shown: str) -> None:
        """`shown` is the address of Redis without credentials."""
        super().__init__(OUTAGE_S)
        self._shown = shown
        self._lock = threading.Lock()  # two threads, the feed and the foreground, use this Redis
        self._since: float | None = None
        self._said = False

    def call_with_retry(
        self,
        do: Callable[[], Any],
        fail: Callable[..., Any],
        is_retryable: Callable[[Exception], bool] | None = None,
        with_failure_count: bool = False,
    ) -> Any:
        def failed(failure: Exception, *count: int) -> Any:
            self._failed()
            return fail(failure, *count)

        answer = super().call_with_retry(do, failed, is_retryable, with_failure_count)
        self._answered()
        return answer

    def _failed(self) -> None:
        with self._lock:
            now = time.monotonic()
            self._since = self._since or now
            if not self._said and now - self._since >= QUIET_S:
                self._said = True
                say(f"Redis at {self._shown} does not answer; trying again for {OUTAGE_S:.0f} s")

    def _answered(self) -> None:
        if self._since is None:
            return
        with self._lock:
            if self._said:
                say(f"Redis at {self._shown} answers again")
            self._since, self._said = None, False
