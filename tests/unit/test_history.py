"""A unit of work can read the history of a stream, and which deliveries are still pending at other consumers."""

from collections.abc import Callable
from typing import Any

import pytest

from daybook.consumers.reaction import Reaction
from daybook.consumers.work import RecordedEvent, Work
from daybook.contracts import clock
from daybook.contracts.envelope import Envelope
from daybook.runtime import aws
from daybook.store.ledger import COMMITTED, DEAD, DISCARDED, TRYING, Ledger, LedgerEntry, Note
from daybook.store.transaction import Backoff, batch_get
from daybook.testing.keys import writer
from daybook.testing.world import NAMES, Context, World
from tests.application.builders import Message, a_confirmation, a_loan, from_the_bus, recorded
from tests.application.contracts.loans import LoanConfirmed, LoanRequested
from tests.unit import faults
from tests.unit.bodies import running
from tests.unit.contracts import BookReturned, Tally

LEDGER = NAMES.ledger


def stored(world: World, *events: LoanRequested | LoanConfirmed | BookReturned, **draft: Any) -> list[Envelope]:
    """Store these events one after the other in their stream."""
    kept: list[Envelope] = []
    for event in events:
        kept.append(recorded(event, after=kept[-1] if kept else None, **draft))
        world.append(kept[-1])
    return kept


def test_a_history_contains_the_events_of_the_given_types_in_order(world: World) -> None:
    placed, _, confirmed = stored(world, a_loan(), BookReturned(loan_id="1001"), a_confirmation())
    stored(world, a_loan("1002"))
    seen: list[RecordedEvent[LoanRequested | LoanConfirmed]] = []

    def body(work: Work) -> None:
        seen.extend(work.history("loan/1001", LoanConfirmed, LoanRequested))

    world.receive(running(body), a_loan("1003"))

    assert seen == [RecordedEvent(a_loan(), placed.metadata), RecordedEvent(a_confirmation(), confirmed.metadata)]


def test_a_stream_that_is_not_open_has_no_history(world: World) -> None:
    seen: list[object] = []
    world.receive(running(lambda work: seen.append(work.history("loan/1001", LoanRequested))), a_loan("1003"))

    assert seen == [[]]


def test_a_history_is_read_consistently_and_completely(world: World) -> None:
    note = "x" * 50_000  # longer than one page of 1 MB
    stored(world, *[BookReturned(loan_id="1001", desk=f"D-{number}{note}") for number in range(25)])
    seen: list[str] = []
    queries = faults.requests("Query")

    def body(work: Work) -> None:
        seen.extend(past.event.desk.partition("x")[0] for past in work.history("loan/1001", BookReturned))

    world.receive(running(body), a_loan("1003"))

    assert seen == [f"D-{number}" for number in range(25)]
    assert len(queries) > 1
    assert all(query["ConsistentRead"] for query in queries)


def test_a_body_that_runs_again_reads_the_history_again(world: World) -> None:
    lengths: list[int] = []

    def body(work: Work) -> None:
        row = work.read(Tally, "a")
        lengths.append(len(work.history("loan/1001", LoanRequested)))
        work.save(row.evolve(total=lengths[-1]))

    def another() -> None:
        stored(world, a_loan())
        world.put(Tally(name="a"), version=1)

    faults.meanwhile("TransactWriteItems", another)
    world.receive(running(body), a_loan("1003"))

    assert lengths == [0, 1]
    assert world.row(Tally, "a") == Tally(name="a", total=1)


def test_a_history_with_a_newer_version_waits_for_newer_code(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    stored(world, a_loan(), version=2)
    looking = querying(lambda work: work.history("loan/1001", LoanRequested))
    message = Message(from_the_bus(recorded(a_loan("1003"))))

    assert world.deliver(looking, message) == [message]

    assert '"message":"retry later"' in capsys.readouterr().out
    assert world.dead_letters() == []


def test_a_history_with_an_event_that_breaks_its_contract_is_a_dead_letter(world: World) -> None:
    stored(world, a_loan(), data='{"loan_id": 1001}')
    looking = querying(lambda work: work.history("loan/1001", LoanRequested))

    assert world.deliver(looking, from_the_bus(recorded(a_loan("1003")))) == []

    (dead_letter,) = world.dead_letters()
    assert dead_letter.error == "ContractBroken"


# Guards: which processing statuses are final.
@pytest.mark.parametrize(
    ("state", "still"), [(None, True), (TRYING, True), (COMMITTED, False), (DEAD, False), (DISCARDED, False)], ids=str
)
def test_a_delivery_is_pending_until_its_processing_status_is_final(
    world: World, state: str | None, *, still: bool
) -> None:
    if state == TRYING:
        note = Note(message="m", deliveries=1, at=clock.now(), error="Slip", reason="it slipped")
        world.ledger.note("e-1", "index-patient", ("patient/ada", 1), note)
    elif state:
        settle(world, LedgerEntry("e-1", "index-patient", state, clock.now()))

    assert pending(world, ("e-1", "index-patient")) == ({("e-1", "index-patient")} if still else set())


def test_a_delivery_is_identified_by_event_and_consumer(world: World) -> None:
    settle(world, LedgerEntry("e-1", "index-patient", COMMITTED, clock.now()))
    others = {("e-1", "sync-billing"), ("e-2", "index-patient")}

    assert pending(world, ("e-1", "index-patient"), *others) == others


def test_without_deliveries_nothing_is_pending_and_no_call_is_made(world: World) -> None:
    calls = faults.calls()

    assert pending(world) == set()

    assert calls == ["BatchGetItem", "UpdateItem"]  # the event, and its status


def test_many_deliveries_are_read_in_several_requests(world: World) -> None:
    deliveries = [(f"e-{number}", "index-patient") for number in range(205)]
    for event, consumer in deliveries[::2]:
        settle(world, LedgerEntry(event, consumer, COMMITTED, clock.now()))
    asked = faults.requests("BatchGetItem")

    assert pending(world, *deliveries, *deliveries) == set(deliveries[1::2])

    reads = [each["RequestItems"][LEDGER] for each in asked if LEDGER in each["RequestItems"]]
    assert [len(read["Keys"]) for read in reads] == [100, 100, 5]
    assert all(read["ConsistentRead"] for read in reads)


# Guards: keys that DynamoDB did not process are requested again.
def test_deliveries_that_dynamodb_did_not_process_are_requested_again(world: World) -> None:
    settle(world, LedgerEntry("e-1", "index-patient", COMMITTED, clock.now()))
    settle(world, LedgerEntry("e-2", "index-patient", COMMITTED, clock.now()))
    left = {LEDGER: {"Keys": [key("e-2")], "ConsistentRead": True}}
    answered = {**key("e-1"), "state": {"S": COMMITTED}, "at": {"S": "x"}}
    faults.answer("BatchGetItem", (200, {"Responses": {LEDGER: [answered]}, "UnprocessedKeys": left}), about="e-1")
    asked = faults.requests("BatchGetItem")

    assert pending(world, ("e-1", "index-patient"), ("e-2", "index-patient")) == set()

    assert [each["RequestItems"] for each in asked][2:] == [left]  # after the event and the first request


def test_deliveries_that_dynamodb_never_processes_return_the_message_in_time(world: World) -> None:
    left = {LEDGER: {"Keys": [key("e-1")], "ConsistentRead": True}}
    faults.always_answer("BatchGetItem", (200, {"Responses": {}, "UnprocessedKeys": left}), about="e-1")
    looking = querying(lambda work: work.pending([("e-1", "index-patient")]))
    message = Message(from_the_bus(recorded()))

    assert world.deliver(looking, message, context=Context(seconds=4, less=0.3)) == [message]


def test_a_batch_of_several_tables_is_read_until_no_key_is_unprocessed(world: World) -> None:
    tallies = NAMES.of("tallies")
    settle(world, LedgerEntry("e-1", "index-patient", COMMITTED, clock.now()))
    a, b = {"id": {"S": "a"}}, {"id": {"S": "b"}}
    request = {tallies: {"Keys": [a, b]}, LEDGER: {"Keys": [key("e-1")]}}
    faults.answer(
        "BatchGetItem",
        (200, {"Responses": {tallies: [a]}, "UnprocessedKeys": {tallies: {"Keys": [b]}, LEDGER: request[LEDGER]}}),
        (200, {"Responses": {tallies: [b]}, "UnprocessedKeys": {LEDGER: request[LEDGER]}}),
    )
    backoff = endless()

    found = [(table, item.get("id") or item["key"]) for table, item in batch_get(dynamodb(), request, backoff)]

    assert found == [(tallies, {"S": "a"}), (tallies, {"S": "b"}), (LEDGER, {"S": "index-patient#e-1"})]
    assert backoff.waits == 2


def test_a_request_without_keys_makes_no_call(world: World) -> None:
    assert world
    calls = faults.calls()

    assert list(batch_get(dynamodb(), {}, endless())) == []
    assert list(Ledger(dynamodb(), LEDGER).find_all([], endless())) == []

    assert calls == []


def querying(question: Callable[[Work], object]) -> Reaction[LoanRequested]:
    """A reaction that calls this function and ignores its result."""

    def body(work: Work) -> None:
        question(work)

    return running(body)


def settle(world: World, entry: LedgerEntry) -> None:
    """Write an entry into the ledger."""
    world.client.transact_write_items(TransactItems=[world.ledger.record(entry, writer(entry.consumer))])  # type: ignore[list-item]


def pending(world: World, *deliveries: tuple[str, str]) -> set[tuple[str, str]]:
    """The deliveries that are pending, as a unit of work sees them."""
    seen: list[set[tuple[str, str]]] = []
    world.receive(running(lambda work: seen.append(work.pending(deliveries))), a_loan("1003"))
    return seen[-1]


def key(event: str) -> dict[str, dict[str, str]]:
    return {"key": {"S": f"index-patient#{event}"}}


def dynamodb() -> Any:
    return aws.client("dynamodb")


def endless() -> Backoff:
    """A back-off with enough time for any number of retries."""
    return Backoff(lambda: 30)
