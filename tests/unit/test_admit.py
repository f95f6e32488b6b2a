"""An event that keeps its contract is appended to its stream, once."""

import json
from typing import Any

import pytest

from daybook.contracts.identity import admitted_id
from daybook.runtime import settings
from daybook.store.ledger import COMMITTED
from daybook.testing.world import REGION, Context, World, errors
from tests.application.builders import DESK, NOON, Message, loan_data, received_books, recorded, sent
from tests.application.contracts.loans import LoanRequested
from tests.unit import faults
from tests.unit.contracts import BookReturned

ACCOUNT = "123456789012"


@pytest.fixture
def _returns(world: World) -> None:
    """Admit knows one more contract: an external event that continues a stream."""
    world.knows(BookReturned)


def a_return(loan_id: str = "1001", **other: Any) -> str:
    return sent({"loan_id": loan_id}, type="BookReturned", source="library.returns", **other)


def a_delivery(number: int, isbn: str = "emma") -> str:
    data = {"isbn": isbn, "copies": number, "delivery_id": f"D-{number}"}
    return sent(data, type="BooksReceived", source="library.receiving")


def test_an_external_event_opens_its_stream(world: World) -> None:
    assert world.admit(sent(loan_data("1001", [("emma", 2)]))) == []

    (order,) = world.events("loan/1001")
    assert isinstance(order, LoanRequested)
    assert order.copies() == {"emma": 2}
    assert world.dead_letters() == []


def test_admit_fills_in_metadata_that_the_producer_omits(world: World) -> None:
    world.admit(sent(id="envelope-1"))

    ((event,),) = [world.stream("loan/1001")]
    m = event.metadata
    assert m.id == m.correlation_id == admitted_id(ACCOUNT, DESK, "envelope-1")
    assert (m.type, m.version, m.sequence, m.time) == ("LoanRequested", 1, 1, NOON)
    assert (m.producer, m.causation_id, event.source) == (DESK, None, "daybook.loans")


def test_metadata_of_the_producer_are_kept(world: World) -> None:
    metadata = {"id": "p-1", "version": 1, "time": "2026-03-01T10:00:00+02:00", "correlation_id": "correlation"}
    world.admit(sent(metadata=metadata | {"causation_id": "cause"}))

    (event,) = world.stream("loan/1001")
    m = event.metadata
    assert m.id == admitted_id(ACCOUNT, DESK, "p-1")
    assert (m.time, m.correlation_id, m.causation_id) == ("2026-03-01T08:00:00.000000Z", "correlation", "cause")


def test_metadata_that_only_this_system_sets_are_not_accepted_from_a_producer(world: World) -> None:
    false = {"stream": "loan/1", "sequence": 7, "recorded_at": NOON, "producer": "someone", "type": "BooksUnavailable"}
    world.admit(sent(metadata=false))

    (event,) = world.stream("loan/1001")
    assert (event.metadata.sequence, event.metadata.producer, event.metadata.type) == (1, DESK, "LoanRequested")
    assert event.metadata.recorded_at != NOON


def test_the_ledger_has_the_id_and_place_of_an_admitted_event(world: World) -> None:
    world.admit(sent(metadata={"id": "p-1"}))

    (event,) = world.stream("loan/1001")
    (entry,) = world.entries(event)
    assert (entry.consumer, entry.state, entry.stream, entry.sequence) == ("admit", COMMITTED, "loan/1001", 1)
    assert entry.details
    assert entry.details["producer_id"] == "p-1"


@pytest.mark.parametrize("tries", [1, 2])
def test_a_retry_of_a_producer_is_recognized_by_the_producers_id(world: World, tries: int) -> None:
    world.admit(sent(metadata={"id": "p-1"}, id="envelope-1"))

    assert world.admit(Message(sent(metadata={"id": "p-1"}, id="envelope-2"), tries=tries)) == []

    assert len(world.recorded()) == 1
    assert world.dead_letters() == []


def test_an_event_without_a_producers_id_is_recognized_by_the_id_of_its_envelope(world: World) -> None:
    for _ in range(2):
        world.admit(sent(id="envelope-1"))

    assert len(world.recorded()) == 1
    assert world.dead_letters() == []


def test_a_duplicate_with_its_fields_in_another_order_is_recognized(world: World) -> None:
    data = loan_data()
    world.admit(sent(data, metadata={"id": "p-1"}))
    world.admit(sent(dict(reversed(data.items())), metadata={"id": "p-1"}))

    assert world.dead_letters() == []


def test_an_event_that_is_twice_in_one_batch_is_admitted_once(world: World) -> None:
    same = sent(metadata={"id": "p-1"})

    assert world.admit(same, same) == []

    assert len(world.recorded()) == 1
    assert world.dead_letters() == []


def test_two_rejected_events_with_one_id_in_one_batch_are_both_kept(world: World) -> None:
    extension = {"loan_id": "never-requested", "extension_id": "E-1"}
    first, second = (sent(extension | {"days": days}, type="LoanExtended", metadata={"id": "same"}) for days in (7, 14))

    world.admit(first, second)

    assert [(dead_letter.body, dead_letter.error) for dead_letter in world.dead_letters()] == [
        (first, "StreamNotOpen"),
        (second, "StreamNotOpen"),
    ]


# Guards: the ledger's condition (the append's condition would also reject a second opening).
def test_a_duplicate_does_not_delay_a_new_event_of_its_stream(world: World) -> None:
    world.admit(a_delivery(1))

    (first,) = world.stream("book/emma")
    again = sent(json.loads(first.data), type="BooksReceived", source="library.receiving", metadata={"id": "p-1"})
    world.admit(again)
    world.admit(again, a_delivery(3))

    assert [event.metadata.sequence for event in world.stream("book/emma")] == [1, 2, 3]


def test_the_same_id_from_another_account_or_source_is_another_event(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.admit(sent(loan_data("1001"), metadata={"id": "p-1"}))
    monkeypatch.setenv(settings.ORIGINS, json.dumps({"": f"999999999999/{REGION}"}))  # the producer has moved
    settings.settings.cache_clear()
    world.admit(sent(loan_data("1002"), metadata={"id": "p-1"}, account="999999999999"))

    assert [event.metadata.stream for event in world.recorded()] == ["loan/1001", "loan/1002"]
    assert world.dead_letters() == []


def test_several_events_of_one_stream_are_one_transaction_with_consecutive_sequences(world: World) -> None:
    calls = faults.calls()

    assert world.admit(*(a_delivery(number) for number in range(1, 6))) == []

    stream = world.stream("book/emma")
    assert [json.loads(event.data)["copies"] for event in stream] == [1, 2, 3, 4, 5]
    assert [event.metadata.sequence for event in stream] == [1, 2, 3, 4, 5]
    assert [event.previous for event in stream[1:]] == [event.hash for event in stream[:-1]]
    assert calls == ["Query", "TransactWriteItems"]


def test_a_whole_batch_for_one_stream_fits_into_one_transaction(world: World) -> None:
    # An SQS batch without a batching window has at most ten messages.
    assert world.admit(*(a_delivery(number) for number in range(1, 11))) == []

    assert len(world.stream("book/emma")) == 10


def test_an_event_that_opens_a_stream_costs_one_call_and_any_other_event_two(world: World) -> None:
    calls = faults.calls()
    world.admit(sent())
    assert calls == ["TransactWriteItems"]

    world.admit(a_delivery(1))
    assert calls == ["TransactWriteItems", "Query", "TransactWriteItems"]


@pytest.mark.usefixtures("_returns")
def test_a_continuing_event_joins_the_correlation_of_its_stream(world: World) -> None:
    world.admit(sent())
    world.admit(a_return())

    opening, returned = world.stream("loan/1001")
    assert returned.metadata.sequence == 2
    assert returned.metadata.correlation_id == returned.metadata.causation_id == opening.metadata.id


@pytest.mark.usefixtures("_returns")
def test_a_continuing_event_that_precedes_its_opening_in_a_batch_is_recorded_after_it(world: World) -> None:
    assert world.admit(a_return(), sent()) == []

    assert [event.metadata.type for event in world.stream("loan/1001")] == ["LoanRequested", "BookReturned"]
    assert world.dead_letters() == []


@pytest.mark.usefixtures("_returns")
def test_an_event_that_continues_a_stream_that_is_not_open_is_rejected(world: World) -> None:
    assert world.admit(a_return()) == []

    assert world.recorded() == []
    assert errors(world.dead_letters()) == ["StreamNotOpen"]


def test_a_second_opening_with_another_id_is_rejected(world: World) -> None:
    world.admit(sent())
    assert world.admit(sent(loan_data(books=[("ulysses", 9)]))) == []

    assert len(world.recorded()) == 1
    assert errors(world.dead_letters()) == ["StreamAlreadyOpen"]


def test_of_two_openings_in_one_batch_the_first_one_is_admitted(world: World) -> None:
    first = sent(loan_data(books=[("emma", 1)]))
    second = sent(loan_data(books=[("emma", 2)]))

    assert world.admit(first, second) == []

    (order,) = world.events("loan/1001")
    assert isinstance(order, LoanRequested)
    assert order.copies() == {"emma": 1}
    assert [dead_letter.body for dead_letter in world.dead_letters()] == [second]


@pytest.mark.usefixtures("_returns")
def test_a_second_opening_does_not_delay_an_event_that_continues_the_first(world: World) -> None:
    world.admit(sent())
    assert world.admit(sent(), a_return()) == []

    assert [event.metadata.type for event in world.stream("loan/1001")] == ["LoanRequested", "BookReturned"]
    assert errors(world.dead_letters()) == ["StreamAlreadyOpen"]


def test_an_event_is_not_recorded_before_its_predecessor_with_a_clock_that_was_ahead(world: World) -> None:
    ahead = recorded(received_books(), now="2999-01-01T00:00:00.000000Z")
    world.append(ahead)

    world.admit(a_delivery(1))

    assert world.stream("book/emma")[1].metadata.recorded_at == ahead.metadata.recorded_at


# Guards: the condition of the append.
def test_an_append_whose_sequence_is_taken_meanwhile_is_repeated(world: World) -> None:
    first = recorded(received_books())
    faults.meanwhile(
        "TransactWriteItems", lambda: world.append(first), lambda: world.append(recorded(received_books(), after=first))
    )

    assert world.admit(a_delivery(7)) == []

    stream = world.stream("book/emma")
    assert [event.metadata.sequence for event in stream] == [1, 2, 3]
    assert stream[0] == first
    assert [event.previous for event in stream[1:]] == [event.hash for event in stream[:-1]]


def test_an_opening_that_comes_second_in_a_race_is_rejected(world: World) -> None:
    faults.meanwhile("TransactWriteItems", lambda: world.append(recorded()))

    assert world.admit(sent(loan_data(books=[("ulysses", 9)]))) == []

    assert len(world.stream("loan/1001")) == 1
    assert errors(world.dead_letters()) == ["StreamAlreadyOpen"]


def test_a_transaction_conflict_is_retried(world: World) -> None:
    faults.answer("TransactWriteItems", faults.CONFLICT, faults.THROTTLED)

    assert world.admit(sent()) == []

    assert len(world.stream("loan/1001")) == 1


def test_an_event_whose_commit_had_no_response_is_a_duplicate_at_its_redelivery(world: World) -> None:
    message = Message(sent())
    faults.lose_the_answer("TransactWriteItems")

    assert world.admit(message) == [message]
    assert world.admit(message) == []

    assert len(world.stream("loan/1001")) == 1
    assert world.dead_letters() == []


def test_a_stream_that_cannot_be_written_returns_only_its_own_messages(world: World) -> None:
    stuck = [Message(a_delivery(number, "emma")) for number in (1, 2)]
    faults.always_answer("TransactWriteItems", faults.THROTTLED, about="book/emma")

    again = world.admit(stuck[0], a_delivery(1, "ulysses"), stuck[1], sent(), context=Context(seconds=0.9))

    assert again == stuck
    assert [event.metadata.stream for event in world.recorded()] == ["book/ulysses", "loan/1001"]
    assert world.dead_letters() == []


def test_a_repeated_opening_costs_one_read_of_the_ledger_and_none_of_the_stream(world: World) -> None:
    again = sent(metadata={"id": "desk-1"})
    world.admit(again)
    calls = faults.calls()

    assert world.admit(again) == []

    assert calls == ["TransactWriteItems", "GetItem"]
