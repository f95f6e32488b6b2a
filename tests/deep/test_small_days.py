"""A small day breaks no invariant, and without one guard it breaks the invariant that this guard protects."""

from collections.abc import Iterator

import pytest

from chaos import controls
from chaos.controls import CONTROLS, Control, SmallDay, Verdict


@pytest.fixture(scope="module")
def day() -> Iterator[tuple[SmallDay, Verdict]]:
    """A day with all guards, and what it has shown: what is broken later stays broken."""
    with controls.small_day(seed=5) as day:
        yield day, controls.with_all_guards(day)


def test_a_small_day_with_all_guards_breaks_nothing(day: tuple[SmallDay, Verdict]) -> None:
    _, verdict = day

    assert verdict.as_it_should_be, verdict


@pytest.mark.parametrize("control", CONTROLS, ids=lambda control: control.name)
def test_without_one_guard_the_invariant_breaks_that_it_protects(
    day: tuple[SmallDay, Verdict], control: Control
) -> None:
    verdict = controls.without(day[0], control)

    assert verdict.as_it_should_be, verdict
