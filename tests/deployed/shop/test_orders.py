"""Orders in the deployed system: real templates and real handlers, each in its own process."""

from dataclasses import fields
from operator import itemgetter
from typing import Any

from daybook.contracts.envelope import GENESIS, Metadata, digest
from tests.deployed.deployed import CONFIRMED, UNSTOCKED, Deployed, an_order, stock_received
from tests.local.processes import unique

STOCK_OF = "reserve-stock"
STATUS_OF = "order-status-placed"


def test_an_order_with_enough_stock_is_paid_and_confirmed(system: Deployed) -> None:
    sku, order = unique("mug"), unique("order")
    system.receives(stock_received(sku, 5))

    system.receives(an_order(order, lines=[(sku, 2)]))

    assert system.types(f"order/{order}") == CONFIRMED
    assert system.trace(f"order/{order}").waiting == 0
    assert system.pieces(sku) == (3, 2)
    assert system.row("stock", sku, of=STOCK_OF)["reserved"] == 0
    assert system.row("orders", order, of="place-order")["stage"] == "confirmed"
    assert system.row("order-status", order, of=STATUS_OF)["status"] == "confirmed"


def test_an_order_that_exceeds_the_stock_reserves_nothing(system: Deployed) -> None:
    sku, other, order = unique("mug"), unique("poster"), unique("order")
    system.receives(stock_received(sku, 1), stock_received(other, 10))

    system.receives(an_order(order, lines=[(sku, 2), (other, 1)]))

    assert system.types(f"order/{order}") == UNSTOCKED
    assert system.row("stock", sku, of=STOCK_OF)["available"] == 1
    assert system.row("stock", other, of=STOCK_OF)["available"] == 10
    status = system.row("order-status", order, of=STATUS_OF)
    assert (status["status"], status["cancellation_reason"]) == ("cancelled", "out_of_stock")
    assert status["missing"] == [sku]


def test_an_order_that_is_sent_twice_is_processed_once(system: Deployed) -> None:
    sku, order = unique("mug"), unique("order")
    system.receives(stock_received(sku, 5))
    twice = an_order(order, lines=[(sku, 2)], producer_id=unique("checkout"))

    first, second = system.sends(twice, twice)
    system.finishes(first)
    system.drains("admit")

    assert first == second
    assert system.types(f"order/{order}") == CONFIRMED
    assert system.row("stock", sku, of=STOCK_OF)["available"] == 3


def test_every_event_has_its_correlation_id_and_its_causation_id(system: Deployed) -> None:
    sku, order = unique("mug"), unique("order")
    system.receives(stock_received(sku, 5), an_order(order, lines=[(sku, 1)]))

    placed, outcome, *later = (step.event.metadata for step in system.trace(f"order/{order}").steps)

    assert placed.correlation_id == placed.id
    assert placed.causation_id is None
    assert outcome.correlation_id == placed.id
    assert outcome.causation_id == placed.id
    assert outcome.producer == "reserve-stock"
    assert {event.correlation_id for event in later} == {placed.id}
    assert {event.causation_id for event in later} <= {event.id for event in (outcome, *later)}


def test_streams_have_no_gaps_and_a_valid_hash_chain(system: Deployed) -> None:
    sku = unique("mug")
    for _ in range(3):
        system.receives(stock_received(sku, 1), stock_received(sku, 2))

    streams: dict[str, list[dict[str, Any]]] = {}
    for item in system.items(system.connection.names.store):
        streams.setdefault(item["stream"], []).append(item)

    assert len(streams[f"stock/{sku}"]) == 6
    for items in streams.values():
        items.sort(key=itemgetter("sequence"))
        assert [item["sequence"] for item in items] == list(range(1, len(items) + 1))
        previous, recorded_at = GENESIS, ""
        for item in items:
            metadata = Metadata(**{field.name: item[field.name] for field in fields(Metadata)})
            assert item["previous"] == previous
            assert item["hash"] == digest(metadata, item["data"], item["source"], previous, item["writer"])
            assert item["recorded_at"] >= recorded_at
            previous, recorded_at = item["hash"], item["recorded_at"]
