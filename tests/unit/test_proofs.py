"""Only what a writer has recorded itself is published or fired: a row that somebody else writes is set aside."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from daybook.backbone import fire_timers, republish
from daybook.consumers.work import Work
from daybook.contracts import clock
from daybook.contracts.contract import Event, Place
from daybook.contracts.envelope import Envelope
from daybook.contracts.operations import ConsumerPaused
from daybook.contracts.proof import ADMIT, FIRE_TIMERS, OPERATIONS, Writer
from daybook.store.attributes import pack, pack_item
from daybook.store.event_store import successor, to_item
from daybook.store.timers import Timer, from_item
from daybook.store.timers import to_item as to_row
from daybook.testing.keys import writer
from daybook.testing.world import NAMES, Context, World, errors
from tests.application.builders import a_change_of_the_store, a_draft, a_loan, a_reservation, recorded
from tests.metrics import emitted
from tests.unit.bodies import running
from tests.unit.contracts import LoanOverdue

CONSUMER = "reserve-books"
FORGER = Writer("open-loan", writer("open-loan").key)  # a consumer whose key somebody else can use
PAUSED = ConsumerPaused(operation_id="op-1", operator="eve", reason="…", consumer=CONSUMER)


@pytest.fixture
def bus(world: World) -> World:
    """The world with a bus that a rule listens to."""
    world.open_bus()
    return world


def written(event: Event, *, producer: str, by: Writer, as_writer: str = "") -> Envelope:
    """The event in the name of `producer`, with a proof by a key of `by`."""
    return successor(a_draft(event, producer=producer), None, clock.now(), Writer(as_writer or by.name, by.key))


def metrics(capsys: pytest.CaptureFixture[str]) -> dict[str, list[float]]:
    return {metric.name: values for metric, values in emitted(capsys.readouterr().out).items()}


# --- events ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "event",
    [
        written(a_loan(), producer="library.desk", by=writer(ADMIT)),
        written(a_reservation(), producer=CONSUMER, by=writer(CONSUMER)),
        written(LoanOverdue(loan_id="1001"), producer=CONSUMER, by=writer(FIRE_TIMERS)),
        written(PAUSED, producer="daybook", by=writer(OPERATIONS)),
        written(a_reservation(), producer=CONSUMER, by=writer(OPERATIONS)),
    ],
    ids=["admitted", "emitted", "of a timer", "of an operation", "recorded by an operator for a consumer"],
)
def test_an_event_that_its_writer_has_proven_is_published(bus: World, event: Envelope) -> None:
    bus.publish(a_change_of_the_store(event))

    assert [heard["detail"]["metadata"]["id"] for heard in bus.heard()] == [event.metadata.id]
    assert bus.dead_letters() == []


FORGED = {
    "an event of the operator, written by a consumer": written(PAUSED, producer="daybook", by=FORGER),
    "a timer's event, written by a consumer": written(LoanOverdue(loan_id="1"), producer=FORGER.name, by=FORGER),
    "an event of another consumer": written(a_reservation(), producer=CONSUMER, by=FORGER),
    "an event of a producer, written by a consumer": written(a_loan(), producer="library.desk", by=FORGER),
    **{
        f"a key of another writer than {name}": written(a_reservation(), producer=CONSUMER, by=FORGER, as_writer=name)
        for name in (CONSUMER, ADMIT, FIRE_TIMERS, OPERATIONS)
    },
    "other content than was proven": replace(recorded(a_loan()), data=recorded(a_loan("1002")).data),
    "the hash and the proof of another event": replace(
        recorded(a_loan("1001")), hash=recorded(a_loan("1002")).hash, proof=recorded(a_loan("1002")).proof
    ),
    "no proof": replace(recorded(a_loan()), proof=bytes(32)),
}


@pytest.mark.parametrize("event", FORGED.values(), ids=FORGED)
def test_an_event_without_a_valid_proof_is_set_aside_and_the_others_are_published(
    bus: World, capsys: pytest.CaptureFixture[str], event: Envelope
) -> None:
    bus.publish(a_change_of_the_store(event), a_change_of_the_store(recorded(a_loan("1003"))))

    assert [heard["detail"]["metadata"]["stream"] for heard in bus.heard()] == ["loan/1003"]
    assert errors(bus.dead_letters()) == ["NotProven"]
    assert metrics(capsys)["NotProven"] == [1]


def test_republish_publishes_no_event_without_a_valid_proof(bus: World) -> None:
    proven = written(a_loan(), producer="library.desk", by=writer(ADMIT))
    bus.append(proven, written(PAUSED, producer="daybook", by=FORGER))
    now = datetime.now(UTC)
    span = {"since": clock.timestamp(now - timedelta(hours=1)), "until": clock.timestamp(now)}

    assert republish.handler(span, Context(seconds=60)) == {"next": None, "published": 1, "set_aside": 1}
    assert errors(bus.dead_letters()) == ["NotProven"]


def test_each_function_proves_what_it_records(bus: World) -> None:
    bus.receive(running(lambda work: work.emit(a_reservation()), type(a_reservation())), a_loan())

    (event,) = bus.stream("reservation/1001")
    assert event.writer == "try-it"
    bus.publish(a_change_of_the_store(event))
    assert len(bus.heard()) == 1


# --- timers ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def loan(world: World) -> World:
    """The world with a requested loan."""
    world.append(recorded(a_loan()))
    return world


def a_timer(event: Event | None = None, *, by: Writer, producer: str = CONSUMER) -> dict[str, Any]:
    """A row of the due table that is due."""
    event = event or LoanOverdue(loan_id="1001")
    draft = a_draft(event, producer=producer, time=clock.timestamp(datetime.now(UTC) - timedelta(seconds=1)))
    return to_row(Timer.proven(draft, Place.CONTINUES, by))


def fire(world: World, row: dict[str, Any]) -> list[str]:
    """Put the row into the due table and fire. Returns the types of the events of the loan."""
    world.client.put_item(TableName=NAMES.due, Item=row)
    fire_timers.handler({}, Context(seconds=3600, less=0.01))
    return [event.metadata.type for event in world.stream("loan/1001")]


def test_a_timer_that_a_consumer_has_proven_is_fired(loan: World) -> None:
    assert fire(loan, a_timer(by=writer(CONSUMER))) == ["LoanRequested", "LoanOverdue"]

    event = loan.stream("loan/1001")[-1]
    assert (event.writer, event.metadata.producer) == (FIRE_TIMERS, CONSUMER)


FORGED_TIMERS = {
    "of another consumer": a_timer(by=Writer(CONSUMER, FORGER.key)),
    "without a key": a_timer(by=Writer(CONSUMER, bytes(32))),
    # A consumer has proven it, but the event is not a timer's.
    "of an event that is emitted": a_timer(a_reservation(), by=writer(CONSUMER)),
    "of an operator's event": a_timer(PAUSED, by=writer(CONSUMER)),
    "of an event of a producer": a_timer(a_loan(), by=writer(CONSUMER)),
    "with other data": a_timer(by=writer(CONSUMER)) | {"data": pack('{"loan_id":"1001","days":1}')},
    "on another stream": a_timer(by=writer(CONSUMER)) | {"stream": pack("loan/1002")},
    "at another place": a_timer(by=writer(CONSUMER)) | {"place": pack("joins")},
}


@pytest.mark.parametrize("row", FORGED_TIMERS.values(), ids=FORGED_TIMERS)
def test_a_row_without_a_valid_proof_records_nothing(
    loan: World, capsys: pytest.CaptureFixture[str], row: dict[str, Any]
) -> None:
    assert fire(loan, row) == ["LoanRequested"]

    assert len(loan.recorded()) == 1
    assert errors(loan.dead_letters()) == ["NotProven"]
    assert [item for item in loan.items("due") if item["slot"] != "watermark"] == []
    assert metrics(capsys)["NotProven"] == [1]


def test_a_timer_cannot_be_fired_before_its_time_by_another_key_of_its_row(loan: World) -> None:
    later = a_draft(LoanOverdue(loan_id="1001"), producer=CONSUMER, time="2999-01-01T00:00:00.000000Z")
    row = to_row(Timer.proven(later, Place.CONTINUES, writer(CONSUMER)))
    now = {name: row_now for name, row_now in a_timer(by=writer(CONSUMER)).items() if name in {"slot", "due"}}

    assert fire(loan, row | now) == ["LoanRequested"]
    assert errors(loan.dead_letters()) == ["NotATimer"]


@pytest.mark.parametrize("name", sorted(set(a_timer(by=FORGER)) - {"slot", "due"}))
@pytest.mark.parametrize("value", [None, 17, ["x"], {"a": 1}, b"bytes"], ids=repr)
def test_a_row_with_any_other_value_delays_no_timer(loan: World, name: str, value: object) -> None:
    row = a_timer(by=writer(CONSUMER))
    optional = value is None and name in {"correlation_id", "causation_id"}

    loan.client.put_item(TableName=NAMES.due, Item=row | {name: pack(value)})
    expected = ["LoanRequested", "LoanOverdue"]
    assert fire(loan, a_timer(by=writer(CONSUMER))) == ([*expected, "LoanOverdue"] if optional else expected)


def test_a_timer_that_fire_timers_has_moved_keeps_its_proof(loan: World) -> None:
    row = a_timer(by=writer(CONSUMER))
    moved = row | pack_item({"slot": to_row(from_item(a_timer(by=writer(CONSUMER))))["slot"]["S"]})

    assert fire(loan, moved) == ["LoanRequested", "LoanOverdue"]


def test_a_consumer_proves_the_timers_that_it_schedules(loan: World) -> None:
    def body(work: Work) -> None:
        work.schedule(LoanOverdue(loan_id="1001"), work.now)

    loan.receive(running(body, LoanOverdue), a_loan())
    fire_timers.handler({}, Context(seconds=3600, less=0.01))

    assert [event.metadata.type for event in loan.stream("loan/1001")] == ["LoanRequested", "LoanOverdue"]
    assert to_item(loan.stream("loan/1001")[-1])["writer"] == {"S": FIRE_TIMERS}
