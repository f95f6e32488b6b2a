"""A rate limit: no more than so many in a second."""

import time
from collections.abc import Callable
from threading import Lock


class RateLimit:
    """At most `rate` in a second, however many threads share it; None is no limit. `pause` waits by the clock `now`."""

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
        self._free = 0.0  # from when on the next may go
        self._lock = Lock()

    def portion(self, most: int) -> int:
        """How many to do at once: about as many as a second allows, and `most` at the most."""
        return most if self._rate is None else max(1, min(most, int(self._rate)))

    def wait(self, number: int) -> None:
        """Wait until `number` more may go."""
        if self._rate is None:
            return
        with self._lock:
            now = self._now()
            begin = max(now, self._free)
            self._free = begin + number / self._rate
        if begin > now:
            self._pause(begin - now)
