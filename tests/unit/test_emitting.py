"""An emitted event is stored in the transaction of its unit of work, in its stream, with its cause and a stable id."""

import pytest

from daybook.consumers.work import LEDGER, NotDeclared, StreamAlreadyOpen, StreamNotOpen, Work
from daybook.testing.world import World
from tests.application.builders import (
    a_loan,
    a_reservation,
    a_shortage,
    from_the_bus,
    received_books,
    recorded,
)
from tests.application.contracts.books import BooksReceived, BooksReserved, BooksUnavailable
from tests.unit import faults
from tests.unit.bodies import fails_with, running
from tests.unit.contracts import BookReturned, Tally


def test_an_event_that_the_decorator_does_not_declare_is_not_emitted(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fails_with(world, capsys, running(lambda work: work.emit(a_shortage()), BooksReserved), NotDeclared)


def test_an_event_that_opens_an_open_stream_is_not_stored(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.append(recorded(a_reservation()))

    assert fails_with(world, capsys, running(lambda work: work.emit(a_reservation()), BooksReserved), StreamAlreadyOpen)


# Guards: an error of a unit of work is final only if no row was written meanwhile.
def test_a_unit_of_work_that_opens_a_stream_second_runs_again_with_the_new_state(world: World) -> None:
    def body(work: Work) -> None:
        row = work.read(Tally, "a")
        if not row.total:
            work.emit(a_reservation())
        work.save(row.evolve(total=row.total + 1))

    handler = running(body, BooksReserved)
    faults.meanwhile("TransactWriteItems", lambda: world.receive(handler, a_loan("1002")))
    world.receive(handler, a_loan())

    assert len(world.stream("reservation/1001")) == 1
    assert world.row(Tally, "a") == Tally(name="a", total=2)


def test_two_events_cannot_open_one_stream_in_one_unit_of_work(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    def body(work: Work) -> None:
        work.emit(a_reservation())
        work.emit(a_shortage())

    assert fails_with(world, capsys, running(body, BooksReserved, BooksUnavailable), StreamAlreadyOpen)


def test_an_event_that_continues_a_stream_that_is_not_open_is_not_stored(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    body = running(lambda work: work.emit(BookReturned(loan_id="1002")), BookReturned)

    assert fails_with(world, capsys, body, StreamNotOpen)


def test_an_emitted_event_has_the_correlation_of_its_cause_and_its_producer(world: World) -> None:
    cause = recorded(a_loan(), correlation_id="correlation")
    world.deliver(running(lambda work: work.emit(a_reservation()), BooksReserved), from_the_bus(cause))

    (event,) = world.stream("reservation/1001")
    m = event.metadata
    assert (m.correlation_id, m.causation_id, m.producer) == ("correlation", cause.metadata.id, "try-it")
    assert event.source == "daybook.books"
    assert event.in_correlation_index


def test_events_on_one_stream_are_stored_in_the_order_of_their_emission(world: World) -> None:
    first = recorded(received_books())
    world.append(first)

    def body(work: Work) -> None:
        for copies in (1, 2, 3):
            work.emit(received_books(copies=copies))

    world.receive(running(body, BooksReceived), a_loan())

    stream = world.stream("book/emma")
    assert world.events("book/emma")[1:] == [
        received_books(copies=1),
        received_books(copies=2),
        received_books(copies=3),
    ]
    assert [event.previous for event in stream[1:]] == [event.hash for event in stream[:-1]]
    assert len({event.metadata.id for event in stream}) == 4


# Guards: the condition of the append.
def test_an_event_whose_sequence_is_taken_meanwhile_gets_the_next_sequence(world: World) -> None:
    first = recorded(received_books())
    faults.meanwhile("TransactWriteItems", lambda: world.append(first))

    world.receive(running(lambda work: work.emit(received_books()), BooksReceived), a_loan())

    stream = world.stream("book/emma")
    assert [event.metadata.sequence for event in stream] == [1, 2]
    assert stream[0] == first
    assert stream[1].previous == first.hash


def test_a_body_that_runs_again_emits_the_same_ids(world: World) -> None:
    ids: list[list[str]] = []

    def body(work: Work) -> None:
        work.emit(received_books())
        work.emit(received_books("ulysses"))
        ids.append([part["Put"]["Item"]["id"]["S"] for name, part in work.parts()[0].items() if name != LEDGER])

    faults.meanwhile("TransactWriteItems", lambda: world.append(recorded(received_books())))
    world.receive(running(body, BooksReceived), a_loan())

    assert len(ids) == 2
    assert ids[0] == ids[1]
    assert {event.metadata.id for event in world.recorded()} >= set(ids[0])
