"""`daybook dead discard` and `daybook dead retry`, killed before and after every AWS call, and repeated."""

from functools import partial

from tests.ops import test_dead_discard, test_dead_retry
from tests.ops.killed_commands import killed_at_every_call
from tests.ops.test_dead_discard import discarded_once_though_killed
from tests.ops.test_dead_retry import arrives_though_killed, timer_recorded_once_though_killed
from tests.ops.world import World

to_discard, to_retry = test_dead_discard.stage, test_dead_retry.stage


def test_each_dead_letter_is_discarded_once_with_one_event_that_names_it(to_discard: World) -> None:
    assert killed_at_every_call(partial(discarded_once_though_killed, to_discard)) >= 10


def test_each_message_that_is_retried_arrives(to_retry: World) -> None:
    assert killed_at_every_call(partial(arrives_though_killed, to_retry)) >= 10


def test_a_timer_that_is_retried_is_recorded_once(world: World) -> None:
    assert killed_at_every_call(partial(timer_recorded_once_though_killed, world)) >= 8
