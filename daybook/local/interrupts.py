"""Turn Ctrl-C, SIGTERM and SIGHUP into one KeyboardInterrupt at a safe moment."""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class _State:
    """Whether a signal has arrived, and whether the interrupt may be raised now."""

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


_state = _State()


@contextmanager
def single_interrupt() -> Iterator[None]:
    """In the block, SIGTERM and SIGHUP act as Ctrl-C does: they raise one KeyboardInterrupt.

    Later signals are ignored until the end of the block, since an interrupted clean-up would leave processes behind.
    May be nested. Does nothing outside the main thread, where Python receives no signals.
    """
    if _state.listening or threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    _state.listening, _state.waiting, _state.raised = True, False, False
    try:
        for number in _SIGNALS:
            # Keep nohup's ignored SIGHUP. But handle an ignored SIGINT: shells set it for `… &`.
            if number is not signal.SIGHUP or before[number] is not signal.SIG_IGN:
                signal.signal(number, _state.hear)
        yield
    finally:
        _state.listening = False
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def defer_interrupts() -> Iterator[None]:
    """Within `single_interrupt`, delay an interrupt until the end of this block, so that nothing is left half done."""
    _state.holding += 1
    try:
        yield
    finally:
        _state.holding -= 1
        if not _state.holding:
            _state.answer()
