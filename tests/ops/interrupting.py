"""Ctrl-C, pressed at a moment that is known."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Thread


@contextmanager
def interrupted_when(moment: Callable[[], object]) -> Iterator[None]:
    """In the block, this process is interrupted as soon as it is the moment."""
    over = Event()

    def watch() -> None:
        while not over.wait(0.02):
            if moment():
                os.kill(os.getpid(), signal.SIGINT)
                return

    watching = Thread(target=watch)
    watching.start()
    try:
        yield
    finally:
        over.set()
        watching.join()
