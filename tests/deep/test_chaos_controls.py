"""With all guards, no invariant is violated. Without one guard, the invariant that it protects is violated."""

from collections.abc import Iterator

import pytest

from chaos import controls
from chaos.controls import CONTROLS, Control, ControlRun, Verdict


@pytest.fixture(scope="module")
def run() -> Iterator[tuple[ControlRun, Verdict]]:
    """A run with all guards, and its verdict. It comes first, because later controls leave violations behind."""
    with controls.control_run(seed=5) as run:
        yield run, controls.with_all_guards(run)


def test_with_all_guards_no_invariant_is_violated(run: tuple[ControlRun, Verdict]) -> None:
    _, verdict = run

    assert verdict.as_expected, verdict


@pytest.mark.parametrize("control", CONTROLS, ids=lambda control: control.name)
def test_without_a_guard_the_invariant_that_it_protects_is_violated(
    run: tuple[ControlRun, Verdict], control: Control
) -> None:
    verdict = controls.without(run[0], control)

    assert verdict.as_expected, verdict
