"""What tests share that look whether an invariant holds, or breaks without its guard."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import pytest

from local.faults import Fault
from tests.deployed.deployed import PATIENCE
from tests.local.left_behind import until

both_ways = pytest.mark.parametrize("guarded", [True, False], ids=["guarded", "unguarded"])


def unless(guarded: bool, lifted: Fault) -> list[Fault]:
    """The fault that removes the guard, in the test without it."""
    return [] if guarded else [lifted]


def expected_to_hold(guarded: bool) -> AbstractContextManager[object]:
    """In the block, the assertion holds with the guard, and fails without it."""
    return nullcontext() if guarded else pytest.raises(AssertionError)


def eventually(condition: Callable[[], object], what: str) -> None:
    """Wait for the condition, however busy the machine is."""
    until(condition, what=what, seconds=PATIENCE.total_seconds())
