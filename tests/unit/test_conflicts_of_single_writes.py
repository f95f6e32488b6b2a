"""A single write that meets a transaction on its item is retried, and is no failure of the event."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from daybook.consumers.effect_records import OPEN, EffectRecord, EffectRecords
from daybook.consumers.switch import Switches
from daybook.contracts import clock
from daybook.contracts.contract import Event
from daybook.store.attributes import pack_item
from daybook.store.cursor import Cursor, Cursors, PendingEvent
from daybook.store.ledger import COMMITTED, DEAD, TRYING, LedgerEntry, Note
from daybook.store.register import Register
from daybook.store.timers import DueTable, Watermark, minute
from daybook.testing.dynamodb import DynamoDB
from daybook.testing.keys import writer
from daybook.testing.world import NAMES, World
from tests.application.builders import Message, a_loan, from_the_bus, recorded
from tests.unit.bodies import attempting
from tests.unit.test_delivery_attempts import Slip, failing, later
from tests.unit.test_effects import SENT

EFFECT = "try-it#effect#trial/1001"


def note(world: World) -> None:
    world.ledger.note("e-1", "try-it", ("loan/1", 1), Note(message="m", deliveries=1, at=clock.now()))


def record_dead(world: World) -> None:
    world.ledger.record_dead(LedgerEntry("e-1", "try-it", DEAD, clock.now()))


def move_a_cursor(world: World) -> None:
    pending = PendingEvent(event="e-1", sequence=1, reason="Slip", since=clock.now())
    cursors = Cursors(world.client, NAMES.ledger, "try-it", lambda: writer("try-it"))
    cursors.write(Cursor("loan/1").waiting_for(pending))


def begin_an_effect(world: World) -> None:
    EffectRecords(world.client, world.ledger, "try-it").begin("trial/1001", cause="e-1", seconds=30)


def count_a_failure(world: World) -> None:
    assert Switches(world.client, NAMES.ledger).count_failure("try-it", "e-1")


def register_a_consumer(world: World) -> None:
    Register(world.client, NAMES.ledger).update({"try-it": ["LoanRequested"]})


def set_the_watermark(world: World) -> None:
    DueTable(world.client, NAMES.due).set_watermark(Watermark(minute(datetime.now(UTC) - timedelta(hours=1))))


def remove_a_timer(world: World) -> None:
    DueTable(world.client, NAMES.due).remove(pack_item({"slot": "2026", "due": "1"}))


WRITES: dict[str, tuple[Callable[[World], None], str, dict[str, str]]] = {
    "a note": (note, NAMES.ledger, {"key": "try-it#e-1"}),
    "a dead letter": (record_dead, NAMES.ledger, {"key": "try-it#e-1"}),
    "a cursor": (move_a_cursor, NAMES.ledger, {"key": "try-it#cursor#loan/1"}),
    "an effect record": (begin_an_effect, NAMES.ledger, {"key": EFFECT}),
    "a switch": (count_a_failure, NAMES.ledger, {"key": "try-it#switch"}),
    "the register": (register_a_consumer, NAMES.ledger, {"key": "#register"}),
    "the watermark": (set_the_watermark, NAMES.due, {"slot": "watermark", "due": "watermark"}),
    "the removal of a timer": (remove_a_timer, NAMES.due, {"slot": "2026", "due": "1"}),
}


@pytest.mark.parametrize("name", WRITES)
def test_a_single_write_that_meets_a_transaction_is_retried(world: World, dynamodb: DynamoDB, name: str) -> None:
    write, table, key = WRITES[name]

    with dynamodb.conflicting(table, pack_item(key), times=2) as left:
        write(world)

        assert left() == 0


def test_the_note_of_a_failed_attempt_is_written_after_a_conflict(world: World, dynamodb: DynamoDB) -> None:
    envelope = recorded()
    message = Message(from_the_bus(envelope))
    handler = failing(Slip())

    with dynamodb.conflicting(NAMES.ledger, pack_item({"key": f"{handler.name}#{envelope.metadata.id}"}), times=2):
        assert world.deliver(handler, message) == [message]

    (entry,) = world.entries(envelope)
    assert [attempt["error"] for attempt in entry.failed_attempts] == ["Slip"]


def test_an_effect_whose_record_meets_conflicts_makes_its_call_once(world: World, dynamodb: DynamoDB) -> None:
    calls: list[str] = []

    def body(record: EffectRecord) -> Event:
        calls.append(record.idempotency_key)
        with dynamodb.conflicting(NAMES.ledger, pack_item({"key": EFFECT}), times=2):
            record.note(intent="pi_1")
        return SENT

    with dynamodb.conflicting(NAMES.ledger, pack_item({"key": EFFECT}), times=2):
        assert world.deliver(attempting(body), Message(from_the_bus(recorded(a_loan())))) == []

    (row,) = (item for item in world.items("ledger") if item["key"] == EFFECT)
    assert (calls, row["state"], row["notes"]) == (["trial/1001"], OPEN, {"intent": "pi_1"})


def test_a_conflict_that_does_not_end_hands_the_message_back_and_is_no_failed_attempt(
    world: World, dynamodb: DynamoDB
) -> None:
    envelope = recorded(a_loan())
    message = Message(from_the_bus(envelope))
    handler = attempting(lambda _: SENT)

    with dynamodb.conflicting(NAMES.ledger, pack_item({"key": EFFECT})):
        assert world.deliver(handler, message) == [message]

    (entry,) = world.entries(envelope)
    assert (entry.state, entry.details["failed_count"], entry.failed_attempts) == (TRYING, 0, ())
    assert world.deliver(handler, later(message)) == []
    assert [entry.state for entry in world.entries(envelope)] == [COMMITTED]
