"""Effects, killed before and after every AWS call, with each possible result of the external call."""

import pytest

from daybook.consumers.effect_records import NotPerformed
from tests.unit import test_effects
from tests.unit.faults import Death
from tests.unit.test_delivery_attempts import Slip
from tests.unit.world import World

before_and_after = pytest.mark.parametrize("after", [False, True], ids=["before", "after"])


@before_and_after
@pytest.mark.parametrize("call", range(1, 12))
@pytest.mark.parametrize("accident", [None, Death(), Slip(), NotPerformed("down")], ids=repr)
def test_an_effect_without_a_query_calls_at_most_once(
    world: World, call: int, after: bool, accident: BaseException | None
) -> None:
    test_effects.test_an_effect_without_a_query_is_called_at_most_once_if_a_process_dies(world, call, after, accident)


@before_and_after
@pytest.mark.parametrize("call", range(1, 12))
@pytest.mark.parametrize("accident", [None, Death(), Slip()], ids=repr)
def test_an_effect_with_a_query_performs_once_and_has_one_outcome_event(
    world: World, call: int, after: bool, accident: BaseException | None
) -> None:
    test_effects.test_an_effect_with_a_query_happens_once_and_is_recorded_once_if_a_process_dies(
        world, call, after, accident
    )
