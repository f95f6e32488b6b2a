"""No faster than somebody wishes."""

import time
from collections.abc import Callable
from threading import Lock


class Pace:
    """So many a second at the most, however many threads share it; None is no limit. `pause` waits so many seconds."""

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
        """How many to do between two looks at whether to stop: about a second's, and `most` at the most."""
        return most if self._rate is None else max(1, min(most, int(self._rate)))

    def wait(self, number: int) -> None:
        """Wait until so many more may go."""
        if self._rate is None:
            return
        with self._lock:
            now = self._now()
            begin = max(now, self._free)
            self._free = begin + number / self._rate
        if begin > now:
            self._pause(begin - now)
