"""What tests share that look whether an invariant holds, or breaks without its guard."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import pytest

from local.faults import Fault
from tests.deployed.deployed import PATIENCE

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
    deadline = time.monotonic() + PATIENCE.total_seconds()
    while (seen := look()) != expected and not (expected is True and seen):
        if time.monotonic() > deadline:
            pytest.fail(f"not within {PATIENCE.total_seconds():.0f} s: {what}; seen at the end: {seen!r}")
        time.sleep(0.1)
