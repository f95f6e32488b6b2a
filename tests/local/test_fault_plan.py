"""How often a fault affects calls, counted over all processes with the same plan."""

from pathlib import Path

import pytest

from daybook.local.faults import ALWAYS, Chance, Every, Fault, Faults, Guard, Only
from daybook.local.faults.fault import Times
from daybook.local.faults.worker.daybook_faults.plan import Plan


def affected_calls(folder: Path, *, times: Times, calls: int) -> str:
    """Which of these calls a fault affects, `x` or `.`. Two processes make them in turn."""
    faults = Faults(folder)
    plans = [Plan(folder / "plan.json", function) for function in ("one", "other")]
    fault = Fault.death("before", operation="PutEvents", times=times)
    with faults.inject(fault):
        affected = [
            [*plans[number % 2].matching("events", "PutEvents", fits=lambda _: True, when="before")] != []
            for number in range(calls)
        ]
    assert faults.injected_count(fault) == sum(affected)
    return "".join("x" if each else "." for each in affected)


@pytest.mark.parametrize(
    ("times", "expected"),
    [(2, "xx......"), (Every(3), "..x..x.."), (Only(3), "..x....."), (ALWAYS, "xxxxxxxx"), (Chance(0.0), "........")],
)
def test_a_fault_affects_the_calls_given_by_times(tmp_path: Path, times: Times, expected: str) -> None:
    assert affected_calls(tmp_path, times=times, calls=8) == expected


def test_the_same_seed_affects_the_same_calls(tmp_path: Path) -> None:
    some = affected_calls(tmp_path, times=Chance(0.5, seed=1), calls=50)

    assert 10 < some.count("x") < 40
    assert affected_calls(tmp_path, times=Chance(0.5, seed=1), calls=50) == some
    assert affected_calls(tmp_path, times=Chance(0.5, seed=2), calls=50) != some


def test_a_fault_affects_only_the_calls_that_it_names(tmp_path: Path) -> None:
    faults = Faults(tmp_path)
    one, other = (Plan(tmp_path / "plan.json", function) for function in ("one", "other"))
    with faults.inject(Fault.delay(1.0, function="one", service="events", operation="PutEvents", times=ALWAYS)):
        for plan, service, operation, when, affected in [
            (one, "events", "PutEvents", "before", True),
            (other, "events", "PutEvents", "before", False),
            (one, "sqs", "PutEvents", "before", False),
            (one, "events", "PutRule", "before", False),
            (one, "events", "PutEvents", "after", False),
        ]:
            assert bool([*plan.matching(service, operation, fits=lambda _: True, when=when)]) is affected


def test_a_guard_is_off_while_its_fault_is_injected_in_the_function_that_it_names(tmp_path: Path) -> None:
    faults, removed = Faults(tmp_path, guards=True), Fault.without_guard(Guard.CURSOR, function="one")
    one, other = (Plan(tmp_path / "plan.json", function) for function in ("one", "other"))

    def missing(plan: Plan, guard: Guard = Guard.CURSOR) -> bool:
        return [*plan.matching("", guard, fits=lambda _: True)] != []

    with faults.inject(removed):
        assert (missing(one), missing(other), missing(one, Guard.EFFECT_RECORD)) == (True, False, False)
    assert not missing(one)
    assert faults.injected_count(removed) == 1
