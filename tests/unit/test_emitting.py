"""What a body emits is stored with all else that it does: in its stream, with its cause, under an id that stays."""

import pytest

from daybook.consumers.work import LEDGER, NotDeclared, StreamAlreadyOpen, StreamNotOpen, Work
from events.inventory import OutOfStock, StockReceived, StockReserved
from tests.unit import faults
from tests.unit.bodies import fails_with, running
from tests.unit.builders import (
    a_reservation,
    a_shortage,
    an_order,
    from_the_bus,
    goods,
    recorded,
)
from tests.unit.contracts import ParcelSent, Tally
from tests.unit.world import World


def test_an_event_that_the_decorator_does_not_name_is_not_emitted(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fails_with(world, capsys, running(lambda work: work.emit(a_shortage()), StockReserved), NotDeclared)


def test_an_event_that_opens_a_stream_which_is_open_is_not_stored(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.append(recorded(a_reservation()))

    assert fails_with(world, capsys, running(lambda work: work.emit(a_reservation()), StockReserved), StreamAlreadyOpen)


# Guards: a final refusal is final only if no row was written meanwhile.
def test_who_is_second_to_open_a_stream_decides_again_on_what_the_faster_one_left(world: World) -> None:
    def body(work: Work) -> None:
        row = work.read(Tally, "a")
        if not row.total:
            work.emit(a_reservation())
        work.save(row.evolve(total=row.total + 1))

    handler = running(body, StockReserved)
    faults.meanwhile("TransactWriteItems", lambda: world.receive(handler, an_order("1002")))
    world.receive(handler, an_order())

    assert len(world.stream("reservation/1001")) == 1
    assert world.row(Tally, "a") == Tally(name="a", total=2)


def test_two_events_cannot_open_one_stream_in_one_unit_of_work(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    def body(work: Work) -> None:
        work.emit(a_reservation())
        work.emit(a_shortage())

    assert fails_with(world, capsys, running(body, StockReserved, OutOfStock), StreamAlreadyOpen)


def test_an_event_that_continues_what_was_never_opened_is_not_stored(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    body = running(lambda work: work.emit(ParcelSent(order_id="1001")), ParcelSent)

    assert fails_with(world, capsys, body, StreamNotOpen)


def test_an_emitted_event_knows_its_story_its_cause_and_who_said_it(world: World) -> None:
    cause = recorded(an_order(), correlation_id="story")
    world.deliver(running(lambda work: work.emit(a_reservation()), StockReserved), from_the_bus(cause))

    (event,) = world.stream("reservation/1001")
    m = event.metadata
    assert (m.correlation_id, m.causation_id, m.producer) == ("story", cause.metadata.id, "try-it")
    assert event.source == "daybook.inventory"
    assert event.story


def test_events_on_one_stream_follow_each_other_in_the_order_of_their_emission(world: World) -> None:
    first = recorded(goods())
    world.append(first)

    def body(work: Work) -> None:
        for quantity in (1, 2, 3):
            work.emit(goods(quantity=quantity))

    world.receive(running(body, StockReceived), an_order())

    stream = world.stream("stock/mug")
    assert world.events("stock/mug")[1:] == [goods(quantity=1), goods(quantity=2), goods(quantity=3)]
    assert [event.previous for event in stream[1:]] == [event.hash for event in stream[:-1]]
    assert len({event.metadata.id for event in stream}) == 4


# Guards: the append's condition.
def test_an_event_that_loses_the_race_for_its_place_takes_the_next(world: World) -> None:
    first = recorded(goods())
    faults.meanwhile("TransactWriteItems", lambda: world.append(first))

    world.receive(running(lambda work: work.emit(goods()), StockReceived), an_order())

    stream = world.stream("stock/mug")
    assert [event.metadata.sequence for event in stream] == [1, 2]
    assert stream[0] == first
    assert stream[1].previous == first.hash


def test_a_body_that_is_run_again_emits_the_same_ids(world: World) -> None:
    ids: list[list[str]] = []

    def body(work: Work) -> None:
        work.emit(goods())
        work.emit(goods("poster"))
        ids.append([part["Put"]["Item"]["id"]["S"] for name, part in work.parts()[0].items() if name != LEDGER])

    faults.meanwhile("TransactWriteItems", lambda: world.append(recorded(goods())))
    world.receive(running(body, StockReceived), an_order())

    assert len(ids) == 2
    assert ids[0] == ids[1]
    assert {event.metadata.id for event in world.recorded()} >= set(ids[0])
