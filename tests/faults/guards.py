"""Shared by tests that check an invariant with and without its guard."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import pytest

from daybook.local.faults import Fault
from tests.local.processes import until

with_and_without_guard = pytest.mark.parametrize("guarded", [True, False], ids=["guarded", "unguarded"])


def removed_unless(guarded: bool, fault: Fault) -> list[Fault]:
    """The fault that removes the guard, unless the test is `guarded`."""
    return [] if guarded else [fault]


def expected_to_hold(guarded: bool) -> AbstractContextManager[object]:
    """The assertion in the block must hold with the guard, and fail without it."""
    return nullcontext() if guarded else pytest.raises(AssertionError)


def eventually(look: Callable[[], object], what: str, *, expected: object = True) -> None:
    """Wait until `look` returns what is expected (by default any true value), however busy the machine is.

    Fails at the deadline with what was seen instead.
    """
    seen: object = None

    def is_seen() -> bool:
        nonlocal seen
        seen = look()
        return seen == expected or (expected is True and bool(seen))

    until(is_seen, what=what, seen=lambda: repr(seen))
