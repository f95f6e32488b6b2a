"""What tests share that look whether an invariant holds, or breaks without its guard."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import pytest

from daybook.local.faults import Fault
from tests.local.left_behind import until

both_ways = pytest.mark.parametrize("guarded", [True, False], ids=["guarded", "unguarded"])


def unless(guarded: bool, lifted: Fault) -> list[Fault]:
    """The fault that removes the guard, in the test without it."""
    return [] if guarded else [lifted]


def expected_to_hold(guarded: bool) -> AbstractContextManager[object]:
    """In the block, the assertion holds with the guard, and fails without it."""
    return nullcontext() if guarded else pytest.raises(AssertionError)


def eventually(look: Callable[[], object], what: str, *, expected: object = True) -> None:
    """Wait until a look shows what is expected (anything that is true, unless given), however busy the machine is.

    Fails at the deadline, and says what was seen instead.
    """
    seen: object = None

    def is_seen() -> bool:
        nonlocal seen
        seen = look()
        return seen == expected or (expected is True and bool(seen))

    until(is_seen, what=what, seen=lambda: repr(seen))
