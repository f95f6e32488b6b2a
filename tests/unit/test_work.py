"""A unit of work: what a body says is written at once or not at all, and run again when another was faster."""

from collections.abc import Callable

import pytest

from daybook.consumers.reaction import Reaction
from daybook.consumers.work import Work, WrittenTwice
from daybook.store.transaction import TooManyWrites
from events.orders import OrderPlaced
from tests.unit import faults
from tests.unit.bodies import fails_with, running
from tests.unit.builders import (
    Message,
    an_order,
    from_the_bus,
    recorded,
)
from tests.unit.contracts import Tally
from tests.unit.world import Context, World


def test_a_row_that_is_not_there_reads_as_a_blank_one(world: World) -> None:
    seen = []
    world.receive(running(lambda work: seen.append(work.read(Tally, "a"))), an_order())

    assert seen == [Tally(name="a")]


def test_rows_are_read_in_one_call_and_each_but_once(world: World) -> None:
    world.put(Tally(name="a", total=1), Tally(name="b", total=2))
    seen: list[int] = []

    def body(work: Work) -> None:
        rows = work.read_all(Tally, ["a", "b", "a"])
        seen.extend([rows["a"].total, rows["b"].total, work.read(Tally, "a").total])

    calls = faults.calls()
    world.receive(running(body), an_order())

    assert seen == [1, 2, 1]
    assert calls == ["BatchGetItem", "TransactWriteItems"]


def test_more_rows_than_one_call_may_read_are_read_in_several(world: World) -> None:
    world.put(*(Tally(name=str(number), total=number) for number in range(120)))
    seen: list[int] = []
    world.receive(
        running(lambda work: seen.extend(r.total for r in work.read_all(Tally, map(str, range(120))).values())),
        an_order(),
    )

    assert seen == list(range(120))


def test_rows_that_dynamodb_left_out_of_its_answer_are_asked_for_again(world: World) -> None:
    world.put(Tally(name="a", total=1))
    left = {"daybook-test-tallies": {"Keys": [{"id": {"S": "a"}}], "ConsistentRead": True}}
    faults.answer("BatchGetItem", (200, {"Responses": {}, "UnprocessedKeys": left}))
    seen = []
    world.receive(running(lambda work: seen.append(work.read(Tally, "a").total)), an_order())

    assert seen == [1]


def test_rows_that_dynamodb_never_answers_for_hand_the_message_back_in_time(world: World) -> None:
    left = {"daybook-test-tallies": {"Keys": [{"id": {"S": "a"}}], "ConsistentRead": True}}
    answers = [(200, {"Responses": {}, "UnprocessedKeys": left})] * 50
    faults.answer("BatchGetItem", *answers)
    message = Message(from_the_bus(recorded()))

    context = Context(seconds=4, less=0.3)
    assert world.deliver(running(lambda work: work.save(work.read(Tally, "a"))), message, context=context) == [message]


def test_a_saved_row_counts_its_versions(world: World) -> None:
    def body(work: Work) -> None:
        work.save(work.read(Tally, "a").evolve(total=5))

    world.receive(running(body), an_order())
    world.receive(running(body), an_order())

    assert world.items("tallies") == [
        {"id": "a", "version": 2, "total": 5, "left": "", "right": "", "middle": "", "number": 0}
    ]


# Guards: the version that save asks for.
def test_a_save_that_loses_the_race_is_decided_again_on_what_the_winner_left(world: World) -> None:
    def body(work: Work) -> None:
        row = work.read(Tally, "a")
        work.save(row.evolve(total=row.total + 1))

    world.put(Tally(name="a", total=10), version=3)
    faults.meanwhile(
        "TransactWriteItems",
        lambda: world.put(Tally(name="a", total=20), version=4),
        lambda: world.put(Tally(name="a", total=30), version=5),
    )
    world.receive(running(body), an_order())

    assert world.row(Tally, "a") == Tally(name="a", total=31)


def test_a_row_that_someone_creates_meanwhile_is_not_overwritten(world: World) -> None:
    def body(work: Work) -> None:
        row = work.read(Tally, "a")
        work.save(row.evolve(total=row.total + 1))

    faults.meanwhile("TransactWriteItems", lambda: world.put(Tally(name="a", total=20)))
    world.receive(running(body), an_order())

    assert world.row(Tally, "a") == Tally(name="a", total=21)


def test_a_row_that_someone_changes_meanwhile_is_not_overwritten(world: World) -> None:
    def saving(work: Work) -> None:
        row = work.read(Tally, "a")
        work.save(row.evolve(left="saved"))

    changing = running(lambda work: work.change(Tally(name="a"), total=7))
    world.put(Tally(name="a"))
    faults.meanwhile("TransactWriteItems", lambda: world.receive(changing, an_order("1002")))
    world.receive(running(saving), an_order())

    assert world.row(Tally, "a") == Tally(name="a", left="saved", total=7)


def test_changes_of_one_row_add_up(world: World) -> None:
    def body(work: Work) -> None:
        for difference in (5, -2, -1):
            work.change(work.read(Tally, "a"), total=difference, number=1, at_least=0)

    world.put(Tally(name="a", total=-2))
    world.receive(running(body), an_order())

    assert world.row(Tally, "a") == Tally(name="a", total=0, number=3)


def test_a_change_creates_the_row_if_there_is_none(world: World) -> None:
    world.receive(running(lambda work: work.change(Tally(name="a"), total=-4)), an_order())

    assert world.row(Tally, "a") == Tally(name="a", total=-4)


# Guards: what change asks each lowered field to keep.
def test_a_change_that_would_leave_too_little_runs_the_body_again(world: World) -> None:
    def body(work: Work) -> None:
        row = work.read(Tally, "a")
        if row.total >= 3:
            work.change(row, total=-3, at_least=0)
        else:
            work.change(row, number=1)

    world.put(Tally(name="a", total=3))
    faults.meanwhile("TransactWriteItems", lambda: world.put(Tally(name="a", total=2)))
    world.receive(running(body), an_order())

    assert world.row(Tally, "a") == Tally(name="a", total=2, number=1)


def test_a_change_may_leave_exactly_what_must_be_left(world: World) -> None:
    world.put(Tally(name="a", total=5))
    world.receive(running(lambda work: work.change(work.read(Tally, "a"), total=-3, at_least=2)), an_order())

    assert world.row(Tally, "a") == Tally(name="a", total=2)


def test_a_row_that_is_not_there_may_be_lowered_as_far_as_a_blank_one(world: World) -> None:
    # An account with an overdraft: a blank row reads as zero, and may be left with -10.
    world.receive(running(lambda work: work.change(work.read(Tally, "a"), total=-3, at_least=-10)), an_order())

    assert world.row(Tally, "a") == Tally(name="a", total=-3)


def test_of_two_bounds_on_one_field_both_hold(world: World) -> None:
    def body(work: Work) -> None:
        row = work.read(Tally, "a")
        work.change(row, total=-1, at_least=5)
        work.change(row, total=-1, at_least=0)

    world.put(Tally(name="a", total=3))

    message = Message(from_the_bus(recorded()))
    assert world.deliver(running(body), message, context=Context(seconds=4, less=0.3)) == [message]
    assert world.row(Tally, "a") == Tally(name="a", total=3)


@pytest.mark.parametrize(
    "body",
    [
        lambda work: [work.save(Tally(name="a")), work.save(Tally(name="a"))],
        lambda work: [work.save(Tally(name="a")), work.change(Tally(name="a"), total=1)],
        lambda work: [work.change(Tally(name="a"), total=1), work.save(Tally(name="a"))],
    ],
    ids=["saved twice", "saved and changed", "changed and saved"],
)
def test_one_row_has_one_way_of_being_written(
    world: World, capsys: pytest.CaptureFixture[str], body: Callable[[Work], None]
) -> None:
    assert fails_with(world, capsys, running(body), WrittenTwice)


def test_a_unit_of_work_holds_what_one_transaction_holds(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    def changing(rows: int) -> Reaction[OrderPlaced]:
        def body(work: Work) -> None:
            for number in range(rows):
                work.change(Tally(name=str(number)), total=1)

        return running(body)

    world.receive(changing(99), an_order())
    assert len(world.items("tallies")) == 99
    assert fails_with(world, capsys, changing(100), TooManyWrites)


def test_this_moment_stays_the_same_within_one_unit_of_work(world: World) -> None:
    seen = []
    world.receive(running(lambda work: seen.extend([work.now, work.now])), an_order())

    assert seen[0] == seen[1]
    assert seen[0].utcoffset() is not None
