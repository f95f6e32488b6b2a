"""`daybook replay --missing`: finds and delivers events that a consumer never received."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from typer.testing import CliRunner

from daybook.contracts import clock
from daybook.contracts.envelope import Envelope
from daybook.operate.delivery import Delivery, Outcome
from daybook.operate.missing_events import complete
from daybook.operate.program import app
from daybook.operate.replay.replay import Replay
from daybook.operate.replay.selection import Selection
from daybook.operate.subscriptions import UnknownConsumer, subscribed_since
from daybook.store.journal import JournalEntry, Span
from daybook.store.ledger import DEAD, DISCARDED, TRYING, LedgerEntry, Note
from functions.inventory import reserve_stock
from tests.ops.world import World, ago, morning, ms

HOUR = 3_600_000  # milliseconds
TO = "reserve-stock"
ACCOUNT = "123456789012"  # moto's


def replay(*options: str, to: str = TO, since: str | None = "1h") -> Any:
    when = ("--since", since) if since else ()
    return CliRunner().invoke(app, ["replay", "--to", to, "--missing", *when, *options])


def in_an_hour() -> str:
    return clock.timestamp(datetime.now(UTC) + timedelta(hours=1))


def lacking(world: World, since: datetime | None = None, until: datetime | None = None) -> list[JournalEntry]:
    """The missing events, the oldest first."""
    span = Span(since or morning() - timedelta(minutes=15), until or complete(world.connection, datetime.now(UTC)))
    portions = Replay(world.connection, TO, Selection(span=span, missing=True)).survey()
    lines = [outcome.event for portion in portions for outcome in portion.outcomes]
    return sorted(lines, key=lambda line: line.order)


def missing(world: World, since: datetime | None = None, until: datetime | None = None) -> list[str]:
    """The streams of the missing events."""
    return [line.stream for line in lacking(world, since, until)]


def deliver(world: World, **how: Any) -> list[Outcome]:
    """Deliver the missing events."""
    return list(Delivery(world.connection, TO, **how).deliver(lacking(world)))


def delivered(world: World) -> list[dict[str, Any]]:
    return world.arrived(TO)


@pytest.fixture
def stage(world: World) -> World:
    """A stage with the consumer `reserve-stock` and another one."""
    world.listens(TO, "OrderPlaced")
    world.listens("receive-stock", "StockReceived")
    world.uses(TO, event="OrderPlaced", emits=["StockReserved", "OutOfStock"])
    return world


def test_missing_events_match_the_consumers_rule_and_have_no_ledger_row(stage: World) -> None:
    stage.handled(stage.recorded("OrderPlaced", "order/done"), TO)
    stage.handled(stage.recorded("OrderPlaced", "order/elsewhere"), "place-order")
    stage.recorded("OrderPlaced", "order/nowhere", after=1)
    stage.recorded("StockReceived", "stock/mug", after=2)

    assert missing(stage) == ["order/elsewhere", "order/nowhere"]


def test_missing_events_of_all_hours_and_shards_are_found_oldest_first(stage: World) -> None:
    for number in range(12):
        stage.recorded("OrderPlaced", f"order/{number}", after=-number * HOUR / 2)

    found = missing(stage, since=morning() - timedelta(hours=6))

    assert found == [f"order/{number}" for number in reversed(range(12))]


def test_only_events_without_a_ledger_row_are_missing(stage: World) -> None:
    for number in range(230):
        placed = stage.recorded("OrderPlaced", f"order/{number}", after=number, admitted=False)
        if number % 3:
            stage.handled(placed, TO)

    assert missing(stage) == [f"order/{number}" for number in range(0, 230, 3)]


def test_since_is_inclusive_and_until_is_exclusive(stage: World) -> None:
    for number in range(3):
        stage.recorded("OrderPlaced", f"order/{number}", after=1000 * number)

    assert missing(stage, morning(), morning() + timedelta(seconds=2)) == ["order/0", "order/1"]


@pytest.mark.parametrize("state", [DEAD, DISCARDED])
def test_dead_and_discarded_events_are_not_missing(stage: World, state: str) -> None:
    placed = stage.recorded("OrderPlaced", "order/1001")
    in_the_ledger(stage, placed, state)

    assert missing(stage) == []


def test_a_retried_event_is_missing_only_if_its_queue_was_deleted(stage: World) -> None:
    before, after = ms(0), clock.timestamp(datetime.now(UTC) + timedelta(seconds=5))
    for order, tries in {"gone": (before,), "now": (after,), "again": (before, after)}.items():
        placed = stage.recorded("OrderPlaced", f"order/{order}").metadata
        for at in tries:
            note = Note(message=f"m-{at}", deliveries=1, at=at, error="ValueError", reason="…", failed_count=1)
            stage.connection.ledger.note(placed.id, TO, (placed.stream, placed.sequence), note)

    assert missing(stage) == ["order/gone"]
    row = stage.connection.ledger.find("OrderPlaced-order-now-1", TO)
    assert row is not None
    assert row.state == TRYING


def test_the_last_minutes_are_left_out_unless_selected(stage: World) -> None:
    now = datetime.now(UTC)
    stage.recorded("OrderPlaced", "order/just-now", after=ago(minutes=1))

    assert missing(stage) == []
    assert missing(stage, until=now) == ["order/just-now"]
    assert complete(stage.connection, now) < now


def test_a_replayed_message_equals_the_message_of_the_rule(stage: World) -> None:
    data = '{"order_id":"1001","note":"Zoë \\u2028","amount":1.10}'
    placed = stage.recorded("OrderPlaced", "order/1001", data=data)

    outcomes = deliver(stage)

    assert [outcome.delivered for outcome in outcomes] == [True]
    (by_hand,) = stage.bodies(TO)
    publish(stage, placed)
    (by_rule,) = stage.bodies(TO)
    envelope, ruled = json.loads(by_hand), json.loads(by_rule)
    assert envelope.keys() == ruled.keys() | {"account"}  # moto's EventBridge leaves that out
    assert envelope["account"] == ACCOUNT
    same = ("version", "source", "detail-type", "region", "resources", "detail")
    assert {name: envelope[name] for name in same} == {name: ruled[name] for name in same}
    assert (envelope["id"], envelope["time"]) == (placed.metadata.id, f"{placed.metadata.recorded_at[:19]}Z")
    assert data not in by_hand


def test_the_consumers_function_can_parse_a_replayed_message(stage: World) -> None:
    placed = stage.recorded("OrderPlaced", "order/1001", data='{"order_id":"1001"}')
    deliver(stage)

    (body,) = stage.bodies(TO)

    assert reserve_stock.handler.read(body) == placed.pointer


def test_hundreds_of_large_events_are_each_delivered_once(stage: World) -> None:
    data = json.dumps({"note": "x" * 60_000})
    for number in range(120):
        stage.recorded("OrderPlaced", f"order/{number}", after=number, data=data, admitted=False)

    outcomes = deliver(stage)

    assert all(outcome.delivered for outcome in outcomes)
    streams = [event["detail"]["metadata"]["stream"] for event in delivered(stage)]
    assert sorted(streams) == sorted(f"order/{number}" for number in range(120))


def test_events_are_read_lazily(stage: World) -> None:
    for number in range(300):
        stage.recorded("OrderPlaced", f"order/{number}", after=number, admitted=False)
    lines, lines_read = lacking(stage), 0

    def counted() -> Any:
        nonlocal lines_read
        for line in lines:
            lines_read += 1
            yield line

    next(Delivery(stage.connection, TO).deliver(counted()))

    assert lines_read == 100


def test_only_messages_that_sqs_rejects_are_sent_again(stage: World) -> None:
    for number in range(5):
        stage.recorded("OrderPlaced", f"order/{number}", after=number)
    backoff: list[float] = []
    refuse(stage, {"order/1": 2, "order/3": 1})

    outcomes = deliver(stage, pause=backoff.append)

    assert all(outcome.delivered for outcome in outcomes)
    streams = sorted(event["detail"]["metadata"]["stream"] for event in delivered(stage))
    assert streams == [f"order/{number}" for number in range(5)]
    assert len(backoff) == 2


@pytest.mark.parametrize(("fault", "backoff"), [("SQS's", 3), ("ours", 0)])
def test_a_message_that_sqs_always_rejects_is_reported_and_the_others_are_delivered(
    stage: World, fault: str, backoff: int
) -> None:
    for number in range(3):
        stage.recorded("OrderPlaced", f"order/{number}", after=number)
    refuse(stage, {"order/1": 99}, sender=fault == "ours")
    paused: list[float] = []

    first, second, third = deliver(stage, pause=paused.append)

    assert (first.error, third.error) == (None, None)
    assert (second.event.stream, second.error) == ("order/1", "InternalError: try later")
    assert len(paused) == backoff
    assert len(delivered(stage)) == 2


def test_a_manipulated_event_is_reported_and_the_others_are_delivered(stage: World) -> None:
    for number in range(2):
        stage.recorded("OrderPlaced", f"order/{number}", after=number)
    stage.connection.dynamodb.update_item(
        TableName=stage.names.store,
        Key={"stream": {"S": "order/0"}, "sequence": {"N": "1"}},
        UpdateExpression="REMOVE #hash",
        ExpressionAttributeNames={"#hash": "hash"},
    )

    result = replay("--apply")

    assert result.exit_code == 1
    assert "order/0 #1 (OrderPlaced-order-0-1) was not delivered" in result.stderr
    assert "Delivered to reserve-stock: 1 event (1 OrderPlaced)" in result.stdout


def test_a_consumer_subscribes_since_the_creation_of_its_queue(stage: World) -> None:
    before = subscribed_since(stage.connection, TO)
    stage.listens(TO, "OrderPlaced")  # deployed again: the same queue

    assert subscribed_since(stage.connection, TO) == before
    assert timedelta(0) <= datetime.now(UTC) - before < timedelta(minutes=1)


def test_without_apply_it_prints_the_missing_events_and_changes_nothing(stage: World) -> None:
    oldest = stage.recorded("OrderPlaced", "order/1001").metadata.recorded_at
    newest = stage.recorded("OrderPlaced", "order/1002", after=60_000).metadata.recorded_at

    result = replay()

    assert result.exit_code == 0, result.output
    assert "Missing at reserve-stock" in result.stdout
    assert f"2 events (2 OrderPlaced), recorded from {oldest} to {newest}." in result.stdout
    assert "Nothing was changed. To deliver them, repeat the command with --apply." in result.stdout
    assert delivered(stage) == []


def test_events_that_may_still_be_delivered_are_noted(stage: World) -> None:
    stage.recorded("OrderPlaced", "order/before")
    assert "may still be delivered" not in replay().stdout

    stage.recorded("OrderPlaced", "order/after", after=ago(seconds=-2))

    assert "1 event of these were recorded after reserve-stock subscribed" in replay("--until", in_an_hour()).stdout


def test_with_apply_it_delivers_and_prints_the_number(stage: World) -> None:
    stage.recorded("OrderPlaced", "order/1001")
    stage.recorded("OrderPlaced", "order/1002", after=1)

    result = replay("--apply")

    assert result.exit_code == 0, result.output
    assert "Delivered to reserve-stock: 2 events (2 OrderPlaced)" in result.stdout
    assert {event["detail"]["metadata"]["stream"] for event in delivered(stage)} == {"order/1001", "order/1002"}


def test_it_says_when_no_event_is_missing(stage: World) -> None:
    stage.handled(stage.recorded("OrderPlaced", "order/1001"), TO)

    for options in ((), ("--apply",)):
        result = replay(*options)
        assert result.exit_code == 0
        assert result.stdout.startswith("reserve-stock has all selected events that were recorded from ")
    assert delivered(stage) == []


@pytest.mark.parametrize("applied", [False, True])
def test_with_json_it_prints_one_object(stage: World, *, applied: bool) -> None:
    event = stage.recorded("OrderPlaced", "order/1001").metadata

    printed = json.loads(replay("--json", *(["--apply"] if applied else [])).stdout)

    assert clock.moment(printed.pop("until")) - clock.moment(printed.pop("since")) > timedelta(minutes=50)
    assert clock.moment(printed.pop("subscribed_since")) > morning()
    assert bool(printed.pop("operation")) is applied
    assert printed == {
        "to": "reserve-stock",
        "events": 1,
        "by_type": {"OrderPlaced": 1},
        "skipped": 0,
        "unproven": 0,
        "since_it_subscribed": 0,
        "oldest": event.recorded_at,
        "newest": event.recorded_at,
        "effects": {},
        "applied": applied,
        "not_delivered": [],
    }


def test_by_default_all_events_since_the_creation_of_the_store_are_selected(stage: World) -> None:
    table = stage.connection.dynamodb.describe_table(TableName=stage.names.store)["Table"]
    made = (table["CreationDateTime"] - morning()).total_seconds() * 1000
    stage.recorded("OrderPlaced", "order/first", after=made + 1)

    result = replay("--until", in_an_hour(), since=None)

    assert "1 event (1 OrderPlaced)" in result.stdout
    assert "has all selected events" in replay(since=None).stdout  # the store is younger than the index may lag


@pytest.mark.parametrize("to", ["reserve-stok", "admit"])
@pytest.mark.parametrize("options", [(), ("--apply",)])
def test_an_unknown_consumer_is_an_error_that_lists_the_consumers(
    stage: World, to: str, options: tuple[str, ...]
) -> None:
    stage.recorded("OrderPlaced", "order/1001")

    result = replay(*options, to=to)

    assert result.exit_code == 2
    assert f"no consumer {to} subscribes to the event bus of the stage dev" in result.stderr
    assert "receive-stock, reserve-stock" in result.stderr


def test_a_consumer_without_a_queue_is_unknown(stage: World) -> None:
    with pytest.raises(UnknownConsumer):
        subscribed_since(stage.connection, "nobody")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("--since", "yesterday"), "is not a time"),
        (("--since", "1h", "--until", "2h"), "is not before --until 2h"),
        (("--since", "1m"), "up to which the journal is complete"),
    ],
)
@pytest.mark.usefixtures("stage")
def test_invalid_times_are_an_error(options: tuple[str, ...], expected: str) -> None:
    result = replay(*options, since=None)

    assert result.exit_code == 2
    assert expected in result.stderr


@pytest.mark.usefixtures("stage")
def test_a_selection_is_required() -> None:
    result = CliRunner().invoke(app, ["replay", "--to", TO, "--apply"])

    assert result.exit_code == 2
    assert "--missing" in result.stderr


def in_the_ledger(stage: World, event: Envelope, state: str) -> None:
    m = event.metadata
    entry = LedgerEntry(m.id, TO, state, ms(5), m.stream, m.sequence)
    stage.writes(entry)


def publish(stage: World, event: Envelope) -> None:
    """Put the event on the event bus, as the publish function does."""
    entry = {"EventBusName": stage.names.event_bus, "Source": event.source}
    entry |= {"DetailType": event.metadata.type, "Detail": event.detail}
    stage.connection.eventbridge.put_events(Entries=[entry])


def refuse(stage: World, streams: dict[str, int], *, sender: bool = False) -> None:
    """SQS rejects the events of these streams this many times."""

    def answer(params: dict[str, Any], context: dict[str, Any], **_: Any) -> tuple[AWSResponse, dict[str, Any]] | None:
        body = json.loads(params["body"])
        kept = []
        for entry in body["Entries"]:
            stream = json.loads(entry["MessageBody"])["detail"]["metadata"]["stream"]
            if streams.get(stream, 0) > 0:
                streams[stream] -= 1
                context.setdefault("refused", []).append(entry["Id"])
            else:
                kept.append(entry)
        params["body"] = json.dumps({**body, "Entries": kept}).encode()
        return None if kept else (AWSResponse("", 200, HTTPHeaders(), None), {})

    def reject(parsed: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
        for number in context.get("refused", ()):
            failure = {"Id": number, "SenderFault": sender, "Code": "InternalError", "Message": "try later"}
            parsed.setdefault("Failed", []).append(failure)

    events = stage.connection.sqs.meta.events
    events.register("before-call.sqs.SendMessageBatch", answer)
    events.register("after-call.sqs.SendMessageBatch", reject)


def test_a_stream_name_without_an_id_is_an_error(stage: World) -> None:
    stage.recorded("OrderPlaced", "order/1001")

    result = replay("--stream", "1001")

    assert (result.exit_code, result.stdout) == (2, "")
    assert "1001 is not the name of a stream: the name of a stream has the form KIND/ID" in result.stderr
