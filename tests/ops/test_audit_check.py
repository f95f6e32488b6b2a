"""`daybook audit check` reports missing, changed and undelivered events, and nothing else."""

from datetime import UTC, datetime
from threading import Lock
from typing import Any

import pytest
from typer.testing import CliRunner

from daybook.contracts import clock
from daybook.contracts.envelope import Envelope
from daybook.contracts.identity import content_hash
from daybook.contracts.operations import ConsumerPaused
from daybook.contracts.proof import Writer
from daybook.operate.audit import check as checking
from daybook.operate.audit.findings import Difference, Summary
from daybook.operate.audit.plan import Plan, Scope
from daybook.operate.audit.sketch import Sketch, key
from daybook.operate.audit.state_file import StateFile
from daybook.operate.connection import Connection
from daybook.operate.operation import Operation
from daybook.operate.program import app
from daybook.store.attributes import pack_item
from daybook.store.cursor import Cursor, Cursors, PendingEvent
from daybook.store.event_store import Draft, Head, successor, to_item
from daybook.store.ledger import COMMITTED, DEAD, DISCARDED, LedgerEntry, Note
from daybook.testing.dynamodb import DynamoDB
from daybook.testing.keys import proven, writer
from tests.ops.audited import (
    MINUTE,
    PLACE,
    RESERVE,
    WAREHOUSE,
    an_order,
    audited,
    change,
    check,
    counted,
    deliveries,
    forget,
    found,
    listen_since,
    place_of,
    remove,
    resealed,
)
from tests.ops.world import World, ago, ms


@pytest.fixture
def stage(world: World) -> World:
    return audited(world)


def checked_over(connection: Connection, settled: datetime) -> tuple[Summary, list[Difference]]:
    """The numbers of a check over this connection, and the differences."""
    differences: list[Difference] = []
    scope = Scope(since=None, until=None, settled=settled)
    with StateFile.new(Plan.of(connection, scope)) as state:
        return checking.check(connection, state, report=differences.append), differences


# --- complete history
# ----------------------------------------------------------------------------------------------------


def test_a_complete_history_is_reported_with_the_numbers_of_what_was_checked(stage: World) -> None:
    for number in range(3):
        an_order(stage, str(number), after=number)

    result = check()

    assert result.exit_code == 0, result.output
    assert "6 events of 6 streams" in result.stdout
    assert "12 rows" in result.stdout
    assert "9 committed" in result.stdout
    assert "Nothing is missing, changed or undelivered" in result.stdout


def test_a_stream_that_a_scan_returns_out_of_order_has_no_difference(stage: World) -> None:
    deliveries(stage, 12)
    deliveries(stage, 3, stream="stock/poster")
    looking = Connection("dev")

    def turn_round(parsed: dict[str, Any], **_: object) -> None:
        parsed["Items"] = parsed["Items"][::-1]  # streams stay together

    looking.dynamodb.meta.events.register("after-call.dynamodb.Scan", turn_round)
    summary, differences = checked_over(looking, datetime.now(UTC))
    counts = summary.counts

    assert differences == []
    assert (counts["events"], counts["streams"]) == (15, 2)


@pytest.mark.parametrize("period", [[], ["--since", "2h"]], ids=["everything", "period"])
def test_a_replica_that_lags_makes_no_difference(
    stage: World, period: list[str], dynamodb: DynamoDB, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Guards: `Statuses._final_rows` and `Table.at` read again consistently."""
    an_order(stage)
    deliveries(stage, 3)

    def answer(operation: str, request: Any) -> Any:
        if operation == "BatchGetItem" and not any(each["ConsistentRead"] for each in request["RequestItems"].values()):
            return {"Responses": {}}
        return DynamoDB.answer(dynamodb, operation, request)

    monkeypatch.setattr(dynamodb, "answer", answer)

    assert found(*period) == []


@pytest.mark.usefixtures("stage")
def test_an_empty_stage_has_no_difference() -> None:
    assert found() == []


def test_events_of_timers_and_operations_need_no_origin(stage: World) -> None:
    placed, _ = an_order(stage)
    stage.recorded("PaymentWindowEnded", "order/1001", cause=placed, producer=PLACE, after=10)
    operation = Operation.start(stage.connection)
    operation.commit(ConsumerPaused(**operation.about, reason="…", consumer=RESERVE))

    assert found() == []


# --- proofs ---------------------------------------------------------------------------------------------------------

# A consumer whose key somebody else can use.
FORGER = writer(RESERVE)


@pytest.mark.parametrize(
    ("event_type", "producer", "proven_by", "as_writer"),
    [
        ("RefundRequested", "daybook", FORGER, RESERVE),
        ("RefundRequested", "daybook", FORGER, "operations"),
        ("PaymentWindowEnded", RESERVE, FORGER, RESERVE),
        ("PaymentWindowEnded", PLACE, FORGER, "fire-timers"),
        ("OrderConfirmed", PLACE, FORGER, PLACE),
        ("OrderConfirmed", PLACE, FORGER, RESERVE),
        ("OrderPlaced", "shop.checkout", FORGER, "admit"),
    ],
)
def test_an_event_that_was_put_into_the_store_is_found_whatever_producer_it_names(
    stage: World, event_type: str, producer: str, proven_by: Writer, as_writer: str
) -> None:
    placed, _ = an_order(stage)
    head = Head.at(placed)
    draft = Draft("forged", event_type, 1, "order/1001", ms(7), "{}", producer, "daybook.orders")
    event = successor(draft, head, ms(7), Writer(as_writer, proven_by.key))
    stage.connection.dynamodb.put_item(TableName=stage.names.store, Item=to_item(event))

    text = f"it has no valid proof by {as_writer}, or {as_writer} may not record it"
    assert ("proof", "order/1001#2", text) in found()


def test_an_event_of_a_consumer_that_was_deleted_can_still_be_checked(stage: World) -> None:
    placed, _ = an_order(stage)
    gone = stage.recorded("StockReserved", "reservation/9", cause=placed, producer="gone")
    stage.handled(placed, "gone", gone)
    stage.handled(gone, "charge-order")

    assert found() == []


# --- the chain ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["data", "source", "type", "correlation_id", "producer"])
def test_a_changed_event_is_reported(stage: World, name: str) -> None:
    _, second, _ = deliveries(stage, 3)
    change(stage, second, **{name: {"S": "{}x"}})

    assert ("chain", "stock/mug#2", "its hash does not match its content: it was changed") in found()


def test_a_last_event_that_was_changed_with_its_hash_is_reported_by_the_content_hash(stage: World) -> None:
    (last,) = deliveries(stage, 1)
    m = last.metadata
    row = {"key": f"admit#{m.id}", "state": COMMITTED, "at": ms(1), "stream": m.stream, "sequence": m.sequence}
    row |= {"content_hash": content_hash(m.type, m.version, last.data)}
    stage.connection.dynamodb.put_item(TableName=stage.names.ledger, Item=pack_item(proven(row)))
    assert found() == []

    for data in ('{"quantity":900}', "not JSON"):
        change(stage, resealed(last, data=data))
        assert found() == [("ledger", "stock/mug#1", "it was admitted with other content")]


def test_a_change_with_a_matching_hash_is_reported_at_the_next_event(stage: World) -> None:
    _, second, _ = deliveries(stage, 3)
    change(stage, resealed(second, data='{"quantity":900}'))

    expected = "it links to another event than the one before it, which was changed"
    assert found() == [("chain", "stock/mug#3", expected)]


@pytest.mark.parametrize(
    ("missing", "expected"), [((2,), "#2 before it is missing"), ((1, 2), "#1 to #2 before it is missing")]
)
def test_events_that_are_missing_in_a_stream_are_reported(
    stage: World, missing: tuple[int, ...], expected: str
) -> None:
    events = deliveries(stage, 4)
    for sequence in missing:
        remove(stage, events[sequence - 1])

    differences = found()

    assert ("chain", f"stock/mug#{max(missing) + 1}", expected) in differences
    assert [where for kind, where, _ in differences if kind == "ledger"] == [f"stock/mug#{each}" for each in missing]


def test_the_first_event_of_a_stream_has_no_predecessor(stage: World) -> None:
    (first,) = deliveries(stage, 1)
    (other,) = deliveries(stage, 1, stream="stock/poster")
    change(stage, resealed(first, after=other))

    assert [(kind, where) for kind, where, _ in found()] == [("chain", "stock/mug#1")]


def test_an_event_that_was_recorded_before_its_predecessor_is_reported(stage: World) -> None:
    _, second = deliveries(stage, 2)
    change(stage, resealed(second, recorded_at=ms(-1)))

    assert found() == [("chain", "stock/mug#2", "its time of recording is before that of the event before it")]


def test_an_item_that_is_not_an_event_is_reported_and_hides_no_later_difference(stage: World) -> None:
    events = deliveries(stage, 4)
    stage.connection.dynamodb.put_item(
        TableName=stage.names.store, Item={**place_of(events[1]), "note": {"S": "by hand"}}
    )
    change(stage, events[3], data={"S": "{}x"})
    foreign = {"stream": {"S": "note/1"}, "sequence": {"N": "1.5"}}
    stage.connection.dynamodb.put_item(TableName=stage.names.store, Item=foreign)

    differences = found()

    assert [where for kind, where, _ in differences if kind == "item"] == ["note/1#1.5", "stock/mug#2"]
    assert [where for kind, where, _ in differences if kind == "chain"] == ["stock/mug#4"]


@pytest.mark.parametrize("attribute", ["bucket", "position"])
def test_an_event_that_the_journal_does_not_find_is_reported(stage: World, attribute: str) -> None:
    (event,) = deliveries(stage, 1)
    change(stage, event, **{attribute: {"S": "2026-03-01T09#3"}})

    assert [(kind, where) for kind, where, _ in found()] == [("journal", "stock/mug#1")]


def test_an_event_is_in_a_shard_that_the_journal_has_in_its_hour(stage: World) -> None:
    (event,) = deliveries(stage, 1)
    m = event.metadata
    change(stage, event, bucket={"S": f"{m.recorded_at[:13]}#40"})
    assert [(kind, where) for kind, where, _ in found()] == [("journal", "stock/mug#1")]

    shards = stage.connection.journal_shards
    part = shards.announcement(clock.moment(m.recorded_at), 64, shards.announced())
    stage.connection.dynamodb.transact_write_items(TransactItems=[part])

    assert check().exit_code == 0


def test_an_event_that_the_correlation_index_does_not_find_is_reported(stage: World) -> None:
    _, reserved = an_order(stage)
    change(stage, reserved, correlation={"S": "another"})

    assert [(kind, where) for kind, where, _ in found()] == [("journal", "reservation/1001#1")]


# --- the ledger -----------------------------------------------------------------------------------------------------


def test_a_missing_last_event_is_reported_by_the_ledger(stage: World) -> None:
    *_, last = deliveries(stage, 3)
    remove(stage, last)

    assert found() == [("ledger", "stock/mug#3", "it was admitted; it is not in the store")]


def test_a_missing_stream_is_reported_by_the_ledger(stage: World) -> None:
    for event in deliveries(stage, 3):
        remove(stage, event)
    an_order(stage)

    assert [(kind, where) for kind, where, _ in found()] == [("ledger", f"stock/mug#{each}") for each in (1, 2, 3)]


def test_a_missing_emitted_event_without_subscribers_is_reported(stage: World) -> None:
    placed = stage.recorded("OrderPlaced", "order/1001")
    lacking = stage.recorded("OutOfStock", "reservation/1001", cause=placed, producer=RESERVE)
    stage.handled(placed, RESERVE, lacking)
    stage.handled(placed, PLACE)
    assert found() == []

    remove(stage, lacking)

    expected = "reserve-stock has emitted it for OrderPlaced-order-1001-1; it is not in the store"
    assert found() == [("ledger", lacking.metadata.id, expected)]


def test_a_missing_emitted_event_is_reported_once(stage: World) -> None:
    _, reserved = an_order(stage)
    remove(stage, reserved)

    assert found() == [("ledger", "reservation/1001#1", "it was handled by charge-order; it is not in the store")]


def test_a_forged_event_in_the_place_of_the_last_one_is_reported(stage: World) -> None:
    _, reserved = an_order(stage)
    change(stage, resealed(reserved, id="forged"))

    differences = found()

    assert ("ledger", "reservation/1001#1", "reserve-stock has not emitted it, according to the ledger") in differences
    other = "it was handled by charge-order; another event, forged, is in its place"
    assert ("ledger", "reservation/1001#1", other) in differences


def test_an_event_without_an_origin_is_reported(stage: World) -> None:
    stage.recorded("StockReceived", "stock/mug", producer=WAREHOUSE, admitted=False)

    assert found() == [("ledger", "stock/mug#1", "the ledger has no origin for it")]


def test_a_copy_of_an_event_in_another_place_is_reported(stage: World) -> None:
    (event,) = deliveries(stage, 1)
    change(stage, resealed(event, stream="stock/copy"))
    _, reserved = an_order(stage)
    change(stage, resealed(reserved, stream="reservation/copy"))

    differences = found()

    assert ("ledger", "stock/copy#1", "it was admitted as stock/mug #1") in differences
    repeated = [where for _, where, text in differences if "more than once" in text]
    assert repeated == ["reservation/1001#1", "reservation/copy#1"]


def test_a_decision_without_a_record_is_reported(stage: World) -> None:
    operation = Operation.start(stage.connection)
    operation.commit(ConsumerPaused(**operation.about, reason="…", consumer=RESERVE))
    for order, made_by in {"1": operation.id, "2": "nobody's", "3": ""}.items():
        placed, _ = an_order(stage, order)
        forget(stage, placed, PLACE)
        m = placed.metadata
        details = {"operation": made_by} if made_by else {}
        entry = LedgerEntry(m.id, PLACE, DISCARDED, ms(9), m.stream, m.sequence, details=details)
        stage.writes(entry)

    assert [(kind, where) for kind, where, _ in found()] == [("operation", "order/2#1"), ("operation", "order/3#1")]


# Guards: each line of `_check_names` in the audit.
def test_rows_that_no_consumer_of_the_stage_can_have_written_are_reported(stage: World) -> None:
    placed, _ = an_order(stage)
    m = placed.metadata
    stage.handled(placed, "removed-consumer")  # it is registered
    assert found() == []

    unknown = LedgerEntry(m.id, "no-consumer", COMMITTED, ms(9), m.stream, m.sequence)
    foreign = LedgerEntry("e-2", PLACE, DEAD, ms(9), details={"dead": RESERVE})
    stage.writes(unknown)
    stage.connection.ledger.record_dead(foreign)
    stage.connection.dynamodb.put_item(TableName=stage.names.ledger, Item={"key": {"S": "#nothing"}})

    assert sorted(text for _, _, text in found()) == [
        "the row #nothing belongs to no consumer",
        f"the row no-consumer#{m.id} names a consumer that never subscribed",
        f"the row {PLACE}#e-2 claims to be a dead letter of {RESERVE}",
    ]


ROWS: dict[str, dict[str, Any]] = {
    f"{PLACE}#e-1": {"state": COMMITTED, "at": "2026-03-01T12:00:00.000000Z"},
    f"{PLACE}#e-2": {"state": DISCARDED, "at": "2026-03-01T12:00:00.000000Z"},
    "charge-order#e-3": {"state": COMMITTED, "at": "2026-03-01T12:00:00.000000Z", "effect": "charge/1001"},
    "raise-alarm#cursor#device/m-1": {"state": "moving", "sequence": 7, "version": 2},
    "admit#e-4": {"state": COMMITTED, "at": "2026-03-01T12:00:00.000000Z", "content_hash": "h"},
}


def proof_findings() -> list[tuple[str, str]]:
    return [(where, text) for kind, where, text in found() if kind == "proof"]


# Guards: `_check_proof` in the audit.
@pytest.mark.parametrize("row", [{"key": row_key, **row} for row_key, row in ROWS.items()], ids=ROWS)
def test_a_row_that_ends_work_without_a_valid_proof_is_reported(stage: World, row: dict[str, Any]) -> None:
    def plant(planted: dict[str, Any]) -> None:
        stage.connection.dynamodb.put_item(TableName=stage.names.ledger, Item=pack_item(planted))

    consumer, _, rest = row["key"].partition("#")
    stage.registers(consumer)
    plant(proven(row))
    assert proof_findings() == []

    reported = [(rest, f"the row {row['key']} has no valid proof by {consumer}")]
    for forgery in (
        row,
        row | {"proof": b"x" * 32},
        proven(row) | {"at": "x", "sequence": 9},
        proven(row) | {"effect": "charge/1002", "sequence": 9},
        row | {"emitted": 5, "pending": 5},
    ):
        plant(forgery)
        assert proof_findings() == reported


@pytest.mark.parametrize("state", ["trying", DEAD])
def test_a_row_that_ends_no_work_needs_no_proof(stage: World, state: str) -> None:
    stage.connection.dynamodb.put_item(
        TableName=stage.names.ledger, Item=pack_item({"key": f"{PLACE}#e-1", "state": state, "at": ms(1)})
    )
    stage.registers(PLACE)

    assert proof_findings() == []


def test_a_row_with_values_of_other_types_does_not_stop_the_audit(stage: World) -> None:
    stage.registers(PLACE)
    stage.connection.dynamodb.put_item(
        TableName=stage.names.ledger, Item=pack_item({"key": f"{PLACE}#e-1", "state": ["x"], "emitted": 5})
    )

    assert proof_findings() == []


def test_ten_thousand_differences_are_decoded_and_more_are_not_guessed() -> None:
    few, many = Sketch(), Sketch()
    few.add(f"event-{number}" for number in range(60_000))
    few.subtract(f"event-{number}" for number in range(10_000, 60_100))
    many.add(f"event-{number}" for number in range(60_000))

    missing, added, all_ = few.difference()

    assert missing == {key(f"event-{number}") for number in range(10_000)}
    assert added == {key(f"event-{number}") for number in range(60_000, 60_100)}
    assert all_
    undecoded = many.difference()
    assert undecoded[0] <= {key(f"event-{number}") for number in range(60_000)}
    assert not undecoded[2]


# --- the consumers --------------------------------------------------------------------------------------------------


def test_an_event_that_one_consumer_never_received_is_reported_with_it(stage: World) -> None:
    placed, _ = an_order(stage)
    forget(stage, placed, PLACE)

    assert found() == [("undelivered", "order/1001#1", "it never reached place-order")]


def test_an_event_that_no_consumer_received_is_reported_as_unpublished(stage: World) -> None:
    an_order(stage)
    stage.recorded("OrderPlaced", "order/1002")

    expected = "it was probably not published: it never reached place-order, reserve-stock"
    assert found() == [("unpublished", "order/1002#1", expected)]


def test_a_dead_letter_of_publish_is_no_difference(stage: World) -> None:
    stage.died(stage.recorded("OrderPlaced", "order/1002"), "publish", "InvalidArgument")

    assert found() == []
    assert counted()["set aside by publish"] == 1


def test_dead_events_are_counted_and_retried_events_are_open(stage: World) -> None:
    placed = stage.recorded("OrderPlaced", "order/1001")
    stage.died(placed, RESERVE)
    _note(stage, placed, PLACE)

    assert found() == []
    assert (counted()["dead"], counted()["open"]) == (1, 1)


def test_an_event_whose_attempts_were_in_a_deleted_queue_is_undelivered(
    stage: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    placed = stage.recorded("OrderPlaced", "order/1001", after=5)
    stage.handled(placed, RESERVE)
    _note(stage, placed, PLACE, at=ms(1))
    assert found() == []

    monkeypatch.setattr("daybook.operate.audit.statuses.subscribed_since", lambda *_: clock.moment(ms(3)))

    assert found() == [("undelivered", "order/1001#1", "it never reached place-order")]


def test_an_event_recorded_before_a_consumer_subscribed_is_no_difference(stage: World) -> None:
    an_order(stage)
    stage.recorded("OrderPlaced", "order/1002", after=MINUTE)

    listen_since(ms(2 * MINUTE))

    assert found() == []


def test_a_young_event_is_open_and_no_difference(stage: World) -> None:
    stage.recorded("OrderPlaced", "order/1001")

    assert found(settled="6h") == []
    assert counted(settled="6h")["open"] == 2
    assert len(found(settled="10m")) == 1


def test_the_help_explains_how_to_check_right_after_a_repair() -> None:
    help_text = CliRunner().invoke(app, ["audit", "check", "--help"], env={"COLUMNS": "200"}).stdout

    assert "Right after a repair, use --settled 0s" in help_text
    assert "Right after a repair, use 0s" in help_text


@pytest.mark.parametrize("state", ["dead", "missing"])
def test_events_after_a_dead_event_at_an_ordered_consumer_are_counted(stage: World, state: str) -> None:
    first, second, _ = (_report(stage, number) for number in range(3))
    stage.handled(first, "raise-alarm")
    if state == "dead":
        stage.died(second, "raise-alarm")
    _block(stage, second)

    if state == "dead":
        assert found() == []
        assert counted()["in a blocked stream"] == 1
    else:
        assert [(kind, where) for kind, where, _ in found()] == [
            ("unpublished", "device/monitor-1#2"),
            ("unpublished", "device/monitor-1#3"),
        ]


def test_an_event_that_an_ordered_consumer_skipped_is_reported(stage: World) -> None:
    _, second = (_report(stage, number) for number in range(2))
    stage.died(second, "raise-alarm")
    _block(stage, second)

    assert [(kind, where) for kind, where, _ in found()] == [("unpublished", "device/monitor-1#1")]


# --- spans, and how it is expected
# --------------------------------------------------------------------------------------


def test_only_events_of_the_period_are_checked_and_earlier_events_still_link_them(stage: World) -> None:
    old = stage.recorded("StockReceived", "stock/mug", after=-60 * MINUTE, producer=WAREHOUSE)
    stage.recorded("StockReceived", "stock/mug", after=0, producer=WAREHOUSE)
    stage.recorded("OrderPlaced", "order/early", after=-60 * MINUTE)
    stage.recorded("OrderPlaced", "order/late", after=20 * MINUTE)
    change(stage, old, data={"S": "{}x"})

    assert {where for _, where, _ in found()} == {"stock/mug#1", "order/early#1", "order/late#1"}
    assert {where for _, where, _ in found("--since", "45m")} == {"order/late#1"}
    assert {where for _, where, _ in found("--until", "45m")} == {"stock/mug#1", "order/early#1"}


def test_an_event_recorded_during_the_check_is_no_difference(stage: World) -> None:
    an_order(stage)
    looking, now = Connection("dev"), datetime.now(UTC)
    operations, lock = iter([an_order]), Lock()

    def meanwhile(params: dict[str, Any], **_: object) -> None:
        with lock:  # moto supports no concurrent call
            for operation in operations if stage.names.ledger in str(params["body"]) else ():
                operation(stage, "meanwhile", after=ago())

    looking.dynamodb.meta.events.register("before-call.dynamodb.Scan", meanwhile)
    summary, differences = checked_over(looking, now)
    counts = summary.counts

    assert differences == []
    assert (counts["events"], counts["rows"], counted()["events"]) == (2, 8, 4)


def test_only_some_differences_are_printed_and_all_are_counted(stage: World) -> None:
    for number in range(120):
        stage.recorded("OrderPlaced", f"order/{number}", after=number, admitted=False)

    result = check()

    assert result.exit_code == 1
    assert "… and 140 more" in result.stdout
    assert "240 differences (120 ledger, 120 unpublished)" in result.stdout


def test_data_is_never_shown(stage: World) -> None:
    event = stage.recorded("OrderPlaced", "order/1001", data='{"name":"Ada Lovelace"}', admitted=False)
    change(stage, event, source={"S": "x"})

    result = check()

    assert result.exit_code == 1
    assert "Lovelace" not in result.output


def _note(stage: World, event: Envelope, consumer: str, *, at: str | None = None) -> None:
    m = event.metadata
    at = at or clock.now()
    note = Note(message="m", deliveries=1, at=at, error="ValueError", reason="…", failed_count=1)
    stage.connection.ledger.note(m.id, consumer, (m.stream, m.sequence), note)


def _report(stage: World, number: int) -> Envelope:
    return stage.recorded("EquipmentStatusReported", "device/monitor-1", after=number, producer="hospital.devices")


def _block(stage: World, event: Envelope) -> None:
    """Block the stream at this event, at `raise-alarm`."""
    m = event.metadata
    hold = PendingEvent(event=m.id, sequence=m.sequence, reason="KeyError", since=ms(20))
    Cursors(stage.connection.dynamodb, stage.names.ledger, "raise-alarm", lambda: writer("raise-alarm")).write(
        Cursor(m.stream, m.sequence - 1).waiting_for(hold)
    )
