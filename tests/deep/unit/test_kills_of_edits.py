"""`daybook dead edit` and `daybook dead resolve`, killed before and after every AWS call, and repeated."""

import pytest

from tests.unit import test_editing_dead_letters, test_resolving
from tests.unit.running import Running
from tests.unit.test_resolving import Mailer

before_and_after = pytest.mark.parametrize("after", [False, True], ids=["before", "after"])


@before_and_after
@pytest.mark.parametrize("call", range(1, 12))
def test_an_edit_admits_once_and_discards_once(running: Running, call: int, after: bool) -> None:
    test_editing_dead_letters.test_an_interrupted_edit_that_is_repeated_admits_once_and_discards_once(
        running, call, after
    )


@before_and_after
@pytest.mark.parametrize("call", range(1, 15))
def test_an_edit_of_an_event_identified_by_a_field_admits_once_and_records_once(
    running: Running, call: int, after: bool
) -> None:
    test_editing_dead_letters.test_an_interrupted_edit_of_an_event_identified_by_a_field_admits_once_and_records_once(
        running, call, after
    )


@before_and_after
@pytest.mark.parametrize("call", range(1, 10))
def test_an_effect_that_had_no_effect_is_performed_once_after_its_resolution(
    running: Running, mailer: Mailer, call: int, after: bool
) -> None:
    test_resolving.test_an_interrupted_resolution_as_no_effect_that_is_repeated_runs_the_effect_once(
        running, mailer, call, after
    )


@before_and_after
@pytest.mark.parametrize("call", range(1, 9))
def test_an_effect_that_took_effect_has_one_outcome_event(
    running: Running, mailer: Mailer, call: int, after: bool
) -> None:
    test_resolving.test_an_interrupted_resolution_as_took_effect_that_is_repeated_records_one_outcome_event(
        running, mailer, call, after
    )
