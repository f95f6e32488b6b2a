"""A consumer processes each delivered event once. A failed delivery is retried without the rest of its batch."""

import json
from typing import Any

import pytest

from daybook.consumers.reaction import reaction
from daybook.consumers.view import SetIfNewer, view
from daybook.consumers.work import Work
from daybook.contracts.contract import Event
from daybook.store.ledger import COMMITTED, TRYING
from daybook.testing.world import Context, Handler, World
from tests.application.builders import (
    NOON,
    Message,
    a_loan,
    a_reservation,
    a_shortage,
    from_the_bus,
    received_books,
    recorded,
)
from tests.application.contracts.books import BooksReserved
from tests.application.contracts.loans import LoanRequested
from tests.application.services.books import receive_books, reserve_books
from tests.application.services.books.book import Book
from tests.application.services.loans import open_loan
from tests.application.services.loans.loan import Loan
from tests.application.services.loans.loan_status import loan_status_requested
from tests.unit import faults
from tests.unit.contracts import Tally

MARK = "Zzyzx0815"

CONSUMERS = {
    "a reaction that decides": (reserve_books.handler, a_loan(books=[("emma", 1), ("ulysses", 2)])),
    "a reaction that changes": (receive_books.handler, received_books()),
    "a reaction that saves": (open_loan.handler, a_loan()),
    "a view": (loan_status_requested, a_loan()),
}
every_kind = pytest.mark.parametrize(("handler", "event"), CONSUMERS.values(), ids=CONSUMERS)


def state(world: World) -> list[Any]:
    """All rows that consumers have written."""
    tables = ("store", "ledger", "books", "loans", "loan-status")
    return [world.items(table) for table in tables]


@every_kind
def test_an_event_is_one_read_one_transaction_and_at_most_one_more_read(
    world: World, handler: Handler, event: Event
) -> None:
    calls = faults.calls()

    world.receive(handler, event)

    if handler is loan_status_requested:  # which writes one row that only takes newer values: tests/unit/test_views.py
        assert calls == [*["BatchGetItem"] * 2, "GetItem", *["UpdateItem"] * 2]
    else:
        assert calls in (["BatchGetItem", "TransactWriteItems"], [*["BatchGetItem"] * 2, "TransactWriteItems"])


def test_only_an_event_that_continues_a_stream_reads_its_head(world: World) -> None:
    @reaction(LoanRequested, emits=(type(received_books()),))
    def handler(order: LoanRequested, work: Work) -> None:
        work.read_all(Book, order.copies())
        work.emit(received_books())

    calls = faults.calls()
    world.receive(handler, a_loan())

    assert calls == ["BatchGetItem", "BatchGetItem", "Query", "TransactWriteItems"]


# Guards: the condition of the ledger.
@every_kind
def test_a_duplicate_changes_nothing(world: World, handler: Handler, event: Event) -> None:
    body = from_the_bus(recorded(event))
    world.deliver(handler, body)
    before = state(world)

    assert world.deliver(handler, body) == []

    assert state(world) == before


@every_kind
def test_a_redelivered_event_that_is_committed_is_looked_up_and_not_processed(
    world: World, handler: Handler, event: Event
) -> None:
    body = from_the_bus(recorded(event))
    world.deliver(handler, body)
    before = state(world)
    calls = faults.calls()

    assert world.deliver(handler, Message(body, tries=2)) == []

    assert calls == ["BatchGetItem", "GetItem"]
    assert state(world) == before


def test_a_redelivered_event_that_is_not_committed_is_processed(world: World) -> None:
    assert world.deliver(receive_books.handler, Message(from_the_bus(recorded(received_books())), tries=7)) == []

    assert world.row(Book, "emma") == Book(isbn="emma", available=10)


@every_kind
def test_a_commit_whose_response_was_lost_is_not_repeated(world: World, handler: Handler, event: Event) -> None:
    message = Message(from_the_bus(recorded(event)))
    faults.lose_the_answer("TransactWriteItems")
    assert world.deliver(handler, message) == []
    before = state(world)

    assert world.deliver(handler, Message(message.body, tries=2)) == []

    assert state(world) == before


@every_kind
def test_the_ledger_has_the_ids_of_emitted_events(world: World, handler: Handler, event: Event) -> None:
    (envelope,) = world.receive(handler, event)

    (entry,) = world.entries(envelope)
    assert (entry.state, entry.stream, entry.sequence) == (COMMITTED, event.stream, 1)
    emitted = [kept.metadata.id for kept in world.recorded()]
    assert list(entry.emitted) == emitted


def test_two_consumers_of_one_event_process_it_independently(world: World) -> None:
    envelope = recorded()
    for handler in (open_loan.handler, loan_status_requested):
        world.deliver(handler, from_the_bus(envelope))

    assert [entry.consumer for entry in world.entries(envelope)] == ["loan-status-requested", "open-loan"]


# Guards: the partial batch response (ReportBatchItemFailures).
def test_of_ten_deliveries_only_the_failed_one_is_retried(world: World) -> None:
    batch = [Message(from_the_bus(recorded(received_books(f"isbn-{number}")))) for number in range(10)]
    faults.always_answer("TransactWriteItems", faults.DENIED, about='"isbn-4"')

    assert world.deliver(receive_books.handler, *batch) == [batch[4]]

    assert len(world.items("books")) == 9
    assert world.dead_letters() == []


def placed(**metadata: Any) -> str:
    return from_the_bus(recorded(now=NOON), **metadata)


UNREADABLE = {
    "not JSON": "an order, please",
    "a list": "[]",
    "null": "null",
    "no detail": "{}",
    "a detail that is a list": '{"detail": []}',
    "no pointer": '{"detail": {"metadata": {}}}',
    "nested without end": '{"detail": ' + "[" * 100_000,
    "another type of event": from_the_bus(recorded(a_shortage(), now=NOON)),
    "data that break the contract": from_the_bus(recorded(data='{"loan_id": "1001"}', now=NOON)),
    "data that are no object": from_the_bus(recorded(data="[]", now=NOON)),
    "an id with half a character": placed(id="\ud800"),
    "a version that is a text": placed(version="1"),
    "a sequence that is a text": placed(sequence="1"),
    "no id": placed(id=None),
    "an empty id": placed(id=""),
    "an endless id": placed(id="x" * 3_000),
    "an id that is another row's key": placed(id="switch"),
    "an id that is the key of a cursor": placed(id="cursor#loan/1001"),
    "no stream": placed(stream=""),
    "an endless stream": placed(stream="x" * 3_000),
    "a version before the first": placed(version=0),
    "a sequence before the first": placed(sequence=0),
    "a sequence that no table takes": placed(sequence=10**40),
    "the position of another event": placed(sequence=2),
    "the id of another event": placed(id="other"),
    "another version": placed(version=2),
}


@pytest.mark.parametrize("handler", [open_loan.handler, loan_status_requested], ids=["reaction", "view"])
@pytest.mark.parametrize("body", UNREADABLE.values(), ids=UNREADABLE)
def test_a_message_that_cannot_be_parsed_becomes_a_dead_letter_at_once(
    world: World, handler: Handler, body: str
) -> None:
    assert world.deliver(handler, body, from_the_bus(recorded(a_loan("1002")))) == []

    (dead_letter,) = world.dead_letters()
    assert dead_letter.body == body
    assert dead_letter.attributes["consumer"] in {"open-loan", "loan-status-requested"}
    assert dead_letter.attributes["reason"]
    assert len(world.items("ledger")) == 1


def test_reason_and_log_do_not_quote_a_message_that_cannot_be_parsed(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    data = json.dumps({"loan_id": "1001", "reader": {"name": [MARK], "email": MARK}, "books": MARK})
    world.deliver(open_loan.handler, MARK, from_the_bus(recorded(data=data)))

    dead_letters = world.dead_letters()
    assert len(dead_letters) == 2
    assert not [value for dead_letter in dead_letters for value in dead_letter.attributes.values() if MARK in value]
    assert MARK not in capsys.readouterr().out


def test_a_dead_letter_has_no_data_of_its_event(world: World) -> None:
    world.deliver(open_loan.handler, from_the_bus(recorded(data=json.dumps({"reader": MARK}))))

    (dead_letter,) = world.dead_letters()
    assert dead_letter.error == "ContractBroken"
    assert MARK not in dead_letter.body


def test_an_event_of_a_newer_version_waits_for_newer_code(world: World) -> None:
    message = Message(from_the_bus(recorded(version=2)))

    assert world.deliver(open_loan.handler, message, from_the_bus(recorded(a_loan("1002")))) == [message]

    assert world.dead_letters() == []
    assert world.row(Loan, "1002")


def test_a_dead_letter_queue_that_does_not_answer_returns_only_the_messages_for_it(world: World) -> None:
    bad, good = Message("not JSON"), Message(from_the_bus(recorded()))
    faults.always_answer("SendMessage", faults.DENIED)

    assert world.deliver(open_loan.handler, bad, good) == [bad]

    assert world.row(Loan, "1001")


def test_a_reaction_that_fails_returns_its_message_and_writes_nothing(world: World) -> None:
    @reaction(LoanRequested, emits=(BooksReserved,))
    def handler(order: LoanRequested, work: Work) -> None:
        work.save(Loan.requested(order))
        work.emit(a_reservation())
        raise LookupError

    envelope = recorded()
    message = Message(from_the_bus(envelope))
    assert world.deliver(handler, message) == [message]

    (noted,) = world.entries(envelope)
    assert (noted.state, [attempt["error"] for attempt in noted.failed_attempts]) == (TRYING, ["LookupError"])
    assert world.recorded() == []
    assert world.items("loans") == []


def test_a_transaction_conflict_is_retried_and_is_no_failed_attempt(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    faults.answer("TransactWriteItems", faults.CONFLICT, faults.THROTTLED, faults.CONFLICT)
    calls = faults.calls()

    world.receive(receive_books.handler, received_books())

    assert calls == ["BatchGetItem", *["TransactWriteItems"] * 4]
    committed, metrics = map(json.loads, capsys.readouterr().out.splitlines())
    assert committed["conflicts"] == 3
    assert "Failed" not in metrics


def test_a_conflict_that_does_not_end_returns_the_message_in_time(world: World) -> None:
    message = Message(from_the_bus(recorded(received_books())))
    faults.always_answer("TransactWriteItems", faults.CONFLICT)

    assert world.deliver(receive_books.handler, message, context=Context(seconds=4, less=0.3)) == [message]

    assert world.items("books") == []


def test_a_transaction_that_fails_for_another_reason_is_not_retried(world: World) -> None:
    message = Message(from_the_bus(recorded(received_books())))
    faults.answer("TransactWriteItems", faults.cancelled("None", "ValidationError"))
    calls = faults.calls()

    assert world.deliver(receive_books.handler, message) == [message]

    assert calls.count("TransactWriteItems") == 1


def test_the_log_of_a_failure_has_no_personal_data(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    @view(LoanRequested)
    def handler(order: LoanRequested) -> SetIfNewer:
        # A likely mistake: the model rejects an invalid value, and its error quotes the value.
        Tally.model_validate({"name": [order.reader.name]})
        return SetIfNewer(Tally, "x", order=1, fields={})

    reader = {"name": MARK, "email": "ada@example.com"}
    message = Message(from_the_bus(recorded(a_loan(reader=reader))))
    assert world.deliver(handler, message) == [message]

    output = capsys.readouterr()
    assert "failed" in output.out
    assert MARK not in output.out + output.err


def test_each_delivery_is_counted_once(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    good = from_the_bus(recorded())
    world.deliver(open_loan.handler, good, good, "not JSON", from_the_bus(recorded(version=2)))

    metrics = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert {name: metrics[name] for name in ("Committed", "NewerVersion")} == {"Committed": [1], "NewerVersion": [1]}
    assert (metrics["stage"], metrics["service"]) == ("test", "open-loan")
