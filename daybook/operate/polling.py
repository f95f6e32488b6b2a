"""Waits between two polls, and between two attempts of a call."""

import random
import time
from collections.abc import Callable, Iterator

_FIRST_PAUSE, _MAX_PAUSE = 0.1, 2.0  # seconds
_ATTEMPTS = 4
_FIRST_BACK_OFF = 0.2  # seconds


def poll(seconds: float, pause: Callable[[float], None] = time.sleep) -> Iterator[None]:
    """Yield at once, and then after growing pauses, for `seconds` in total. `pause` waits."""
    length = _FIRST_PAUSE
    yield
    while seconds > 0:
        length = min(length, seconds)
        pause(length)
        seconds -= length
        length = min(2 * length, _MAX_PAUSE)
        yield


def attempts(pause: Callable[[float], None] = time.sleep) -> Iterator[None]:
    """Yield four times: at once, and then after exponential back-off with jitter."""
    for attempt in range(_ATTEMPTS):
        if attempt:
            pause(random.uniform(0.5, 1) * _FIRST_BACK_OFF * 2 ** (attempt - 1))  # noqa: S311 - only spreads load
        yield
