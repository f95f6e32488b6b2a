"""`daybook replay`, killed before and after AWS calls, and resumed."""

from collections.abc import Iterable, Sequence

import pytest

from daybook.operate.replay.selection import Selection
from tests.ops import test_replay
from tests.ops.test_replay import assert_survives_kills, orders, span
from tests.ops.world import World

shop = test_replay.stage


def every_call(calls: Sequence[str]) -> Iterable[int]:
    return range(1, len(calls) + 1)


def every_ninth_call(calls: Sequence[str]) -> Iterable[int]:
    return range(1, len(calls) + 1, 9)


@pytest.mark.parametrize("answered", [False, True])
def test_a_replay_killed_at_any_call_is_resumed_and_sends_at_most_one_portion_again(
    shop: World, *, answered: bool
) -> None:
    # All in one partition, so that it has several portions.
    made = [shop.recorded("OrderPlaced", "order/1", after=n, admitted=False) for n in range(35)]
    wanted = Selection(span=span(), stream="order/1")

    assert_survives_kills(shop, wanted, made, every_call, answered=answered, once_more=10)


@pytest.mark.parametrize("answered", [False, True])
def test_a_replay_killed_while_it_reads_all_partitions_loses_nothing(shop: World, *, answered: bool) -> None:
    made = orders(shop, 30)

    assert_survives_kills(shop, Selection(span=span()), made, every_ninth_call, answered=answered, once_more=30)
