"""Looking again and again at what functions are about to do."""

import time
from collections.abc import Callable, Iterator

_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 2.0  # seconds


def looks(seconds: float, pause: Callable[[float], None] = time.sleep) -> Iterator[None]:
    """Yield at once, and then after growing pauses, until these come to so many seconds. `pause` waits so long."""
    length = _FIRST_PAUSE
    yield
    while seconds > 0:
        length = min(length, seconds)
        pause(length)
        seconds -= length
        length = min(2 * length, _LONGEST_PAUSE)
        yield
