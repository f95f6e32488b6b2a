"""A unit of work may look back: at the history of a stream, and at what has become of its events elsewhere."""

from collections.abc import Callable
from typing import Any

import pytest

from daybook.consumers.reaction import Reaction
from daybook.consumers.work import RecordedEvent, Work
from daybook.contracts import clock
from daybook.contracts.envelope import Envelope
from daybook.runtime import aws
from daybook.store.ledger import COMMITTED, DEAD, DISCARDED, TRYING, Entry, Ledger, Note
from daybook.store.transaction import Backoff, batch_get
from events.orders import OrderConfirmed, OrderPlaced
from tests.unit import faults
from tests.unit.bodies import running
from tests.unit.builders import Message, a_confirmation, an_order, from_the_bus, recorded
from tests.unit.contracts import ParcelSent, Tally
from tests.unit.world import NAMES, Context, World

LEDGER = NAMES.ledger


def stored(world: World, *events: OrderPlaced | OrderConfirmed | ParcelSent, **draft: Any) -> list[Envelope]:
    """These events, one behind the other in their stream."""
    kept: list[Envelope] = []
    for event in events:
        kept.append(recorded(event, after=kept[-1] if kept else None, **draft))
        world.append(kept[-1])
    return kept


def test_a_history_is_what_was_recorded_of_these_types_in_order(world: World) -> None:
    placed, _, confirmed = stored(world, an_order(), ParcelSent(order_id="1001"), a_confirmation())
    stored(world, an_order("1002"))
    seen: list[RecordedEvent[OrderPlaced | OrderConfirmed]] = []

    def body(work: Work) -> None:
        seen.extend(work.history("order/1001", OrderConfirmed, OrderPlaced))

    world.receive(running(body), an_order("1003"))

    assert seen == [RecordedEvent(an_order(), placed.metadata), RecordedEvent(a_confirmation(), confirmed.metadata)]


def test_a_stream_that_nothing_has_opened_has_no_history(world: World) -> None:
    seen: list[object] = []
    world.receive(running(lambda work: seen.append(work.history("order/1001", OrderPlaced))), an_order("1003"))

    assert seen == [[]]


def test_a_history_is_read_consistently_and_to_its_end(world: World) -> None:
    note = "x" * 50_000  # so that the stream is longer than one page, which holds a megabyte
    stored(world, *[ParcelSent(order_id="1001", parcel=f"P-{number}{note}") for number in range(25)])
    seen: list[str] = []
    queries = faults.requests("Query")

    def body(work: Work) -> None:
        seen.extend(past.event.parcel.partition("x")[0] for past in work.history("order/1001", ParcelSent))

    world.receive(running(body), an_order("1003"))

    assert seen == [f"P-{number}" for number in range(25)]
    assert len(queries) > 1
    assert all(query["ConsistentRead"] for query in queries)


def test_a_body_that_runs_again_looks_back_again(world: World) -> None:
    lengths: list[int] = []

    def body(work: Work) -> None:
        row = work.read(Tally, "a")
        lengths.append(len(work.history("order/1001", OrderPlaced)))
        work.save(row.evolve(total=lengths[-1]))

    def another() -> None:
        stored(world, an_order())
        world.put(Tally(name="a"), version=1)

    faults.meanwhile("TransactWriteItems", another)
    world.receive(running(body), an_order("1003"))

    assert lengths == [0, 1]
    assert world.row(Tally, "a") == Tally(name="a", total=1)


def test_a_history_of_a_version_to_come_waits_for_newer_code(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    stored(world, an_order(), version=2)
    looking = asking(lambda work: work.history("order/1001", OrderPlaced))
    message = Message(from_the_bus(recorded(an_order("1003"))))

    assert world.deliver(looking, message) == [message]

    assert '"message":"retry later"' in capsys.readouterr().out
    assert world.dead_letters() == []


def test_an_event_that_broke_its_contract_can_have_no_history(world: World) -> None:
    stored(world, an_order(), data='{"order_id": 1001}')
    looking = asking(lambda work: work.history("order/1001", OrderPlaced))

    assert world.deliver(looking, from_the_bus(recorded(an_order("1003")))) == []

    (letter,) = world.dead_letters()
    assert letter.error == "ContractBroken"


# Guards: which rows of the ledger say that something may still come.
@pytest.mark.parametrize(
    ("state", "still"), [(None, True), (TRYING, True), (COMMITTED, False), (DEAD, False), (DISCARDED, False)], ids=str
)
def test_a_delivery_is_on_the_way_until_something_has_come_of_it_or_will_not(
    world: World, state: str | None, *, still: bool
) -> None:
    if state == TRYING:
        note = Note(message="m", deliveries=1, at=clock.now(), error="Slip", reason="it slipped")
        world.ledger.note("e-1", "index-patient", ("patient/ada", 1), note)
    elif state:
        settle(world, Entry("e-1", "index-patient", state, clock.now()))

    assert on_the_way(world, ("e-1", "index-patient")) == ({("e-1", "index-patient")} if still else set())


def test_a_delivery_is_one_events_to_one_consumer(world: World) -> None:
    settle(world, Entry("e-1", "index-patient", COMMITTED, clock.now()))
    others = {("e-1", "sync-billing"), ("e-2", "index-patient")}

    assert on_the_way(world, ("e-1", "index-patient"), *others) == others


def test_of_no_deliveries_none_is_on_the_way_and_nobody_is_asked(world: World) -> None:
    calls = faults.calls()

    assert on_the_way(world) == set()

    assert calls == ["TransactWriteItems"]


def test_more_deliveries_than_one_call_may_ask_for_are_asked_for_in_several(world: World) -> None:
    deliveries = [(f"e-{number}", "index-patient") for number in range(205)]
    for event, consumer in deliveries[::2]:
        settle(world, Entry(event, consumer, COMMITTED, clock.now()))
    asked = faults.requests("BatchGetItem")

    assert on_the_way(world, *deliveries, *deliveries) == set(deliveries[1::2])

    assert [len(each["RequestItems"][LEDGER]["Keys"]) for each in asked] == [100, 100, 5]
    assert all(each["RequestItems"][LEDGER]["ConsistentRead"] for each in asked)


# Guards: what an answer left out is asked for again.
def test_deliveries_that_dynamodb_left_out_of_its_answer_are_asked_for_again(world: World) -> None:
    settle(world, Entry("e-1", "index-patient", COMMITTED, clock.now()))
    settle(world, Entry("e-2", "index-patient", COMMITTED, clock.now()))
    left = {LEDGER: {"Keys": [key("e-2")], "ConsistentRead": True}}
    answered = {"event": {"S": "e-1"}, "consumer": {"S": "index-patient"}, "state": {"S": COMMITTED}, "at": {"S": "x"}}
    faults.answer("BatchGetItem", (200, {"Responses": {LEDGER: [answered]}, "UnprocessedKeys": left}))
    asked = faults.requests("BatchGetItem")

    assert on_the_way(world, ("e-1", "index-patient"), ("e-2", "index-patient")) == set()

    assert [each["RequestItems"] for each in asked][1:] == [left]


def test_deliveries_that_dynamodb_never_answers_for_hand_the_message_back_in_time(world: World) -> None:
    left = {LEDGER: {"Keys": [key("e-1")], "ConsistentRead": True}}
    faults.always_answer("BatchGetItem", (200, {"Responses": {}, "UnprocessedKeys": left}))
    looking = asking(lambda work: work.pending([("e-1", "index-patient")]))
    message = Message(from_the_bus(recorded()))

    assert world.deliver(looking, message, context=Context(seconds=4, less=0.3)) == [message]


def test_items_of_several_tables_come_each_with_its_table_until_none_is_left_out(world: World) -> None:
    tallies = NAMES.of("tallies")
    settle(world, Entry("e-1", "index-patient", COMMITTED, clock.now()))
    a, b = {"id": {"S": "a"}}, {"id": {"S": "b"}}
    request = {tallies: {"Keys": [a, b]}, LEDGER: {"Keys": [key("e-1")]}}
    faults.answer(
        "BatchGetItem",
        (200, {"Responses": {tallies: [a]}, "UnprocessedKeys": {tallies: {"Keys": [b]}, LEDGER: request[LEDGER]}}),
        (200, {"Responses": {tallies: [b]}, "UnprocessedKeys": {LEDGER: request[LEDGER]}}),
    )
    backoff = endless()

    found = [(table, item.get("id") or item["event"]) for table, item in batch_get(dynamodb(), request, backoff)]

    assert found == [(tallies, {"S": "a"}), (tallies, {"S": "b"}), (LEDGER, {"S": "e-1"})]
    assert backoff.waits == 2


def test_nothing_that_is_asked_for_is_no_call(world: World) -> None:
    assert world
    calls = faults.calls()

    assert list(batch_get(dynamodb(), {}, endless())) == []
    assert list(Ledger(dynamodb(), LEDGER).several([], endless())) == []

    assert calls == []


def asking(question: Callable[[Work], object]) -> Reaction[OrderPlaced]:
    """A reaction that asks, and does nothing with the answer."""

    def body(work: Work) -> None:
        question(work)

    return running(body)


def settle(world: World, entry: Entry) -> None:
    """Have the ledger say so."""
    world.client.transact_write_items(TransactItems=[world.ledger.record(entry)])  # type: ignore[list-item]


def on_the_way(world: World, *deliveries: tuple[str, str]) -> set[tuple[str, str]]:
    """What a unit of work is told of these deliveries."""
    told: list[set[tuple[str, str]]] = []
    world.receive(running(lambda work: told.append(work.pending(deliveries))), an_order("1003"))
    return told[-1]


def key(event: str) -> dict[str, dict[str, str]]:
    return {"event": {"S": event}, "consumer": {"S": "index-patient"}}


def dynamodb() -> Any:
    return aws.client("dynamodb")


def endless() -> Backoff:
    """Backoff with time enough for all."""
    return Backoff(lambda: 30)
