"""A rate limit."""

import time
from collections.abc import Callable
from threading import Lock


class RateLimit:
    """At most `rate` per second, shared by all threads; None is no limit. `pause` waits by the clock `now`."""

    def __init__(
        self,
        rate: float | None = None,
        *,
        pause: Callable[[float], object] = time.sleep,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._rate = rate
        self._pause = pause
        self._now = now
        self._free = 0.0  # the time from which the next is allowed
        self._lock = Lock()

    def portion(self, most: int) -> int:
        """The size of a batch: about one second's worth, at most `most`."""
        return most if self._rate is None else max(1, min(most, int(self._rate)))

    def wait(self, number: int) -> None:
        """Wait until `number` more are allowed."""
        if self._rate is None:
            return
        with self._lock:
            now = self._now()
            start = max(now, self._free)
            self._free = start + number / self._rate
        if start > now:
            self._pause(start - now)
