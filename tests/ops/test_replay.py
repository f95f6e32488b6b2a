"""`daybook replay --missing`: what a consumer never got, and bringing it there."""

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
from daybook.operate.subscriptions import UnknownConsumer, listens_since
from daybook.store.journal import Line, Span
from daybook.store.ledger import DEAD, DISCARDED, TRYING, Entry, Note
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


def lacking(world: World, since: datetime | None = None, until: datetime | None = None) -> list[Line]:
    """What is missing, the oldest first."""
    span = Span(since or morning() - timedelta(minutes=15), until or complete(world.connection, datetime.now(UTC)))
    portions = Replay(world.connection, TO, Selection(span=span, missing=True)).survey()
    lines = [outcome.event for portion in portions for outcome in portion.outcomes]
    return sorted(lines, key=lambda line: line.order)


def missing(world: World, since: datetime | None = None, until: datetime | None = None) -> list[str]:
    """Streams of what is missing."""
    return [line.stream for line in lacking(world, since, until)]


def deliver(world: World, **how: Any) -> list[Outcome]:
    """Deliver what is missing."""
    return list(Delivery(world.connection, TO, **how).deliver(lacking(world)))


def delivered(world: World) -> list[dict[str, Any]]:
    return world.arrived(TO)


@pytest.fixture
def stage(world: World) -> World:
    """A stage in which `reserve-stock` listens, and its neighbour too."""
    world.listens(TO, "OrderPlaced")
    world.listens("receive-stock", "StockReceived")
    world.uses(TO, event="OrderPlaced", emits=["StockReserved", "OutOfStock"])
    return world


def test_missing_is_what_the_consumers_rule_takes_and_the_ledger_has_no_row_of(stage: World) -> None:
    stage.handled(stage.recorded("OrderPlaced", "order/done"), TO)
    stage.handled(stage.recorded("OrderPlaced", "order/elsewhere"), "place-order")
    stage.recorded("OrderPlaced", "order/nowhere", after=1)
    stage.recorded("StockReceived", "stock/mug", after=2)

    assert missing(stage) == ["order/elsewhere", "order/nowhere"]


def test_missing_is_found_in_all_hours_and_shards_the_oldest_first(stage: World) -> None:
    for number in range(12):
        stage.recorded("OrderPlaced", f"order/{number}", after=-number * HOUR / 2)

    found = missing(stage, since=morning() - timedelta(hours=6))

    assert found == [f"order/{number}" for number in reversed(range(12))]


def test_of_hundreds_just_those_without_a_row_are_missing(stage: World) -> None:
    for number in range(230):
        placed = stage.recorded("OrderPlaced", f"order/{number}", after=number, admitted=False)
        if number % 3:
            stage.handled(placed, TO)

    assert missing(stage) == [f"order/{number}" for number in range(0, 230, 3)]


def test_since_is_included_and_until_is_not(stage: World) -> None:
    for number in range(3):
        stage.recorded("OrderPlaced", f"order/{number}", after=1000 * number)

    assert missing(stage, morning(), morning() + timedelta(seconds=2)) == ["order/0", "order/1"]


@pytest.mark.parametrize("state", [DEAD, DISCARDED])
def test_what_waits_for_a_persons_decision_or_has_got_it_is_not_missing(stage: World, state: str) -> None:
    placed = stage.recorded("OrderPlaced", "order/1001")
    in_the_ledger(stage, placed, state)

    assert missing(stage) == []


def test_what_is_being_tried_is_not_missing_but_what_was_in_a_queue_that_is_gone(stage: World) -> None:
    before, after = ms(0), clock.timestamp(datetime.now(UTC) + timedelta(seconds=5))
    for order, tries in {"gone": (before,), "now": (after,), "again": (before, after)}.items():
        placed = stage.recorded("OrderPlaced", f"order/{order}").metadata
        for at in tries:
            note = Note(message=f"m-{at}", deliveries=1, at=at, error="ValueError", reason="…", tried=1)
            stage.connection.ledger.note(placed.id, TO, (placed.stream, placed.sequence), note)

    assert missing(stage) == ["order/gone"]
    row = stage.connection.ledger.find("OrderPlaced-order-now-1", TO)
    assert row is not None
    assert row.state == TRYING


def test_the_last_minutes_which_the_index_may_lack_are_left_for_later_unless_asked_for(stage: World) -> None:
    now = datetime.now(UTC)
    stage.recorded("OrderPlaced", "order/just-now", after=ago(minutes=1))

    assert missing(stage) == []
    assert missing(stage, until=now) == ["order/just-now"]
    assert complete(stage.connection, now) < now


def test_what_is_delivered_is_to_the_dead_letter_what_the_rule_would_deliver(stage: World) -> None:
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
    assert f'"data":{data}}}' in by_hand


def test_the_consumers_function_can_read_what_is_delivered(stage: World) -> None:
    placed = stage.recorded("OrderPlaced", "order/1001", data='{"order_id":"1001"}')
    deliver(stage)

    (body,) = stage.bodies(TO)

    assert reserve_stock.handler.read(body) == (placed.metadata, placed.data)


def test_hundreds_of_large_events_are_delivered_each_once(stage: World) -> None:
    data = json.dumps({"note": "x" * 60_000})
    for number in range(120):
        stage.recorded("OrderPlaced", f"order/{number}", after=number, data=data, admitted=False)

    outcomes = deliver(stage)

    assert all(outcome.delivered for outcome in outcomes)
    streams = [event["detail"]["metadata"]["stream"] for event in delivered(stage)]
    assert sorted(streams) == sorted(f"order/{number}" for number in range(120))


def test_events_are_read_as_they_are_delivered_not_all_before(stage: World) -> None:
    for number in range(300):
        stage.recorded("OrderPlaced", f"order/{number}", after=number, admitted=False)
    lines, asked = lacking(stage), 0

    def counted() -> Any:
        nonlocal asked
        for line in lines:
            asked += 1
            yield line

    next(Delivery(stage.connection, TO).deliver(counted()))

    assert asked == 100


def test_what_sqs_does_not_take_just_then_is_sent_again_and_nothing_else(stage: World) -> None:
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
def test_what_sqs_never_takes_is_named_and_the_others_are_delivered(stage: World, fault: str, backoff: int) -> None:
    for number in range(3):
        stage.recorded("OrderPlaced", f"order/{number}", after=number)
    refuse(stage, {"order/1": 99}, sender=fault == "ours")
    paused: list[float] = []

    first, second, third = deliver(stage, pause=paused.append)

    assert (first.error, third.error) == (None, None)
    assert (second.event.stream, second.error) == ("order/1", "InternalError: try later")
    assert len(paused) == backoff
    assert len(delivered(stage)) == 2


def test_an_event_that_is_not_as_it_was_written_is_named_and_the_others_are_delivered(stage: World) -> None:
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


def test_a_consumer_listens_since_its_queue_was_made(stage: World) -> None:
    before = listens_since(stage.connection, TO)
    stage.listens(TO, "OrderPlaced")  # deployed again: the same queue

    assert listens_since(stage.connection, TO) == before
    assert timedelta(0) <= datetime.now(UTC) - before < timedelta(minutes=1)


def test_before_it_is_applied_it_is_said_in_prose_and_nothing_is_changed(stage: World) -> None:
    oldest = stage.recorded("OrderPlaced", "order/1001").metadata.recorded_at
    newest = stage.recorded("OrderPlaced", "order/1002", after=60_000).metadata.recorded_at

    result = replay()

    assert result.exit_code == 0, result.output
    assert "Missing at reserve-stock" in result.stdout
    assert f"2 events (2 OrderPlaced), the oldest of {oldest}, the newest of {newest}." in result.stdout
    assert "Nothing was changed. To deliver them, repeat the command with --apply." in result.stdout
    assert delivered(stage) == []


def test_it_is_said_what_may_be_on_its_way(stage: World) -> None:
    stage.recorded("OrderPlaced", "order/before")
    assert "may be on the way" not in replay().stdout

    stage.recorded("OrderPlaced", "order/after", after=ago(seconds=-2))

    assert "1 event of these were recorded since reserve-stock listens" in replay("--until", in_an_hour()).stdout


def test_applied_it_delivers_and_says_how_many(stage: World) -> None:
    stage.recorded("OrderPlaced", "order/1001")
    stage.recorded("OrderPlaced", "order/1002", after=1)

    result = replay("--apply")

    assert result.exit_code == 0, result.output
    assert "Delivered to reserve-stock: 2 events (2 OrderPlaced)" in result.stdout
    assert {event["detail"]["metadata"]["stream"] for event in delivered(stage)} == {"order/1001", "order/1002"}


def test_where_nothing_is_missing_it_is_said_so(stage: World) -> None:
    stage.handled(stage.recorded("OrderPlaced", "order/1001"), TO)

    for options in ((), ("--apply",)):
        result = replay(*options)
        assert result.exit_code == 0
        assert result.stdout.startswith("Nothing is missing at reserve-stock of what was recorded from ")
    assert delivered(stage) == []


@pytest.mark.parametrize("applied", [False, True])
def test_as_json_it_is_one_object(stage: World, *, applied: bool) -> None:
    event = stage.recorded("OrderPlaced", "order/1001").metadata

    told = json.loads(replay("--json", *(["--apply"] if applied else [])).stdout)

    assert clock.moment(told.pop("until")) - clock.moment(told.pop("since")) > timedelta(minutes=50)
    assert clock.moment(told.pop("listens_since")) > morning()
    assert bool(told.pop("operation")) is applied
    assert told == {
        "to": "reserve-stock",
        "events": 1,
        "by_type": {"OrderPlaced": 1},
        "passed_over": 0,
        "since_it_listens": 0,
        "oldest": event.recorded_at,
        "newest": event.recorded_at,
        "may_set_going": {},
        "applied": applied,
        "not_delivered": [],
    }


def test_unless_told_otherwise_all_that_the_store_can_hold_is_looked_at(stage: World) -> None:
    table = stage.connection.dynamodb.describe_table(TableName=stage.names.store)["Table"]
    made = (table["CreationDateTime"] - morning()).total_seconds() * 1000
    stage.recorded("OrderPlaced", "order/first", after=made + 1)

    result = replay("--until", in_an_hour(), since=None)

    assert "1 event (1 OrderPlaced)" in result.stdout
    assert "Nothing is missing" in replay(since=None).stdout  # the store is younger than the index may lag


@pytest.mark.parametrize("to", ["reserve-stok", "admit"])
@pytest.mark.parametrize("options", [(), ("--apply",)])
def test_an_unknown_consumer_is_refused_with_those_that_there_are(
    stage: World, to: str, options: tuple[str, ...]
) -> None:
    stage.recorded("OrderPlaced", "order/1001")

    result = replay(*options, to=to)

    assert result.exit_code == 2
    assert f"no consumer {to} listens on the event bus of the stage dev" in result.stderr
    assert "receive-stock, reserve-stock" in result.stderr


def test_a_queue_that_nobody_made_is_an_unknown_consumer(stage: World) -> None:
    with pytest.raises(UnknownConsumer):
        listens_since(stage.connection, "nobody")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--since", "yesterday"), "is not a time"),
        (("--since", "1h", "--until", "2h"), "is not before --until 2h"),
        (("--since", "1m"), "up to which the journal is sure to be complete"),
    ],
)
@pytest.mark.usefixtures("stage")
def test_times_that_cannot_be_meant_are_said(options: tuple[str, ...], said: str) -> None:
    result = replay(*options, since=None)

    assert result.exit_code == 2
    assert said in result.stderr


@pytest.mark.usefixtures("stage")
def test_it_must_be_said_what_is_replayed() -> None:
    result = CliRunner().invoke(app, ["replay", "--to", TO, "--apply"])

    assert result.exit_code == 2
    assert "--missing" in result.stderr


def in_the_ledger(stage: World, event: Envelope, state: str) -> None:
    m = event.metadata
    entry = Entry(m.id, TO, state, ms(5), m.stream, m.sequence)
    stage.connection.dynamodb.transact_write_items(TransactItems=[stage.connection.ledger.record(entry)])


def publish(stage: World, event: Envelope) -> None:
    """Put the event on the event bus, as the publish function does."""
    entry = {"EventBusName": stage.names.event_bus, "Source": event.source}
    entry |= {"DetailType": event.metadata.type, "Detail": event.detail}
    stage.connection.eventbridge.put_events(Entries=[entry])


def refuse(stage: World, streams: dict[str, int], *, sender: bool = False) -> None:
    """SQS takes the events of these streams only after so many times."""

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

    def tell(parsed: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
        for number in context.get("refused", ()):
            failure = {"Id": number, "SenderFault": sender, "Code": "InternalError", "Message": "try later"}
            parsed.setdefault("Failed", []).append(failure)

    events = stage.connection.sqs.meta.events
    events.register("before-call.sqs.SendMessageBatch", answer)
    events.register("after-call.sqs.SendMessageBatch", tell)


def test_half_a_stream_s_name_is_said_to_be_none_rather_than_that_nothing_is_missing(stage: World) -> None:
    stage.recorded("OrderPlaced", "order/1001")

    result = replay("--stream", "1001")

    assert (result.exit_code, result.stdout) == (2, "")
    assert "1001 names no stream: a stream is named by its kind" in result.stderr
