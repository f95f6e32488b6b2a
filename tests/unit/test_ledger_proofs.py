"""A row of the ledger that says that work is done, and that its consumer has not proven, ends no work.

Each test plants a row, as somebody could who may write to the table, but not use the keys. The consumer processes
nothing, and its message becomes a dead letter. When an operator has deleted the row, or restored it, a retry succeeds.
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from daybook.consumers.effect_records import OPEN, EffectRecord
from daybook.consumers.failure import NonRetryable, RetryLater
from daybook.consumers.reaction import reaction
from daybook.consumers.work import Work
from daybook.contracts.contract import Event
from daybook.contracts.envelope import Envelope, canonical
from daybook.contracts.identity import admitted_id
from daybook.contracts.operations import MAX_DEAD_LETTERS
from daybook.contracts.proof import Writer
from daybook.operate.dead_letters import resolve as resolving
from daybook.operate.dead_letters.discard import DiscardOperation
from daybook.operate.dead_letters.index import Selection, dead_letters
from daybook.operate.dead_letters.resolve import NothingToResolve
from daybook.operate.dead_letters.results import DEAD_AGAIN, DONE, Result
from daybook.operate.dead_letters.retry import RetryOperation
from daybook.store import ledger_proofs
from daybook.store.attributes import pack_item
from daybook.store.cursor import Cursor, Cursors
from daybook.store.ledger import COMMITTED, DEAD, DISCARDED, TRYING
from daybook.testing.keys import proven, writer
from daybook.testing.world import NAMES, Handler, World, errors
from tests.application.builders import DESK, Message, a_loan, from_the_bus, loan_data, recorded, sent
from tests.application.contracts.loans import LoanRequested
from tests.application.contracts.reminders import ReminderSent
from tests.application.services.loans.loan import Loan
from tests.application.services.loans.loan_status import loan_status_requested
from tests.unit import faults
from tests.unit.bodies import attempting
from tests.unit.bodies import running as reacting
from tests.unit.dead_letters import record
from tests.unit.running import Running, error_of
from tests.unit.test_effects import time_passes

NOW = "2026-03-01T12:00:00.000000Z"
ERROR = "LedgerRowNotProven"
ACCOUNT = "123456789012"
SENT = ReminderSent(reminder_id="1001.trial", loan_id="1001", message_id="M-1")

called: list[str] = []  # the idempotency keys of the calls


def _save(work: Work) -> None:
    work.save(Loan(loan_id=work.cause.id))


def _call(record: EffectRecord) -> Event:
    called.append(record.idempotency_key)
    return SENT


def _ordered(_: LoanRequested, work: Work) -> None:
    _save(work)


_ordered.__module__, _ordered.__name__ = "functions.trials.try_it", "handler"

KINDS: dict[str, Any] = {
    "a reaction": reacting(_save),
    "an effect": attempting(_call),
    "an ordered reaction": reaction(LoanRequested, ordered=True)(_ordered),
    "a view": loan_status_requested,
}
every_kind = pytest.mark.parametrize("handler", KINDS.values(), ids=KINDS)


@pytest.fixture(autouse=True)
def _no_calls() -> None:
    called.clear()


def results(world: World) -> int:
    """The number of results of all consumers."""
    return len(called) + len(world.items("loans")) + len(world.items("loan-status"))


def plant(world: World, row: Mapping[str, Any]) -> None:
    """Write a row into the ledger, as somebody with rights to the table could."""
    world.client.put_item(TableName=NAMES.ledger, Item=pack_item(row))


def a_status(event: Envelope, consumer: str, state: str = COMMITTED, **other: Any) -> dict[str, Any]:
    """A plausible row without a proof."""
    m = event.metadata
    row = {"key": f"{consumer}#{m.id}", "state": state, "at": NOW, "stream": m.stream, "sequence": m.sequence}
    return row | other


def an_event(world: World, loan: str = "1001") -> Envelope:
    event = recorded(a_loan(loan))
    world.append(event)
    return event


def assert_not_processed(world: World, handler: Handler, event: Envelope, *, tries: int = 1) -> None:
    """Deliver the event: nothing is done, and the message is a dead letter that does not take the event's id."""
    assert world.deliver(handler, Message(from_the_bus(event), tries=tries)) == []

    assert results(world) == 0
    (dead_letter,) = world.dead_letters()
    assert dead_letter.error == ERROR
    assert json.loads(dead_letter.body)["detail"]["metadata"]["id"] == event.metadata.id
    assert dead_letter.attributes["named_event"] == event.metadata.id
    assert "event_id" not in dead_letter.attributes


# --- statuses -------------------------------------------------------------------------------------------------------

OTHER = Writer("try-it", bytes(32))


def forgeries(event: Envelope, name: str) -> dict[str, dict[str, Any]]:
    """Rows that say that the event is done, and that the consumer has not written."""
    row = a_status(event, name)
    true = proven(row)
    return {
        "no proof": row,
        "discarded": a_status(event, name, DISCARDED),
        "by another key": row | ledger_proofs.prove(row, OTHER),
        "the proof of another event": row | {"proof": proven(row | {"key": f"{name}#another"})["proof"]},
        "the proof of another state": proven(row | {"state": DISCARDED}) | {"state": COMMITTED},
        "another time": true | {"at": "2026-03-02T12:00:00.000000Z"},
        "other events": true | {"emitted": ["e-1"]},
        "a proof that is no proof": row | {"proof": "yes"},
        "a number of events": row | {"emitted": 5, "proof": b"x" * 32},
        "values of other types": {"key": row["key"], "state": COMMITTED, "emitted": [b"x"], "proof": b"x" * 32},
    }


FORGERIES = forgeries(recorded(), "try-it")


# Guards: the check in Consumer.commit, View.react and Effect.react (first delivery), and in Pipeline.check.
@every_kind
@pytest.mark.parametrize("tries", [1, 2])
@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_planted_row_ends_no_work(
    world: World, capsys: pytest.CaptureFixture[str], handler: Any, forgery: str, tries: int
) -> None:
    event = an_event(world)
    plant(world, forgeries(event, handler.name)[forgery])

    assert_not_processed(world, handler, event, tries=tries)

    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["error"] for line in lines if line.get("message") == "forged"] == [ERROR]
    assert lines[-1]["Forged"] == [1]


@every_kind
def test_a_true_row_is_a_duplicate(world: World, handler: Any) -> None:
    event = an_event(world)
    for tries in (1, 1, 2):
        assert world.deliver(handler, Message(from_the_bus(event), tries=tries)) == []

    assert results(world) == 1
    assert world.dead_letters() == []
    assert [entry.state for entry in world.entries(event)] == [COMMITTED]


# Guards: the check in Settlement._note.
def test_a_planted_row_stops_no_event_that_must_be_retried(world: World) -> None:
    def wait(_: Work) -> None:
        plant(world, a_status(event, "try-it"))
        msg = "not yet"
        raise RetryLater(msg)

    event = an_event(world)
    assert_not_processed(world, reacting(wait), event)


# Guards: the read in Settlement._dead. Without it, record-dead-letters would drop the dead letter.
def test_a_planted_row_hides_no_dead_letter(world: World) -> None:
    def fail(_: Work) -> None:
        msg = "never"
        raise NonRetryable(msg)

    event = an_event(world)
    plant(world, a_status(event, "try-it"))
    assert_not_processed(world, reacting(fail), event)


def test_a_planted_dead_row_does_not_end_work(world: World) -> None:
    event = an_event(world)
    plant(world, a_status(event, "try-it", DEAD, dead="try-it", error="KeyError", reason="a bug", emitted=["e-1"]))

    assert world.deliver(reacting(_save), from_the_bus(event), from_the_bus(event)) == []

    assert (results(world), world.dead_letters()) == (1, [])
    assert [(entry.state, entry.emitted) for entry in world.entries(event)] == [(COMMITTED, ())]


# Guards: the check in Consumer.commit of an effect that has been performed.
def test_a_row_that_is_planted_during_a_call_does_not_hide_its_outcome(world: World) -> None:
    event = an_event(world)

    def call(record: EffectRecord) -> Event:
        plant(world, a_status(event, "try-it"))
        return _call(record)

    assert world.deliver(attempting(call), from_the_bus(event)) == []

    assert errors(world.dead_letters()) == [ERROR]
    (row,) = (item for item in world.items("ledger") if "#effect#" in item["key"])
    assert row["state"] == OPEN  # an operator resolves it


def test_no_call_more_is_made_on_the_normal_path(world: World) -> None:
    event, second = an_event(world), an_event(world, "1002")
    handler = reacting(lambda _: None)
    world.deliver(handler, from_the_bus(event))
    calls = faults.calls()

    world.deliver(handler, from_the_bus(second))
    assert calls == ["BatchGetItem", "UpdateItem"]
    world.deliver(handler, from_the_bus(second))
    assert calls[2:] == ["BatchGetItem", "UpdateItem"]  # a duplicate


# --- effect records -------------------------------------------------------------------------------------------------


def performed(**other: Any) -> dict[str, Any]:
    """The row of another event, whose effect was performed. The effect record of this event's key names it."""
    return a_status(recorded(id="another"), "try-it", effect="trial/1001") | other


PERFORMED = {
    "no proof": performed(),
    "another key": proven(performed(effect="trial/1002")) | {"effect": "trial/1001"},
    "the key added": proven(a_status(recorded(id="another"), "try-it")) | {"effect": "trial/1001"},
    "the proof of another event": performed(proof=proven(performed(key="try-it#e-3"))["proof"]),
}


def plant_effect_record(world: World, **other: Any) -> None:
    """Write an effect record that says that the call was made for another event."""
    row = {"key": "try-it#effect#trial/1001", "state": OPEN, "cause": "another", "number": 1, "notes": {}}
    plant(world, row | other)


# Guards: the check after AlreadyPerformed, and that the proof covers the idempotency key.
@pytest.mark.parametrize("row", PERFORMED.values(), ids=PERFORMED)
def test_a_planted_row_of_another_event_does_not_count_as_a_call(world: World, row: dict[str, Any]) -> None:
    event = an_event(world)
    plant(world, row)
    plant_effect_record(world)

    assert_not_processed(world, attempting(_call), event)
    assert world.entries(event) == []


# Guards: the comparison of the idempotency key, in EffectRecords.performed.
@pytest.mark.parametrize(
    "row",
    [{}, {"effect": "trial/1002"}, {"effect": "trial/1001", "state": DISCARDED}],
    ids=["of a reaction", "of another key", "discarded"],
)
def test_a_true_row_does_not_prove_another_call(world: World, row: dict[str, str]) -> None:
    event = an_event(world)
    plant(world, proven(a_status(recorded(id="another"), "try-it") | row))
    plant_effect_record(world)

    message = Message(from_the_bus(event))

    assert world.deliver(attempting(_call), message) == [message]

    assert (called, world.dead_letters()) == ([], [])
    assert [entry.state for entry in world.entries(event)] == [TRYING]


# --- ordered consumers ----------------------------------------------------------------------------------------------

in_order = KINDS["an ordered reaction"]
CURSOR = {"key": "try-it#cursor#loan/1001", "state": "moving", "at": NOW, "stream": "loan/1001"}
CURSORS = {
    "moved": CURSOR | {"sequence": 7, "version": 1},
    "blocked": proven(CURSOR | {"sequence": 0, "version": 1}) | {"pending": {"event": "e", "sequence": 1}},
    "of another stream": proven(CURSOR | {"key": "try-it#cursor#loan/1002", "sequence": 7, "version": 1}) | CURSOR,
    "without attributes": CURSOR,
}


# Guards: the check in Cursors.read.
@pytest.mark.parametrize("tries", [1, 2])
@pytest.mark.parametrize("row", CURSORS.values(), ids=CURSORS)
def test_a_planted_cursor_skips_no_event(world: World, row: dict[str, Any], tries: int) -> None:
    event = an_event(world)
    plant(world, row)

    assert_not_processed(world, in_order, event, tries=tries)
    assert world.entries(event) == []


def failing_in_order(error: Exception) -> Any:
    """The ordered reaction, whose body fails."""

    def fail(_loan: LoanRequested, _work: Work) -> None:
        raise error

    fail.__module__, fail.__name__ = _ordered.__module__, _ordered.__name__
    return reaction(LoanRequested, ordered=True)(fail)


def a_stream(world: World) -> list[Envelope]:
    events: list[Envelope] = []
    for _ in range(4):
        events.append(recorded(a_loan(), after=events[-1] if events else None))
    world.append(*events)
    return events


# Guards: the check in Stream._position. The first event is named, because its row is in the way.
@pytest.mark.parametrize("state", [COMMITTED, DISCARDED])
def test_a_planted_decision_does_not_unblock_a_stream_and_makes_one_dead_letter(world: World, state: str) -> None:
    first, *later = a_stream(world)
    world.deliver(failing_in_order(NonRetryable("never")), from_the_bus(first))
    plant(world, a_status(first, in_order.name, state))

    for event in later:
        assert world.deliver(in_order, from_the_bus(event)) == []

    assert results(world) == 0
    died, planted = world.dead_letters()
    assert (died.error, planted.error, planted.attributes["named_event"]) == ("NonRetryable", ERROR, first.metadata.id)
    assert json.loads(planted.body)["detail"]["metadata"]["id"] == first.metadata.id


def test_a_row_that_is_planted_while_an_event_is_retried_makes_one_dead_letter(world: World) -> None:
    first, *later = a_stream(world)
    message = Message(from_the_bus(first))
    assert world.deliver(failing_in_order(RetryLater("not yet")), message) == [message]
    plant(world, a_status(first, in_order.name))

    for event in later:
        assert world.deliver(in_order, from_the_bus(event)) == []
    assert world.deliver(in_order, replace(message, tries=2, age=60)) == []

    assert results(world) == 0
    (planted,) = world.dead_letters()
    assert (planted.error, planted.attributes["named_event"]) == (ERROR, first.metadata.id)


# Guards: the error of the outcome in Settlement._dead. Otherwise the next message would make another dead letter.
def test_a_stream_is_blocked_by_the_row_if_an_event_dies_that_has_an_unproven_one(world: World) -> None:
    first, *later = a_stream(world)

    def fail(_loan: LoanRequested, _work: Work) -> None:
        plant(world, a_status(first, in_order.name))
        msg = "never"
        raise NonRetryable(msg)

    fail.__module__, fail.__name__ = _ordered.__module__, _ordered.__name__
    world.deliver(reaction(LoanRequested, ordered=True)(fail), from_the_bus(first))

    for event in later:
        assert world.deliver(in_order, from_the_bus(event)) == []

    assert (results(world), errors(world.dead_letters())) == (0, [ERROR])
    (cursor,) = (item for item in world.items("ledger") if "#cursor#" in item["key"])
    assert cursor["pending"]["reason"] == ERROR


def test_events_after_an_unproven_row_wait_without_dead_letters(world: World) -> None:
    first = an_event(world)
    plant(world, a_status(first, in_order.name))
    world.deliver(in_order, from_the_bus(first))
    later = [recorded(a_loan(), after=first)]
    later.append(recorded(a_loan(), after=later[0]))
    world.append(*later)

    assert world.deliver(in_order, *map(from_the_bus, later)) == []

    assert (results(world), errors(world.dead_letters())) == (0, [ERROR])


# --- admit ----------------------------------------------------------------------------------------------------------


# Guards: the check in admit.
@pytest.mark.parametrize("state", [COMMITTED, DISCARDED])
def test_a_planted_row_of_admit_drops_no_event(world: World, capsys: pytest.CaptureFixture[str], state: str) -> None:
    body = sent(loan_data(), metadata={"id": "p-1"})
    world.admit(body)
    (event,) = world.stream("loan/1001")
    (row,) = world.items("ledger")
    world.clear_store()
    world.clear("ledger")
    unproven = {name: value for name, value in row.items() if name != "proof"} | {"state": state}
    plant(world, unproven)
    capsys.readouterr()

    assert world.admit(body) == []

    assert world.stream("loan/1001") == []
    (dead_letter,) = world.dead_letters()
    assert (dead_letter.error, dead_letter.attributes["named_event"]) == (ERROR, event.metadata.id)
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["Forged"] == [1]


def test_a_true_row_of_admit_is_a_duplicate(world: World) -> None:
    body = sent(loan_data(), metadata={"id": "p-1"})

    assert world.admit(body) == world.admit(body) == []

    assert len(world.stream("loan/1001")) == 1
    assert world.dead_letters() == []


# Guards: `content_hash` in the content of a proof.
def test_another_content_hash_does_not_make_another_event_a_duplicate(world: World) -> None:
    first, second = (sent(loan_data(books=[("emma", n)]), metadata={"id": "p-1"}) for n in (1, 2))
    world.admit(first)
    (mine,) = world.items("ledger")
    world.clear_store()
    world.clear("ledger")
    world.admit(second)
    (row,) = world.items("ledger")
    plant(world, row | {"content_hash": mine["content_hash"]})

    assert world.admit(first) == []
    assert errors(world.dead_letters()) == [ERROR]


# --- what operators do ----------------------------------------------------------------------------------------------


@pytest.fixture
def running(world: World, library: None) -> Running:  # noqa: ARG001 - the application that commands serve
    return Running(world)


def retried(running: Running) -> list[str]:
    """What `daybook dead retry` does with all dead letters."""
    connection = running.connection()
    found = list(dead_letters(connection, Selection()))
    operation = RetryOperation(connection, pause=running.pause, now=iter(range(1000)).__next__, wait=20)
    results: list[Result] = list(operation.run(found))
    return [result.result for result in results]


IN_THE_WAY: dict[str, tuple[str, dict[str, Any]]] = {
    "a status of a reaction": ("a reaction", {}),
    "a status of an effect": ("an effect", {}),
    "a status of an ordered reaction": ("an ordered reaction", {}),
    "a cursor": ("an ordered reaction", CURSORS["moved"]),
}


# Guards: `named_event` in record_dead_letters.py, results.py and retry.py.
@pytest.mark.parametrize(("kind", "row"), IN_THE_WAY.values(), ids=IN_THE_WAY)
def test_a_dead_letter_is_retried_after_the_row_was_deleted(running: Running, kind: str, row: dict[str, Any]) -> None:
    world, handler = running.world, KINDS[kind]
    running.deploy(handler)
    event = an_event(world)
    row = row or a_status(event, handler.name)
    plant(world, row)
    running.receives(from_the_bus(event), handler.name)
    (dead,) = running.dead(handler.name)
    assert (dead.details["error"], dead.stream, results(world)) == (ERROR, "", 0)
    assert row["key"] in dead.details["reason"]

    assert retried(running) == [DEAD_AGAIN]
    world.client.delete_item(TableName=NAMES.ledger, Key=pack_item({"key": row["key"]}))
    assert retried(running) == [DONE]

    assert results(world) == 1
    assert [entry.state for entry in world.entries(event)] == [COMMITTED]
    assert running.dead(handler.name) == []
    assert world.ledger.find(dead.event, dead.consumer).done  # type: ignore[union-attr]


def test_a_stream_continues_after_a_planted_decision_was_deleted(running: Running) -> None:
    world = running.world
    running.deploy(failing_in_order(NonRetryable("never")))
    first, *later = a_stream(world)
    running.receives(from_the_bus(first), in_order.name)
    plant(world, a_status(first, in_order.name, DISCARDED))
    running.deploy(in_order)
    for event in later:
        running.receives(from_the_bus(event), in_order.name)
    assert [dead.details["named_event"] for dead in running.dead(in_order.name)] == [first.metadata.id]

    world.client.delete_item(TableName=NAMES.ledger, Key=pack_item({"key": f"{in_order.name}#{first.metadata.id}"}))
    assert retried(running) == [DONE]

    assert [entry.state for event in (first, *later) for entry in world.entries(event)] == [COMMITTED] * 4
    assert running.dead(in_order.name) == []


def test_a_dead_letter_is_retried_after_the_true_row_was_restored(running: Running) -> None:
    handler = KINDS["a reaction"]
    running.deploy(handler)
    event = an_event(running.world)
    running.receives(from_the_bus(event), handler.name)
    (true,) = (item for item in running.world.items("ledger") if item["key"].startswith("try-it#"))
    plant(running.world, true | {"at": NOW})
    running.receives(from_the_bus(event), handler.name)

    plant(running.world, true)
    assert retried(running) == [DONE]

    assert results(running.world) == 1
    assert running.dead(handler.name) == []


def test_a_dead_letter_of_admit_is_retried_after_the_row_was_deleted(running: Running) -> None:
    event = admitted_id(ACCOUNT, DESK, "p-1")
    plant(running.world, {"key": f"admit#{event}", "state": COMMITTED, "at": NOW})
    running.receives(sent(loan_data(), metadata={"id": "p-1"}))
    assert [entry.details["error"] for entry in running.dead()] == [ERROR]

    running.world.client.delete_item(TableName=NAMES.ledger, Key=pack_item({"key": f"admit#{event}"}))
    assert retried(running) == [DONE]

    assert [each.metadata.id for each in running.business_events()] == [event]
    assert running.dead() == []


# Guards: the proof of the operator's decision.
def test_an_event_that_an_operator_has_discarded_is_a_duplicate(running: Running) -> None:
    def fail(_: Work) -> None:
        msg = "never"
        raise NonRetryable(msg)

    running.deploy(reacting(fail))
    event = an_event(running.world)
    running.receives(from_the_bus(event), "try-it")
    connection = running.connection()
    found = list(dead_letters(connection, Selection()))
    assert [each.discarded for each in DiscardOperation(connection, "why", pause=running.pause).run(found)] == [True]

    for tries in (1, 2):
        assert running.world.deliver(reacting(_save), Message(from_the_bus(event), tries=tries)) == []
    running.process_all()

    assert results(running.world) == 0
    assert running.dead("try-it") == []


# Guards: the comparison with `deaths` in results.py. Otherwise the retry would wait for a result that never comes.
def test_a_retry_ends_when_the_event_dies_under_its_own_id(running: Running) -> None:
    world = running.world
    running.deploy(reacting(_save))
    event = an_event(world)
    plant(world, a_status(event, "try-it"))
    running.receives(from_the_bus(event), "try-it")
    world.client.delete_item(TableName=NAMES.ledger, Key=pack_item({"key": f"try-it#{event.metadata.id}"}))

    def fail(_: Work) -> None:
        msg = "never"
        raise NonRetryable(msg)

    running.deploy(reacting(fail))
    assert retried(running) == [DEAD_AGAIN]
    assert sorted(dead.details["error"] for dead in running.dead("try-it")) == [ERROR, "NonRetryable"]
    assert retried(running) == [DEAD_AGAIN, DEAD_AGAIN]

    running.deploy(reacting(_save))
    assert retried(running) == [DONE, DONE]
    assert (results(world), running.dead("try-it")) == (1, [])


# Guards: the portions in RetryOperation._poll.
def test_more_such_dead_letters_than_one_record_holds_are_completed(running: Running) -> None:
    world, handler = running.world, KINDS["a reaction"]
    running.deploy(handler)
    for number in range(MAX_DEAD_LETTERS + 1):
        event = an_event(world, f"loan-{number}")
        plant(world, a_status(event, handler.name))
        running.receives(from_the_bus(event), handler.name)
        key = {"key": f"{handler.name}#{event.metadata.id}"}
        world.client.delete_item(TableName=NAMES.ledger, Key=pack_item(key))

    assert retried(running) == [DONE] * (MAX_DEAD_LETTERS + 1)


# Guards: the check of `named_event` in resolve.py.
def test_an_effect_whose_row_was_planted_during_its_call_is_resolved_after_a_retry(running: Running) -> None:
    world = running.world
    event = an_event(world)

    def call(record: EffectRecord) -> Event:
        plant(world, a_status(event, "try-it"))
        return _call(record)

    running.deploy(attempting(call))
    running.receives(from_the_bus(event), "try-it")
    time_passes(world)
    (dead,) = running.dead("try-it")
    error = error_of(lambda: resolving.find(running.connection(), f"{dead.event}@try-it"), NothingToResolve)
    assert "no attempt" not in error
    assert f"daybook dead retry {dead.event}@try-it" in error
    assert f"daybook dead resolve {event.metadata.id}@try-it" in error

    world.client.delete_item(TableName=NAMES.ledger, Key=pack_item({"key": f"try-it#{event.metadata.id}"}))
    assert retried(running) == [DEAD_AGAIN]
    connection = running.connection()
    unknown = resolving.find(connection, f"{event.metadata.id}@try-it")
    resolving.took_effect(connection, unknown, SENT, "the external system has it")

    assert retried(running) == [DONE]
    assert (len(called), running.dead("try-it")) == (1, [])
    assert [entry.state for entry in world.entries(event)] == [COMMITTED]


# Guards: the check in `_result` of results.py.
@pytest.mark.parametrize("state", [COMMITTED, DISCARDED])
def test_a_row_that_is_planted_during_a_retry_is_not_its_result(running: Running, state: str) -> None:
    def fail(_: Work) -> None:
        if running.dead("try-it"):
            plant(running.world, a_status(event, "try-it", state))
        msg = "never"
        raise NonRetryable(msg)

    running.deploy(reacting(fail))
    event = an_event(running.world)
    running.receives(from_the_bus(event), "try-it")

    assert retried(running) == [DEAD_AGAIN]

    (dead,) = running.dead("try-it")
    assert (dead.details["error"], dead.details["named_event"]) == (ERROR, event.metadata.id)


def test_record_dead_letters_ignores_a_named_event_that_is_no_id(world: World) -> None:
    assert record("{}", of="try-it", attributes={"error": ERROR, "reason": "why", "named_event": "try-it#effect"}) == []

    (row,) = world.items("ledger")
    assert "named_event" not in row


# --- the form -------------------------------------------------------------------------------------------------------

WRITER = Writer("reserve-stock", bytes(range(32)))


def test_the_content_of_a_proof_is_the_key_and_the_attributes_that_end_work() -> None:
    row = {"key": "reserve-stock#e-1", "state": COMMITTED, "at": NOW, "emitted": ["e-2"], "sequence": 1}
    assert ledger_proofs.content(row).decode() == canonical(
        {"at": NOW, "emitted": ["e-2"], "key": "reserve-stock#e-1", "state": COMMITTED}
    )
    assert ledger_proofs.is_proven(row | ledger_proofs.prove(row, WRITER), WRITER)


def test_a_cursor_is_proven_with_each_move(world: World) -> None:
    cursors = Cursors(world.client, NAMES.ledger, "try-it", lambda: writer("try-it"))
    cursors.write(Cursor("loan/1001").advanced_to(1))
    cursors.write(cursors.read("loan/1001").advanced_to(2))

    assert cursors.read("loan/1001") == Cursor("loan/1001", 2, 2)
