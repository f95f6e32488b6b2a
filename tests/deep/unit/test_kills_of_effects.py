"""Effects, killed before and after every AWS call, in every way in which the call outside may end."""

import pytest

from daybook.consumers.effect_records import NotPerformed
from tests.unit import test_charging, test_effects, test_refunding
from tests.unit.faults import Death
from tests.unit.test_charging import CONFIRM, CREATE
from tests.unit.test_tries import Slip
from tests.unit.till import Till
from tests.unit.world import World

before_and_after = pytest.mark.parametrize("after", [False, True], ids=["before", "after"])


@before_and_after
@pytest.mark.parametrize("call", range(1, 12))
@pytest.mark.parametrize("accident", [None, Death(), Slip(), NotPerformed("down")], ids=repr)
def test_what_cannot_be_asked_about_is_called_once_at_most(
    world: World, call: int, after: bool, accident: BaseException | None
) -> None:
    test_effects.test_whenever_a_process_dies_what_cannot_be_asked_about_is_called_once_at_most(
        world, call, after, accident
    )


@before_and_after
@pytest.mark.parametrize("call", range(1, 12))
@pytest.mark.parametrize("accident", [None, Death(), Slip()], ids=repr)
def test_what_can_be_asked_about_happens_once_and_is_told_once(
    world: World, call: int, after: bool, accident: BaseException | None
) -> None:
    test_effects.test_whenever_a_process_dies_what_can_be_asked_about_happens_once_and_is_told_once(
        world, call, after, accident
    )


@before_and_after
@pytest.mark.parametrize("call", range(1, 9))
@pytest.mark.parametrize("lost", [None, CREATE, CONFIRM])
def test_the_customer_is_charged_once_and_it_is_told(till: Till, call: int, after: bool, lost: str | None) -> None:
    test_charging.test_whenever_a_process_dies_the_customer_is_charged_once_and_it_is_told(till, call, after, lost)


@before_and_after
@pytest.mark.parametrize("call", range(1, 8))
@pytest.mark.parametrize("lost", [False, True], ids=["answered", "unheard"])
def test_each_refund_is_paid_back_once_and_told(till: Till, call: int, after: bool, lost: bool) -> None:
    test_refunding.test_whenever_a_process_dies_each_refund_is_paid_back_once_and_told(till, call, after, lost)
