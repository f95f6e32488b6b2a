"""A short day of chaos breaks no promise, and the same kind of day without a guard breaks the one that it keeps."""

import io

import pytest
from rich.console import Console

from local.progress import Progress
from proof import controls
from proof.chaos import live, told
from proof.controls import CONTROLS, Control


def test_a_day_on_which_everything_goes_wrong_loses_nothing_and_does_nothing_twice() -> None:
    result = live(Progress(Console(file=io.StringIO())), seed=3, scale=50, short=True)

    assert result.held, "\n".join(told(result))
    assert result.brought["killed before one"] + result.brought["killed after one"] > 20
    assert result.brought["the cloud frozen, and thawed"] == 1


def test_a_small_day_with_all_guards_breaks_nothing() -> None:
    assert controls.found(None, seed=5) is None


@pytest.mark.parametrize("control", CONTROLS, ids=lambda control: control.name)
def test_a_small_day_without_one_guard_breaks_the_promise_that_it_keeps(control: Control) -> None:
    breach = controls.found(control, seed=5)

    assert breach is not None
    assert breach[0] is control.protects, breach[1].what
