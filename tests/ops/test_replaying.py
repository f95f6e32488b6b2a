"""`daybook replay`: what is selected, who may get it, and going on where it stopped."""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
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
from daybook.store.journal import Span
from daybook.store.ledger import COMMITTED, DEAD, DISCARDED, Entry, Note
from tests.ops.world import STAGE, World, morning, ms
from tests.unit.faults import Death

TO = "reserve-stock"
HOUR = 3_600_000  # milliseconds


def span() -> Span:
    """All that happens here lies in it."""
    return Span(morning() - timedelta(hours=2), morning() + timedelta(minutes=20))


@pytest.fixture
def stage(world: World) -> World:
    """A shop: stock is reserved, which leads to a charge, which leads to a dead letter."""
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
    world.uses("mail-confirmed", kind="effect", event="OrderConfirmed", idempotency_key="letter/{order_id}/confirmed")
    world.listens("order-status-placed", "OrderPlaced")
    world.uses("order-status-placed", "order-status", kind="view", event="OrderPlaced")
    return world


def replay(*options: str, to: str = TO) -> Any:
    return CliRunner().invoke(app, ["replay", "--to", to, *options])


def streams(world: World, to: str = TO) -> list[str]:
    """The streams of what has arrived, sorted."""
    return sorted(event["detail"]["metadata"]["stream"] for event in world.arrived(to))


def orders(world: World, number: int) -> list[Envelope]:
    """So many orders, spread over two hours and all shards, the newest first."""
    return [
        world.recorded("OrderPlaced", f"order/{n}", after=-n * 2 * HOUR / number, admitted=False) for n in range(number)
    ]


def has(world: World, event: Envelope, state: str, consumer: str = TO) -> None:
    m = event.metadata
    if state == "trying":
        note = Note(message="m", deliveries=1, at=ms(1), error="KeyError", reason="…", tried=1)
        world.connection.ledger.note(m.id, consumer, (m.stream, m.sequence), note)
    elif state == DEAD:
        world.died(event, consumer)
    else:
        entry = Entry(m.id, consumer, state, ms(5), m.stream, m.sequence)
        world.connection.dynamodb.transact_write_items(TransactItems=[world.connection.ledger.record(entry)])


def test_what_is_committed_or_discarded_is_passed_over_and_all_else_given_again(stage: World) -> None:
    for state in (COMMITTED, DISCARDED, DEAD, "trying"):
        has(stage, stage.recorded("OrderPlaced", f"order/{state}"), state)
    stage.recorded("OrderPlaced", "order/new")

    result = replay("--type", "OrderPlaced", "--since", "6h", "--apply")

    assert result.exit_code == 0, result.output
    assert streams(stage) == ["order/dead", "order/new", "order/trying"]
    assert "Passed over, since reserve-stock has processed them: 2." in result.stdout


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
def test_what_is_said_selects_and_what_the_rule_does_not_take_is_never_given(
    stage: World, options: tuple[str, ...], expected: list[str]
) -> None:
    for number in range(1, 4):
        placed = stage.recorded("OrderPlaced", f"order/{number}", after=number * 1000 - 500)
        stage.recorded("OrderCancelled", f"order/{number}", after=number * 1000 - 400, cause=placed, producer="orders")

    told = (option.format(after_two_seconds=ms(2000)) for option in options)
    result = replay(*told, "--apply")

    assert result.exit_code == 0, result.output
    assert streams(stage) == expected


def test_an_event_that_no_consumer_has_a_row_of_is_found_in_the_journal(stage: World) -> None:
    placed = stage.recorded("OrderPlaced", "order/1001", admitted=False)

    assert replay("--event", placed.metadata.id, "--apply").exit_code == 0
    assert streams(stage) == ["order/1001"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((), "say which events to replay"),
        (("--event", "nobody"), "no event nobody is found"),
        (("--type", "StockReserved"), "reserve-stock does not take StockReserved; it takes OrderPlaced"),
        (("--event", "OrderCancelled-order-1-1"), "does not take the OrderCancelled OrderCancelled-order-1-1"),
    ],
)
def test_what_cannot_be_meant_is_said_and_nothing_is_given(stage: World, options: tuple[str, ...], said: str) -> None:
    stage.recorded("OrderCancelled", "order/1")

    result = replay(*options, "--apply")

    assert result.exit_code in {1, 2}
    assert said in result.stderr
    assert streams(stage) == []


def test_an_effect_is_given_only_what_is_named_one_by_one(stage: World) -> None:
    reserved = stage.recorded("StockReserved", "reservation/1")

    for options in (("--missing",), ("--all",), ("--stream", "reservation/1")):
        refused = replay(*options, "--apply", to="charge-order")
        assert refused.exit_code == 2
        assert "--event ID" in refused.stderr
    assert streams(stage, "charge-order") == []

    assert replay("--event", reserved.metadata.id, "--apply", to="charge-order").exit_code == 0
    assert streams(stage, "charge-order") == ["reservation/1"]


def test_it_is_told_which_effects_may_follow_however_far_away(stage: World) -> None:
    stage.recorded("OrderPlaced", "order/1")

    told = replay("--all", "--since", "6h").stdout
    of_the_view = replay("--all", "--since", "6h", to="order-status-placed").stdout

    assert "may cause: charge-order (charge/{order_id}), mail-confirmed (letter/{order_id}/confirmed)." in told
    assert "order-status-placed emits nothing, and causes nothing else." in of_the_view
    assert "daybook rebuild order-status" in of_the_view
    assert streams(stage) == []


def test_of_an_ordered_consumer_it_is_told_that_it_goes_by_its_cursor(stage: World) -> None:
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
        told = event["detail"]["metadata"]
        seen.setdefault(told["stream"], []).append(told["sequence"])
    assert len(seen) == 7
    assert all(sequences == sorted(set(sequences)) for sequences in seen.values())


def test_its_beginning_and_its_end_are_recorded(stage: World) -> None:
    stage.recorded("OrderPlaced", "order/1")

    told = json.loads(replay("--stream", "order/1", "--apply", "--reason", "a wish", "--json").stdout)

    first, last = stage.connection.store.stream(f"operation/{told['operation']}")
    started = ReplayStarted.read(first.data, version=1)
    finished = ReplayFinished.read(last.data, version=1)
    assert (started.consumer, started.selected_stream, started.reason) == (TO, "order/1", "a wish")
    assert finished.delivered == 1


# Death at every call, and with all partitions at work: tests/deep/ops.
@pytest.mark.parametrize("answered", [False, True])
def test_killed_at_its_second_portion_it_is_resumed_and_gives_at_most_one_portion_again(
    stage: World, *, answered: bool
) -> None:
    def second_portion(calls: Sequence[str]) -> Iterable[int]:
        _, second, *_ = (number for number, name in enumerate(calls, 1) if name == "SendMessageBatch")
        return [second]

    made = [stage.recorded("OrderPlaced", "order/1", after=n, admitted=False) for n in range(25)]
    wanted = Selection(span=span(), stream="order/1")

    assert_survives_deaths(stage, wanted, made, second_portion, answered=answered, once_more=10)


def test_what_is_finished_is_not_resumed(stage: World) -> None:
    stage.recorded("OrderPlaced", "order/1")
    told = json.loads(replay("--stream", "order/1", "--apply", "--json").stdout)

    result = CliRunner().invoke(app, ["replay", "--resume", told["operation"], "--apply"])

    assert result.exit_code == 0
    assert "was finished" in result.stderr
    assert "got 1 events" in result.stderr
    assert streams(stage) == ["order/1"]


def test_what_was_never_begun_is_not_resumed(stage: World) -> None:
    with pytest.raises(NoSuchReplay):
        Replay.resume(stage.connection, "nobody")


def test_resuming_takes_what_was_selected_and_nothing_else(stage: World) -> None:
    orders(stage, 3)
    wanted = Replay(stage.connection, TO, Selection(span=span(), stream="order/1"))
    wanted.run(RateLimit()).close()  # type: ignore[attr-defined]
    begun = wanted.run(RateLimit())
    next(begun)
    begun.close()  # type: ignore[attr-defined]

    told = CliRunner().invoke(app, ["replay", "--resume", wanted.id, "--stream", "order/2"])
    result = CliRunner().invoke(app, ["replay", "--resume", wanted.id, "--apply"])

    assert "add no option but --rate" in told.stderr
    assert result.exit_code == 0, result.output
    assert streams(stage) == ["order/1"]


def test_how_to_go_on_is_told_when_it_ends_before_its_time(stage: World, monkeypatch: pytest.MonkeyPatch) -> None:
    stage.recorded("OrderPlaced", "order/1")
    whole = CliRunner().invoke(app, ["replay", "--to", TO, "--stream", "order/1", "--apply"])
    assert re.search(r"This is the replay [0-9a-f-]{36}", whole.stderr)

    session = new_session()
    session.events.register("before-call.sqs.SendMessageBatch", interrupted)
    monkeypatch.setattr(Connection, "to", lambda stage: Connection(stage, session))
    result = CliRunner().invoke(app, ["replay", "--to", TO, "--stream", "order/1", "--apply"])

    assert result.exit_code == 130
    assert re.search(r"To go on: daybook replay --resume [0-9a-f-]{36} --apply --stage dev", result.stderr)


def interrupted(**_: Any) -> None:
    raise KeyboardInterrupt


def test_no_more_are_sent_in_a_second_than_was_asked_for() -> None:
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
    """A connection of its own, as another process has it. It notes what was sent, and dies at one of its calls."""

    def __init__(self) -> None:
        self.begin_anew()
        session = new_session()
        for service in ("dynamodb", "sqs"):
            session.events.register_first(f"before-call.{service}", self._before)
            session.events.register_last(f"after-call.{service}", self._after)
        self.connection = Connection(STAGE, session)

    def begin_anew(self, dies_at: int | None = None, *, answered: bool = False) -> None:
        """From now on it is another process, which dies at that call: before it is made, or before it is answered."""
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
        return self._nth is not None and number >= self._nth  # who is dead makes no other call


def by_tens() -> RateLimit:
    """A rate limit with portions of ten, without waiting."""
    return RateLimit(10, pause=lambda _: None)


def assert_survives_deaths(
    stage: World,
    wanted: Selection,
    made: Sequence[Envelope],
    where: Callable[[Sequence[str]], Iterable[int]],
    *,
    answered: bool,
    once_more: int,
) -> None:
    """Death at each of these calls and resumed, it has delivered all, and few of it twice.

    `where` gets the names of all calls and returns the numbers, from 1, of those at which it is killed.
    """
    expected = {event.metadata.id for event in made}
    dying, living = _Calls(), _Calls()
    list(Replay(dying.connection, TO, wanted).run(by_tens()))
    for nth in where(tuple(dying.made)):
        dying.begin_anew(nth, answered=answered)
        living.begin_anew()
        assert_survives(stage, wanted, expected, dying, living, once_more=once_more, where=f"killed at call {nth}")


def assert_survives(
    stage: World, wanted: Selection, expected: set[str], dying: _Calls, living: _Calls, *, once_more: int, where: str
) -> None:
    operation_id = "never begun"
    try:
        doomed = Replay(dying.connection, TO, wanted)
        operation_id = doomed.id
        list(doomed.run(by_tens()))
    except Death:
        pass
    try:
        following = Replay.resume(living.connection, operation_id)
    except NoSuchReplay:
        assert not dying.sent, where  # nothing was recorded: nothing was done
        return
    except AlreadyFinished:
        pass
    else:
        list(following.run(by_tens()))
    assert (dying.sent + living.sent).keys() == expected, where
    assert (dying.sent & living.sent).total() <= once_more, where
    finished = list(stage.connection.store.stream(f"operation/{operation_id}"))[-1]
    assert ReplayFinished.read(finished.data, version=1).delivered == len(expected), where


def test_until_is_fixed_when_it_begins(stage: World) -> None:
    now = datetime.now(UTC)
    replayed = json.loads(replay("--all", "--since", "6h", "--apply", "--json").stdout)

    (first, *_) = stage.connection.store.stream(f"operation/{replayed['operation']}")

    assert ReplayStarted.read(first.data, version=1).until < now
    assert clock.timestamp(ReplayStarted.read(first.data, version=1).until) == replayed["until"]
