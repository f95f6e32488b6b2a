"""`daybook trace` shows the consumers of an event, the emitted events, and the waiting deliveries."""

import json
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

from daybook.contracts import clock
from daybook.contracts.envelope import Envelope
from daybook.operate.drawing import draw
from daybook.operate.program import app
from daybook.operate.trace.trace import UNKNOWN, WAITING, Trace
from daybook.store.ledger import COMMITTED, DEAD, LedgerEntry
from tests.ops.world import World, ago, an_order, ms

ORDER = json.dumps(an_order()["Detail"]["data"])


def trace(what: str, *options: str) -> Any:
    return CliRunner().invoke(app, ["trace", what, *options])


def types(trace: Trace) -> list[str]:
    return [step.event.metadata.type for step in trace.steps]


def drawn(trace: Trace) -> str:
    console = Console(width=200, highlight=False)
    with console.capture() as capture:
        draw(trace, console)
    return capture.get()


def an_order_reserved(world: World, order: str = "1001") -> tuple[Envelope, Envelope]:
    """An order that two consumers have handled; one of them has emitted an event."""
    placed = world.recorded("OrderPlaced", f"order/{order}", data=ORDER)
    reserved = world.recorded("StockReserved", f"reservation/{order}", cause=placed, producer="reserve-stock", after=45)
    world.handled(placed, "place-order", after=12)
    world.handled(placed, "reserve-stock", reserved, after=45)
    return placed, reserved


def test_a_trace_shows_consumers_under_events_and_emitted_events_under_consumers(world: World) -> None:
    an_order_reserved(world)
    world.listens("order-status-reserved", "StockReserved")

    result = trace("order/1001")

    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines() == [
        "order/1001  correlation OrderPlaced-order-1001-1",
        "└── OrderPlaced  order/1001 #1  +0 ms  from shop.checkout",
        "    ├── place-order  committed  +12 ms",
        "    └── reserve-stock  committed  +45 ms",
        "        └── StockReserved  reservation/1001 #1  +45 ms  from reserve-stock",
        "            └── order-status-reserved  waiting",
        "2 events, 2 deliveries, waiting 1",
    ]


@pytest.mark.parametrize(
    "what", ["order/1001", "reservation/1001", "OrderPlaced-order-1001-1", "StockReserved-reservation-1001-1"]
)
def test_a_correlation_is_found_by_its_streams_and_its_events(world: World, what: str) -> None:
    _, reserved = an_order_reserved(world)
    world.handled(reserved, "order-status-reserved", after=60)

    assert types(Trace.of(world.connection, what)) == ["OrderPlaced", "StockReserved"]


def test_an_event_without_a_ledger_row_is_found_in_the_journal(world: World) -> None:
    an_order_reserved(world)

    assert types(Trace.of(world.connection, "StockReserved-reservation-1001-1")) == ["OrderPlaced", "StockReserved"]


def test_a_correlation_id_of_a_producer_is_found(world: World) -> None:
    placed = world.recorded("OrderPlaced", "order/1001", correlation_id="basket-7")
    world.recorded("StockReceived", "stock/mug", correlation_id="basket-7", after=5)

    trace = Trace.of(world.connection, "basket-7")

    assert types(trace) == ["OrderPlaced", "StockReceived"]
    assert types(Trace.of(world.connection, placed.metadata.id)) == types(trace)


def test_following_events_on_the_first_stream_belong_to_the_correlation(world: World) -> None:
    world.recorded("StockReceived", "stock/mug", event_id="first")
    world.recorded("StockReceived", "stock/mug", event_id="second", after=5_000)

    trace = Trace.of(world.connection, "first")

    assert [step.event.metadata.id for step in trace.roots] == ["first", "second"]
    assert "stock/mug #2  +5000 ms" in drawn(trace)


def test_following_events_on_any_other_stream_belong_to_the_correlation(world: World) -> None:
    placed = world.recorded("OrderPlaced", "order/1001")
    requested = world.recorded("ShipmentRequested", "shipment/1001", cause=placed, producer="prepare-shipment", after=5)
    world.recorded("ShipmentDispatched", "shipment/1001", after=9)
    other = world.recorded("ShipmentDispatched", "shipment/1001", correlation_id="another", after=12)

    trace = Trace.of(world.connection, "order/1001")

    assert types(trace) == ["OrderPlaced", "ShipmentRequested", "ShipmentDispatched"]
    assert trace.step(other.metadata.id) is None
    assert types(Trace.of(world.connection, requested.metadata.id)) == types(trace)


def test_a_stream_with_several_correlations_shows_each_with_its_own_times(world: World) -> None:
    world.recorded("StockReceived", "stock/mug", correlation_id="delivery-1")
    second = world.recorded("StockReceived", "stock/mug", correlation_id="delivery-2", after=70_000)
    world.handled(second, "receive-stock", after=70_020)

    trace = Trace.of(world.connection, "stock/mug")

    assert trace.correlations == ("delivery-1", "delivery-2")
    assert "receive-stock  committed  +20 ms" in drawn(trace)


def test_a_consumer_without_a_matching_enabled_rule_is_not_waiting(world: World) -> None:
    world.recorded("OrderPlaced", "order/1001")
    world.listens("place-order", "OrderPlaced", state="DISABLED")
    world.listens("receive-stock", "StockReceived")

    assert Trace.of(world.connection, "order/1001").waiting == 0


def test_an_old_event_without_a_ledger_row_is_unknown_and_not_waiting(world: World) -> None:
    world.listens("place-order", "OrderPlaced")
    world.recorded("OrderPlaced", "order/1001", after=-16 * 24 * 3_600_000)
    world.recorded("OrderPlaced", "order/1002", after=-13 * 24 * 3_600_000)

    def states(stream: str) -> list[str]:
        return [delivery.state for delivery in Trace.of(world.connection, stream).steps[0].deliveries]

    assert states("order/1001") == [UNKNOWN]
    assert states("order/1002") == [WAITING]


def test_an_emitted_event_that_is_not_in_the_index_yet_is_listed_by_id(world: World) -> None:
    placed = world.recorded("OrderPlaced", "order/1001")
    world.handled(placed, "reserve-stock", "an-id")

    assert "an-id: not in the index yet" in drawn(Trace.of(world.connection, "order/1001"))


def test_only_the_newest_events_of_a_stream_are_shown(world: World) -> None:
    for number in range(8):
        world.recorded("StockReceived", "stock/mug", correlation_id=f"delivery-{number}", after=number)

    trace = Trace.of(world.connection, "stock/mug", most=5)

    assert [step.event.metadata.sequence for step in trace.steps] == [4, 5, 6, 7, 8]
    assert "more events exist" in drawn(trace)
    assert not Trace.of(world.connection, "stock/mug", most=8).cut


def test_a_long_correlation_is_cut_and_includes_the_requested_event(world: World) -> None:
    for number in range(1, 9):
        world.recorded("StockReceived", "stock/mug", event_id=f"delivery-{number}", after=number)

    trace = Trace.of(world.connection, "delivery-8", most=3)

    assert [step.event.metadata.sequence for step in trace.steps] == [1, 2, 3, 8]
    assert trace.cut


def test_more_events_than_fit_into_one_read_are_shown(world: World) -> None:
    placed = world.recorded("OrderPlaced", "order/1001")
    for number in range(101):
        world.recorded("StockReserved", f"reservation/{number}", cause=placed, producer="reserve-stock", after=5)

    assert len(Trace.of(world.connection, "order/1001").steps) == 102


def test_a_trace_shows_data_only_on_request_and_never_personal_data(world: World) -> None:
    an_order_reserved(world)

    without, with_data = trace("order/1001").stdout, trace("order/1001", "--data").stdout
    as_json = json.loads(trace("order/1001", "--data", "--json").stdout)

    assert "mug" not in without
    assert "mug" in with_data
    assert "Ada" not in with_data
    assert as_json["events"][0]["data"]["customer"] == {"name": "•••", "email": "•••", "language": "en"}


@pytest.mark.parametrize(
    ("event_type", "data"),
    [
        ("OrderPlaced", '{"name": "Ada"}'),
        ("NobodyKnows", '{"name": "Ada"}'),
        ("StockReceived", '{"sku": "mug", "quantity": 1, "delivery_id": "D-1", "receiver": "Ada"}'),
    ],
)
def test_data_without_a_valid_contract_is_not_shown(world: World, event_type: str, data: str) -> None:
    world.recorded(event_type, "order/1001", data=data)

    assert "Ada" not in trace("order/1001", "--data").stdout


def test_json_has_the_complete_trace(world: World) -> None:
    placed, reserved = an_order_reserved(world)
    world.listens("order-status-reserved", "StockReserved")

    printed = json.loads(trace("order/1001", "--json").stdout)

    assert [event["id"] for event in printed["events"]] == [placed.metadata.id, reserved.metadata.id]
    assert printed["events"][0]["deliveries"][1] == {
        "consumer": "reserve-stock",
        "state": "committed",
        "at": reserved.metadata.recorded_at,
        "after_ms": 45,
        "emitted": [reserved.metadata.id],
    }
    assert printed["events"][1]["deliveries"][0]["state"] == "waiting"
    assert printed["summary"] == {"events": 2, "deliveries": 2, "waiting": 1}
    assert "data" not in printed["events"][0]


@pytest.mark.parametrize("what", ["order/9999", "6f7a", ""])
def test_an_unknown_event_is_an_error_with_the_next_step(world: World, what: str) -> None:
    an_order_reserved(world)

    result = trace(what)

    assert result.exit_code == 1
    assert "daybook events --stage dev" in result.stderr


def test_a_rejected_event_is_an_error_with_the_reason(world: World) -> None:
    details = {"error": "ContractBroken", "reason": "OrderPlaced: lines: Field required", "body": "{}"}
    world.connection.ledger.record_dead(
        LedgerEntry(event="refused-1", consumer="admit", state=DEAD, at="2026-03-01T12:00:00.000000Z", details=details)
    )

    result = trace("refused-1")

    assert result.exit_code == 1
    assert "ContractBroken: OrderPlaced: lines: Field required" in result.stderr


def test_control_characters_in_text_are_not_printed(world: World) -> None:
    world.recorded("OrderPlaced", "order/1001", correlation_id="\x1b[31m\x9bred")

    result = trace("order/1001")

    assert "\x1b" not in result.stdout
    assert "\x9b" not in result.stdout


def test_a_recent_event_causes_the_note_that_the_index_lags(world: World) -> None:
    world.recorded("OrderPlaced", "order/1001")
    assert "may be missing" not in trace("order/1001").stderr

    now = clock.moment(clock.now())
    world.recorded("OrderPlaced", "order/1002", after=ago(minutes=1))
    assert "may be missing" in trace("order/1002").stderr, now


# Guards: the register. Without it, only consumers with a rule are asked.
def test_the_work_of_a_consumer_that_was_removed_is_in_the_trace(world: World) -> None:
    placed = world.recorded("OrderPlaced", "order/1001")
    world.registers("old-consumer", types=("OrderPlaced",))
    world.handled(placed, "old-consumer")
    world.listens("reserve-stock", "OrderPlaced")

    (step,) = Trace.of(world.connection, "order/1001").steps

    assert [(each.consumer, each.state) for each in step.deliveries] == [
        ("old-consumer", "committed"),
        ("reserve-stock", "waiting"),
    ]


# Guards: consumers with a rule are known before control-consumers has registered them.
def test_the_work_of_a_consumer_that_is_not_registered_yet_is_in_the_trace(world: World) -> None:
    placed = world.recorded("OrderPlaced", "order/1001")
    world.listens("reserve-stock", "OrderPlaced")
    entry = LedgerEntry(placed.metadata.id, "reserve-stock", COMMITTED, ms(5), "order/1001", 1)
    world.writes(entry)

    (step,) = Trace.of(world.connection, "order/1001").steps

    assert [(each.consumer, each.state) for each in step.deliveries] == [("reserve-stock", "committed")]
