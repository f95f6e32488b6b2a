"""Ctrl-C, and whatever else asks a program to end, as one exception that comes once and at a good moment."""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class _Asked:
    """Whether somebody has asked this program to end, and whether this moment is a good one."""

    listening = False
    holding = 0
    waiting = False
    raised = False

    def hear(self, _signal: int, _frame: FrameType | None) -> None:
        self.waiting = True
        if not self.holding:
            self.answer()

    def answer(self) -> None:
        if self.waiting and not self.raised:
            self.raised = True
            raise KeyboardInterrupt


_asked = _Asked()


@contextmanager
def once() -> Iterator[None]:
    """SIGTERM and a closed terminal end the block as Ctrl-C does: with one KeyboardInterrupt.

    Later signals are ignored until the block is left: tidying up takes a second or two and, cut short, would
    leave processes behind. May be nested. Outside the main thread, where Python hears no signals, it does nothing.
    """
    if _asked.listening or threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    _asked.listening, _asked.waiting, _asked.raised = True, False, False
    try:
        for number in _SIGNALS:
            # nohup's wish to survive the terminal is respected; an ignored SIGINT is what shells give to `… &`.
            if number is not signal.SIGHUP or before[number] is not signal.SIG_IGN:
                signal.signal(number, _asked.hear)
        yield
    finally:
        _asked.listening = False
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def held() -> Iterator[None]:
    """Inside `once`, lets an interrupt that arrives in this block wait for its end: nothing is left half done."""
    _asked.holding += 1
    try:
        yield
    finally:
        _asked.holding -= 1
        if not _asked.holding:
            _asked.answer()
