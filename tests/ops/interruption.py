"""Sends Ctrl-C at a given moment."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Thread


@contextmanager
def interrupted_when(moment: Callable[[], object]) -> Iterator[None]:
    """Interrupt this process in the block when `moment` returns a true value."""
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
