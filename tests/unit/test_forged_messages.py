"""A consumer acts only on events that are in the store, whatever its messages say."""

import json
from typing import Any

import pytest

from daybook.consumers.reaction import reaction
from daybook.contracts.envelope import Envelope
from daybook.store.event_store import to_item
from daybook.store.ledger import COMMITTED, DEAD
from daybook.testing.world import Context, Handler, World, errors
from tests.application.builders import Message, a_loan, from_the_bus, received_books, recorded
from tests.application.contracts.loans import LoanRequested
from tests.application.services.books import receive_books
from tests.application.services.books.book import Book
from tests.application.services.loans import open_loan
from tests.application.services.loans.loan import Loan
from tests.application.services.loans.loan_status import loan_status_requested
from tests.unit import faults
from tests.unit.bodies import attempting
from tests.unit.dead_letters import record

ordered = reaction(LoanRequested, ordered=True)(lambda loan, work: work.save(Loan.requested(loan)))
KINDS: dict[str, Handler] = {
    "a reaction": open_loan.handler,
    "a view": loan_status_requested,
    "an effect": attempting(lambda _: None),
    "an ordered reaction": ordered,
}
every_kind = pytest.mark.parametrize("handler", KINDS.values(), ids=KINDS)


def with_data(body: str, data: object) -> str:
    """The message with data besides the pointer, as a forger or a shared contract adds them."""
    message: dict[str, Any] = json.loads(body)
    message["detail"]["data"] = data
    return json.dumps(message)


def record_dead(world: World) -> None:
    """Record all dead letters in the ledger."""
    for dead_letter in world.dead_letters():
        assert record(dead_letter.body, attributes=dead_letter.attributes) == []


FORGERIES = {
    "an event that nobody has recorded": lambda _: from_the_bus(recorded(a_loan("1002"))),
    "a later position": lambda true: from_the_bus(true, sequence=2),
    "another stream": lambda true: from_the_bus(true, stream="loan/1002"),
    "another id": lambda true: from_the_bus(true, id="another"),
    "another version": lambda true: from_the_bus(true, version=2),
    "another correlation": lambda true: from_the_bus(true, correlation_id="another"),
}


# Guards: the comparison of the message with the event in the store (pipeline.py).
@every_kind
@pytest.mark.parametrize("forgery", FORGERIES.values(), ids=FORGERIES)
def test_a_message_about_an_event_that_is_not_recorded_becomes_a_dead_letter_at_once(
    world: World, capsys: pytest.CaptureFixture[str], handler: Handler, forgery: Any
) -> None:
    true = recorded()
    world.append(true)

    assert world.deliver(handler, forgery(true), forged=True) == []

    assert errors(world.dead_letters()) == ["NotRecorded"]
    assert [world.items(table) for table in ("ledger", "loans", "loan-status")] == [[], [], []]
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["Forged"] == [1]


def test_an_event_of_another_type_under_a_true_id_is_not_handled(world: World) -> None:
    stored = recorded(received_books(), stream="loan/1001")
    world.append(stored)

    assert world.deliver(open_loan.handler, from_the_bus(stored, type="LoanRequested"), forged=True) == []

    assert errors(world.dead_letters()) == ["NotRecorded"]
    assert world.items("loans") == []


# Guards: the data come from the store.
def test_data_in_a_message_are_ignored(world: World) -> None:
    true = recorded(received_books(copies=1))
    world.append(true)

    body = with_data(from_the_bus(true), {"isbn": "emma", "copies": 4000, "delivery_id": "D-1"})
    assert world.deliver(receive_books.handler, body) == []

    assert world.row(Book, "emma") == Book(isbn="emma", available=1)


# Guards: record_dead_letters does not use the id that a forged message names.
def test_a_dead_letter_of_a_forged_message_does_not_take_the_place_of_the_true_event(world: World) -> None:
    true = recorded()
    world.append(true)
    world.deliver(open_loan.handler, from_the_bus(true, sequence=2), forged=True)
    record_dead(world)

    assert world.entries(true) == []
    (dead,) = world.items("ledger")
    assert (dead["state"], dead["error"], "stream" in dead) == (DEAD, "NotRecorded", False)

    assert world.deliver(open_loan.handler, from_the_bus(true)) == []
    assert [entry.state for entry in world.entries(true)] == [COMMITTED]


def test_an_item_that_is_not_an_event_is_not_handled(world: World) -> None:
    broken = recorded()
    world.client.put_item(TableName="daybook-test-store", Item={**to_item(broken), "data": {"N": "1"}})

    good = recorded(a_loan("1002"))
    world.append(good)
    assert world.deliver(open_loan.handler, from_the_bus(broken), from_the_bus(good), forged=True) == []

    assert errors(world.dead_letters()) == ["NotRecorded"]
    assert world.row(Loan, "1002")


# --- reading the store ------------------------------------------------------------------------------------------------


def loans(world: World, number: int) -> list[Envelope]:
    made = [recorded(a_loan(str(1001 + each))) for each in range(number)]
    world.append(*made)
    return made


def test_the_events_of_a_batch_are_read_in_one_consistent_request(world: World) -> None:
    made = loans(world, 10)
    asked = faults.requests("BatchGetItem")

    assert world.deliver(open_loan.handler, *map(from_the_bus, made)) == []

    (request,) = [each["RequestItems"]["daybook-test-store"] for each in asked]
    assert (len(request["Keys"]), request["ConsistentRead"]) == (10, True)
    assert len(world.items("loans")) == 10


def test_an_event_that_is_twice_in_a_batch_is_read_and_handled_once(world: World) -> None:
    (event,) = loans(world, 1)

    assert world.deliver(open_loan.handler, from_the_bus(event), from_the_bus(event)) == []

    assert [entry.state for entry in world.entries(event)] == [COMMITTED]
    assert world.dead_letters() == []


# Guards: keys that DynamoDB did not process are requested again.
def test_events_that_dynamodb_did_not_process_are_requested_again(world: World) -> None:
    first, second = loans(world, 2)
    keys = [{name: to_item(event)[name] for name in ("stream", "sequence")} for event in (first, second)]
    left = {"daybook-test-store": {"Keys": keys[1:], "ConsistentRead": True}}
    given = {"Responses": {"daybook-test-store": [to_item(first)]}, "UnprocessedKeys": left}
    faults.answer("BatchGetItem", (200, given))

    assert world.deliver(open_loan.handler, from_the_bus(first), from_the_bus(second)) == []

    assert len(world.items("loans")) == 2


# Guards: a failed read returns the messages.
@pytest.mark.parametrize("fault", [faults.DENIED, faults.THROTTLED], ids=["denied", "throttled"])
def test_a_store_that_cannot_be_read_returns_all_readable_messages(world: World, fault: faults.Answer) -> None:
    bad, *good = Message("not JSON"), *(Message(from_the_bus(event)) for event in loans(world, 3))
    faults.always_answer("BatchGetItem", fault)

    assert world.deliver(open_loan.handler, bad, *good) == good

    assert len(world.dead_letters()) == 1
    assert world.items("loans") == []


def test_a_store_that_never_processes_a_key_returns_the_messages_in_time(world: World) -> None:
    (event,) = loans(world, 1)
    key = {name: to_item(event)[name] for name in ("stream", "sequence")}
    left = {"daybook-test-store": {"Keys": [key], "ConsistentRead": True}}
    faults.always_answer("BatchGetItem", (200, {"Responses": {}, "UnprocessedKeys": left}))
    message = Message(from_the_bus(event))

    assert world.deliver(open_loan.handler, message, context=Context(seconds=4, less=0.3)) == [message]
