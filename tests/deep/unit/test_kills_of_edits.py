"""`daybook dead edit` and `daybook dead resolve`, killed before and after every AWS call, and repeated."""

import pytest

from tests.unit import test_editing, test_resolving
from tests.unit.running import Running
from tests.unit.test_resolving import Post

before_and_after = pytest.mark.parametrize("after", [False, True], ids=["before", "after"])


@before_and_after
@pytest.mark.parametrize("call", range(1, 10))
def test_an_edit_admits_once_and_discards_once(running: Running, call: int, after: bool) -> None:
    test_editing.test_whenever_an_edit_is_interrupted_repeating_it_admits_once_and_discards_once(running, call, after)


@before_and_after
@pytest.mark.parametrize("call", range(1, 13))
def test_an_edit_of_an_event_that_a_field_names_admits_once_and_records_once(
    running: Running, call: int, after: bool
) -> None:
    test_editing.test_whenever_such_an_edit_is_interrupted_repeating_it_admits_once_and_records_once(
        running, call, after
    )


@before_and_after
@pytest.mark.parametrize("call", range(1, 10))
def test_what_had_no_effect_happens_once(running: Running, post: Post, call: int, after: bool) -> None:
    test_resolving.test_whenever_it_is_interrupted_repeating_it_has_what_had_no_effect_happen_once(
        running, post, call, after
    )


@before_and_after
@pytest.mark.parametrize("call", range(1, 7))
def test_what_took_effect_is_told_once(running: Running, post: Post, call: int, after: bool) -> None:
    test_resolving.test_whenever_it_is_interrupted_repeating_it_tells_once_what_took_effect(running, post, call, after)
