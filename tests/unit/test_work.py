"""A unit of work writes everything at once or nothing, and runs again after a conflict with another one."""

from collections.abc import Callable

import pytest

from daybook.consumers.reaction import Reaction
from daybook.consumers.work import Work, WrittenTwice
from daybook.store.transaction import TooManyWrites
from daybook.testing.world import Context, World
from tests.application.builders import (
    Message,
    a_loan,
    from_the_bus,
    recorded,
)
from tests.application.contracts.loans import LoanRequested
from tests.unit import faults
from tests.unit.bodies import fails_with, running
from tests.unit.contracts import Tally


def test_a_missing_row_is_read_as_a_blank_one(world: World) -> None:
    seen = []
    world.receive(running(lambda work: seen.append(work.read(Tally, "a"))), a_loan())

    assert seen == [Tally(name="a")]


def test_all_rows_are_read_in_one_call_and_each_row_once(world: World) -> None:
    world.put(Tally(name="a", total=1), Tally(name="b", total=2))
    seen: list[int] = []

    def body(work: Work) -> None:
        rows = work.read_all(Tally, ["a", "b", "a"])
        seen.extend([rows["a"].total, rows["b"].total, work.read(Tally, "a").total])

    calls = faults.calls()
    world.receive(running(body), a_loan())

    assert seen == [1, 2, 1]
    # The first call reads the event. The last one writes only the ledger's row, which needs no transaction.
    assert calls == ["BatchGetItem", "BatchGetItem", "UpdateItem"]


def test_many_rows_are_read_in_several_requests(world: World) -> None:
    world.put(*(Tally(name=str(number), total=number) for number in range(120)))
    seen: list[int] = []
    world.receive(
        running(lambda work: seen.extend(r.total for r in work.read_all(Tally, map(str, range(120))).values())),
        a_loan(),
    )

    assert seen == list(range(120))


def test_rows_that_dynamodb_did_not_process_are_requested_again(world: World) -> None:
    world.put(Tally(name="a", total=1))
    left = {"daybook-test-tallies": {"Keys": [{"id": {"S": "a"}}], "ConsistentRead": True}}
    faults.answer("BatchGetItem", (200, {"Responses": {}, "UnprocessedKeys": left}), about="tallies")
    seen = []
    world.receive(running(lambda work: seen.append(work.read(Tally, "a").total)), a_loan())

    assert seen == [1]


def test_rows_that_dynamodb_never_processes_return_the_message_in_time(world: World) -> None:
    left = {"daybook-test-tallies": {"Keys": [{"id": {"S": "a"}}], "ConsistentRead": True}}
    answers = [(200, {"Responses": {}, "UnprocessedKeys": left})] * 50
    faults.answer("BatchGetItem", *answers, about="tallies")
    message = Message(from_the_bus(recorded()))

    context = Context(seconds=4, less=0.3)
    assert world.deliver(running(lambda work: work.save(work.read(Tally, "a"))), message, context=context) == [message]


def test_a_saved_row_counts_its_versions(world: World) -> None:
    def body(work: Work) -> None:
        work.save(work.read(Tally, "a").evolve(total=5))

    world.receive(running(body), a_loan())
    world.receive(running(body), a_loan())

    assert world.items("tallies") == [
        {"id": "a", "version": 2, "total": 5, "left": "", "right": "", "middle": "", "number": 0}
    ]


# Guards: the condition of save on the version.
def test_a_save_of_a_row_that_was_changed_meanwhile_runs_again_with_the_new_row(world: World) -> None:
    def body(work: Work) -> None:
        row = work.read(Tally, "a")
        work.save(row.evolve(total=row.total + 1))

    world.put(Tally(name="a", total=10), version=3)
    faults.meanwhile(
        "TransactWriteItems",
        lambda: world.put(Tally(name="a", total=20), version=4),
        lambda: world.put(Tally(name="a", total=30), version=5),
    )
    world.receive(running(body), a_loan())

    assert world.row(Tally, "a") == Tally(name="a", total=31)


def test_a_row_that_is_created_meanwhile_is_not_overwritten(world: World) -> None:
    def body(work: Work) -> None:
        row = work.read(Tally, "a")
        work.save(row.evolve(total=row.total + 1))

    faults.meanwhile("TransactWriteItems", lambda: world.put(Tally(name="a", total=20)))
    world.receive(running(body), a_loan())

    assert world.row(Tally, "a") == Tally(name="a", total=21)


def test_a_row_that_is_changed_meanwhile_is_not_overwritten(world: World) -> None:
    def saving(work: Work) -> None:
        row = work.read(Tally, "a")
        work.save(row.evolve(left="saved"))

    changing = running(lambda work: work.change(Tally(name="a"), total=7))
    world.put(Tally(name="a"))
    faults.meanwhile("TransactWriteItems", lambda: world.receive(changing, a_loan("1002")))
    world.receive(running(saving), a_loan())

    assert world.row(Tally, "a") == Tally(name="a", left="saved", total=7)


def test_several_changes_of_one_row_are_summed(world: World) -> None:
    def body(work: Work) -> None:
        for difference in (5, -2, -1):
            work.change(work.read(Tally, "a"), total=difference, number=1, at_least=0)

    world.put(Tally(name="a", total=-2))
    world.receive(running(body), a_loan())

    assert world.row(Tally, "a") == Tally(name="a", total=0, number=3)


def test_a_change_creates_a_missing_row(world: World) -> None:
    world.receive(running(lambda work: work.change(Tally(name="a"), total=-4)), a_loan())

    assert world.row(Tally, "a") == Tally(name="a", total=-4)


# Guards: the lower bound of each field that a change decreases.
def test_a_change_below_its_lower_bound_runs_the_body_again(world: World) -> None:
    def body(work: Work) -> None:
        row = work.read(Tally, "a")
        if row.total >= 3:
            work.change(row, total=-3, at_least=0)
        else:
            work.change(row, number=1)

    world.put(Tally(name="a", total=3))
    faults.meanwhile("TransactWriteItems", lambda: world.put(Tally(name="a", total=2)))
    world.receive(running(body), a_loan())

    assert world.row(Tally, "a") == Tally(name="a", total=2, number=1)


def test_a_change_may_reach_its_lower_bound(world: World) -> None:
    world.put(Tally(name="a", total=5))
    world.receive(running(lambda work: work.change(work.read(Tally, "a"), total=-3, at_least=2)), a_loan())

    assert world.row(Tally, "a") == Tally(name="a", total=2)


def test_a_missing_row_may_be_decreased_like_a_blank_one(world: World) -> None:
    # An account with an overdraft: a blank row has zero, and may have -10.
    world.receive(running(lambda work: work.change(work.read(Tally, "a"), total=-3, at_least=-10)), a_loan())

    assert world.row(Tally, "a") == Tally(name="a", total=-3)


def test_two_lower_bounds_of_one_field_both_hold(world: World) -> None:
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
def test_a_row_is_either_saved_or_changed_in_one_unit_of_work(
    world: World, capsys: pytest.CaptureFixture[str], body: Callable[[Work], None]
) -> None:
    assert fails_with(world, capsys, running(body), WrittenTwice)


def test_a_unit_of_work_has_the_limits_of_a_transaction(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    def changing(rows: int) -> Reaction[LoanRequested]:
        def body(work: Work) -> None:
            for number in range(rows):
                work.change(Tally(name=str(number)), total=1)

        return running(body)

    world.receive(changing(99), a_loan())
    assert len(world.items("tallies")) == 99
    assert fails_with(world, capsys, changing(100), TooManyWrites)


def test_now_is_constant_in_one_unit_of_work(world: World) -> None:
    seen = []
    world.receive(running(lambda work: seen.extend([work.now, work.now])), a_loan())

    assert seen[0] == seen[1]
    assert seen[0].utcoffset() is not None
