"""`daybook replay`: selection, effects, and resumption."""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from typer.testing import CliRunner

from daybook.contracts import clock
from daybook.contracts.envelope import Envelope
from daybook.contracts.operations import ReplayFinished, ReplayStarted
from daybook.operate.connection import Connection, new_session
from daybook.operate.program import app
from daybook.operate.rate_limit import RateLimit
from daybook.operate.replay.replay import AlreadyFinished, NoSuchReplay, Replay
from daybook.operate.replay.selection import Selection
from daybook.store.event_store import to_item
from daybook.store.journal import Span
from daybook.store.ledger import COMMITTED, DEAD, DISCARDED, LedgerEntry, Note
from tests.ops.world import STAGE, World, morning, ms
from tests.unit.faults import Death

TO = "reserve-stock"
HOUR = 3_600_000  # milliseconds


def span() -> Span:
    """The period of all events in these tests."""
    return Span(morning() - timedelta(hours=2), morning() + timedelta(minutes=20))


@pytest.fixture
def stage(world: World) -> World:
    """A shop: stock is reserved, which leads to a charge, which leads to an e-mail."""
    world.listens(TO, "OrderPlaced")
    world.uses(TO, event="OrderPlaced", emits=["StockReserved", "OutOfStock"])
    world.listens("charge-order", "StockReserved")
    world.uses(
        "charge-order",
        kind="effect",
        event="StockReserved",
        emits=["PaymentSucceeded"],
        idempotency_key="charge/{order_id}",
    )
    world.listens("confirm-order", "PaymentSucceeded")
    world.uses("confirm-order", event="PaymentSucceeded", emits=["OrderConfirmed"])
    world.listens("mail-confirmed", "OrderConfirmed")
    world.uses("mail-confirmed", kind="effect", event="OrderConfirmed", idempotency_key="email/{order_id}/confirmed")
    world.listens("order-status-placed", "OrderPlaced")
    world.uses("order-status-placed", "order-status", kind="view", event="OrderPlaced")
    return world


def replay(*options: str, to: str = TO) -> Any:
    return CliRunner().invoke(app, ["replay", "--to", to, *options])


def streams(world: World, to: str = TO) -> list[str]:
    """The streams of the received events, sorted."""
    return sorted(event["detail"]["metadata"]["stream"] for event in world.arrived(to))


def orders(world: World, number: int) -> list[Envelope]:
    """This many orders, spread over two hours and all shards, the newest first."""
    return [
        world.recorded("OrderPlaced", f"order/{n}", after=-n * 2 * HOUR / number, admitted=False) for n in range(number)
    ]


def has(world: World, event: Envelope, state: str, consumer: str = TO) -> None:
    m = event.metadata
    if state == "trying":
        note = Note(message="m", deliveries=1, at=ms(1), error="KeyError", reason="…", failed_count=1)
        world.connection.ledger.note(m.id, consumer, (m.stream, m.sequence), note)
    elif state == DEAD:
        world.died(event, consumer)
    else:
        entry = LedgerEntry(m.id, consumer, state, ms(5), m.stream, m.sequence)
        world.writes(entry)


def test_committed_and_discarded_events_are_skipped_and_all_others_replayed(stage: World) -> None:
    for state in (COMMITTED, DISCARDED, DEAD, "trying"):
        has(stage, stage.recorded("OrderPlaced", f"order/{state}"), state)
    stage.recorded("OrderPlaced", "order/new")

    result = replay("--type", "OrderPlaced", "--since", "6h", "--apply")

    assert result.exit_code == 0, result.output
    assert streams(stage) == ["order/dead", "order/new", "order/trying"]
    assert "Skipped, because reserve-stock has processed them: 2." in result.stdout


# Guards: the check in MissingEvents.
@pytest.mark.parametrize("options", [("--type", "OrderPlaced"), ("--missing",)], ids=["all", "missing"])
def test_a_row_without_a_valid_proof_is_not_believed(stage: World, options: tuple[str, ...]) -> None:
    for order in ("true", "planted"):
        has(stage, stage.recorded("OrderPlaced", f"order/{order}"), COMMITTED)
    stage.connection.dynamodb.update_item(
        TableName=stage.names.ledger,
        Key={"key": {"S": f"{TO}#OrderPlaced-order-planted-1"}},
        UpdateExpression="REMOVE proof",
    )

    result = replay(*options, "--since", "6h", "--apply")

    assert result.exit_code == 0, result.output
    assert streams(stage) == ["order/planted"]
    assert "because these rows have no valid proof: 1. " in result.stdout


def test_an_event_without_a_valid_proof_is_not_delivered(stage: World) -> None:
    stage.recorded("OrderPlaced", "order/1")
    forged = replace(stage.recorded("OrderPlaced", "order/2"), proof=bytes(32))
    stage.connection.dynamodb.put_item(TableName=stage.names.store, Item=to_item(forged))

    result = replay("--type", "OrderPlaced", "--since", "6h", "--apply")

    assert streams(stage) == ["order/1"]
    assert "it has no valid proof of origin" in " ".join(result.output.split())


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("--stream", "order/1"), ["order/1"]),
        (("--correlation", "OrderPlaced-order-2-1"), ["order/2"]),
        (("--event", "OrderPlaced-order-1-1", "--event", "OrderPlaced-order-2-1"), ["order/1", "order/2"]),
        (("--all", "--since", "6h"), ["order/1", "order/2", "order/3"]),
        (("--since", "6h", "--until", "{after_two_seconds}"), ["order/1", "order/2"]),
        (("--stream", "order/1", "--event", "OrderPlaced-order-2-1"), []),
    ],
)
def test_criteria_select_events_and_other_types_are_never_replayed(
    stage: World, options: tuple[str, ...], expected: list[str]
) -> None:
    for number in range(1, 4):
        placed = stage.recorded("OrderPlaced", f"order/{number}", after=number * 1000 - 500)
        stage.recorded("OrderCancelled", f"order/{number}", after=number * 1000 - 400, cause=placed, producer="orders")

    options_given = (option.format(after_two_seconds=ms(2000)) for option in options)
    result = replay(*options_given, "--apply")

    assert result.exit_code == 0, result.output
    assert streams(stage) == expected


def test_an_event_without_a_ledger_row_is_found_in_the_journal(stage: World) -> None:
    placed = stage.recorded("OrderPlaced", "order/1001", admitted=False)

    assert replay("--event", placed.metadata.id, "--apply").exit_code == 0
    assert streams(stage) == ["order/1001"]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ((), "select the events"),
        (("--event", "nobody"), "the event nobody was not found"),
        (
            ("--type", "StockReserved"),
            "reserve-stock does not subscribe to StockReserved; it subscribes to OrderPlaced",
        ),
        (("--event", "OrderCancelled-order-1-1"), "does not subscribe to OrderCancelled (OrderCancelled-order-1-1)"),
    ],
)
def test_an_invalid_selection_is_an_error_and_nothing_is_replayed(
    stage: World, options: tuple[str, ...], expected: str
) -> None:
    stage.recorded("OrderCancelled", "order/1")

    result = replay(*options, "--apply")

    assert result.exit_code in {1, 2}
    assert expected in result.stderr
    assert streams(stage) == []


def test_an_effect_receives_only_events_selected_by_id(stage: World) -> None:
    reserved = stage.recorded("StockReserved", "reservation/1")

    for options in (("--missing",), ("--all",), ("--stream", "reservation/1")):
        refused = replay(*options, "--apply", to="charge-order")
        assert refused.exit_code == 2
        assert "--event ID" in refused.stderr
    assert streams(stage, "charge-order") == []

    assert replay("--event", reserved.metadata.id, "--apply", to="charge-order").exit_code == 0
    assert streams(stage, "charge-order") == ["reservation/1"]


def test_the_preview_lists_all_effects_that_may_follow(stage: World) -> None:
    stage.recorded("OrderPlaced", "order/1")

    shop = replay("--all", "--since", "6h").stdout
    of_the_view = replay("--all", "--since", "6h", to="order-status-placed").stdout

    effects = "charge-order (charge/{order_id}), mail-confirmed (email/{order_id}/confirmed)"
    assert f"may cause these effects: {effects}." in shop
    assert "order-status-placed emits no events." in of_the_view
    assert "daybook rebuild order-status" in of_the_view
    assert streams(stage) == []


def test_the_preview_explains_the_cursor_of_an_ordered_consumer(stage: World) -> None:
    stage.listens("raise-alarm", "EquipmentStatusReported")
    stage.uses("raise-alarm", event="EquipmentStatusReported", ordered=True)
    stage.recorded("EquipmentStatusReported", "equipment/1")

    assert "processes each stream from its cursor on" in replay("--all", "--since", "6h", to="raise-alarm").stdout


def test_each_stream_is_delivered_in_the_order_of_recording(stage: World) -> None:
    for number in range(105):
        stage.recorded("OrderPlaced", f"order/{number % 7}", after=number * 10, admitted=False)

    assert replay("--all", "--since", "6h", "--apply").exit_code == 0

    seen: dict[str, list[int]] = {}
    for event in stage.arrived(TO):
        metadata = event["detail"]["metadata"]
        seen.setdefault(metadata["stream"], []).append(metadata["sequence"])
    assert len(seen) == 7
    assert all(sequences == sorted(set(sequences)) for sequences in seen.values())


def test_its_start_and_its_end_are_recorded(stage: World) -> None:
    stage.recorded("OrderPlaced", "order/1")

    printed = json.loads(replay("--stream", "order/1", "--apply", "--reason", "a test", "--json").stdout)

    first, last = stage.connection.store.stream(f"operation/{printed['operation']}")
    started = ReplayStarted.read(first.data, version=1)
    finished = ReplayFinished.read(last.data, version=1)
    assert (started.consumer, started.selected_stream, started.reason) == (TO, "order/1", "a test")
    assert finished.delivered == 1


# Kills at every call, and with all partitions: tests/deep/ops.
@pytest.mark.parametrize("answered", [False, True])
def test_after_a_kill_it_is_resumed_and_delivers_at_most_one_portion_again(stage: World, *, answered: bool) -> None:
    def second_portion(calls: Sequence[str]) -> Iterable[int]:
        _, second, *_ = (number for number, name in enumerate(calls, 1) if name == "SendMessageBatch")
        return [second]

    made = [stage.recorded("OrderPlaced", "order/1", after=n, admitted=False) for n in range(25)]
    wanted = Selection(span=span(), stream="order/1")

    assert_survives_kills(stage, wanted, made, second_portion, answered=answered, once_more=10)


def test_a_finished_replay_is_not_resumed(stage: World) -> None:
    stage.recorded("OrderPlaced", "order/1")
    printed = json.loads(replay("--stream", "order/1", "--apply", "--json").stdout)

    result = CliRunner().invoke(app, ["replay", "--resume", printed["operation"], "--apply"])

    assert result.exit_code == 0
    assert "finished at" in result.stderr
    assert "delivered 1 events to reserve-stock" in result.stderr
    assert streams(stage) == ["order/1"]


def test_an_unknown_replay_is_not_resumed(stage: World) -> None:
    with pytest.raises(NoSuchReplay):
        Replay.resume(stage.connection, "nobody")


def test_resuming_uses_the_recorded_selection(stage: World) -> None:
    orders(stage, 3)
    wanted = Replay(stage.connection, TO, Selection(span=span(), stream="order/1"))
    wanted.run(RateLimit()).close()  # type: ignore[attr-defined]
    begun = wanted.run(RateLimit())
    next(begun)
    begun.close()  # type: ignore[attr-defined]

    refused = CliRunner().invoke(app, ["replay", "--resume", wanted.id, "--stream", "order/2"])
    result = CliRunner().invoke(app, ["replay", "--resume", wanted.id, "--apply"])

    assert "it can only be combined with --rate" in refused.stderr
    assert result.exit_code == 0, result.output
    assert streams(stage) == ["order/1"]


def test_an_interrupted_replay_prints_how_to_continue(stage: World, monkeypatch: pytest.MonkeyPatch) -> None:
    stage.recorded("OrderPlaced", "order/1")
    whole = CliRunner().invoke(app, ["replay", "--to", TO, "--stream", "order/1", "--apply"])
    assert re.search(r"Replay id: [0-9a-f-]{36}", whole.stderr)

    session = new_session()
    session.events.register("before-call.sqs.SendMessageBatch", interrupted)
    monkeypatch.setattr(Connection, "to", lambda stage: Connection(stage, session))
    result = CliRunner().invoke(app, ["replay", "--to", TO, "--stream", "order/1", "--apply"])

    assert result.exit_code == 130
    assert re.search(r"To continue: daybook replay --resume [0-9a-f-]{36} --apply --stage dev", result.stderr)


def interrupted(**_: Any) -> None:
    raise KeyboardInterrupt


def test_the_rate_limit_is_not_exceeded() -> None:
    now, waited = [0.0], []

    def wait(seconds: float) -> None:
        waited.append(seconds)
        now[0] += seconds

    limit = RateLimit(20, pause=wait, now=lambda: now[0])

    for _ in range(5):
        limit.wait(10)

    assert sum(waited) == pytest.approx(2.0)
    assert limit.portion(100) == 20


class _Calls:
    """The connection of another process. It records what was sent, and is killed at one of its calls."""

    def __init__(self) -> None:
        self.start_process()
        session = new_session()
        for service in ("dynamodb", "sqs"):
            session.events.register_first(f"before-call.{service}", self._before)
            session.events.register_last(f"after-call.{service}", self._after)
        self.connection = Connection(STAGE, session)

    def start_process(self, dies_at: int | None = None, *, answered: bool = False) -> None:
        """Start a new process that is killed at this call: before the call, or before its answer."""
        self.made: list[str] = []
        self.sent: Counter[str] = Counter()
        self._nth = dies_at
        self._answered = answered

    def _before(self, model: Any, params: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
        self.made.append(model.name)
        context["number"] = number = len(self.made)
        if model.name == "SendMessageBatch":
            bodies = [json.loads(entry["MessageBody"]) for entry in json.loads(params["body"])["Entries"]]
            context["sent"] = [body["id"] for body in bodies]
        if self._dead(number) and not (self._answered and number == self._nth):
            raise Death

    def _after(self, context: dict[str, Any], **_: Any) -> None:
        self.sent.update(context.get("sent", ()))
        if self._dead(context["number"]):
            raise Death

    def _dead(self, number: int) -> bool:
        return self._nth is not None and number >= self._nth  # a killed process makes no more calls


def by_tens() -> RateLimit:
    """A rate limit with portions of ten, without waiting."""
    return RateLimit(10, pause=lambda _: None)


def assert_survives_kills(
    stage: World,
    wanted: Selection,
    made: Sequence[Envelope],
    where: Callable[[Sequence[str]], Iterable[int]],
    *,
    answered: bool,
    once_more: int,
) -> None:
    """After a kill at each of these calls and a resumption, all events are delivered, and few of them twice.

    `where` gets the names of all calls and returns the numbers, from 1, of those at which it is killed.
    """
    expected = {event.metadata.id for event in made}
    killed_at, living = _Calls(), _Calls()
    list(Replay(killed_at.connection, TO, wanted).run(by_tens()))
    for nth in where(tuple(killed_at.made)):
        killed_at.start_process(nth, answered=answered)
        living.start_process()
        assert_survives(stage, wanted, expected, killed_at, living, once_more=once_more, where=f"killed at call {nth}")


def assert_survives(
    stage: World,
    wanted: Selection,
    expected: set[str],
    killed_at: _Calls,
    living: _Calls,
    *,
    once_more: int,
    where: str,
) -> None:
    operation_id = "never begun"
    try:
        killed = Replay(killed_at.connection, TO, wanted)
        operation_id = killed.id
        list(killed.run(by_tens()))
    except Death:
        pass
    try:
        resumed = Replay.resume(living.connection, operation_id)
    except NoSuchReplay:
        assert not killed_at.sent, where  # nothing was recorded: nothing was done
        return
    except AlreadyFinished:
        pass
    else:
        list(resumed.run(by_tens()))
    assert (killed_at.sent + living.sent).keys() == expected, where
    assert (killed_at.sent & living.sent).total() <= once_more, where
    finished = list(stage.connection.store.stream(f"operation/{operation_id}"))[-1]
    assert ReplayFinished.read(finished.data, version=1).delivered == len(expected), where


def test_until_is_fixed_at_the_start(stage: World) -> None:
    now = datetime.now(UTC)
    replayed = json.loads(replay("--all", "--since", "6h", "--apply", "--json").stdout)

    (first, *_) = stage.connection.store.stream(f"operation/{replayed['operation']}")

    assert ReplayStarted.read(first.data, version=1).until < now
    assert clock.timestamp(ReplayStarted.read(first.data, version=1).until) == replayed["until"]
