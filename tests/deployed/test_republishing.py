"""publish was stopped for longer than the change stream keeps changes: republish reads them from the journal."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from daybook.contracts import clock
from tests.deployed.deployed import Deployed, an_order, stock_received
from tests.deployed.test_commands import daybook
from tests.local.processes import unique, until


def test_events_that_the_change_stream_has_lost_reach_every_consumer_once(system: Deployed) -> None:
    sku = unique("mug")
    orders = [unique("order") for _ in range(5)]
    system.receives(stock_received(sku, 3))
    system.is_idle()
    stopped = clock.now()

    with without_change_stream(system):
        placed = system.sends(*(an_order(order, lines=[(sku, 1)]) for order in orders))
        until(lambda: all(system.log_messages("admit", each) for each in placed), what="the orders are in the store")

    assert not any(system.log_messages("publish", each) for each in placed)
    assert publish_again(system, since=stopped) == 5
    system.finishes(*placed)
    assert handled(system, orders)
    # A second time: the ledger recognizes the duplicates.
    assert publish_again(system, since=stopped) == sum(len(system.types(f"order/{order}")) for order in orders)
    until(
        lambda: all("duplicate" in system.log_messages("reserve-stock", each) for each in placed), what="all came twice"
    )
    system.finishes(*placed)
    assert handled(system, orders)
    assert system.pieces(sku) == (0, 3)


def test_an_operator_publishes_lost_events_with_a_command(system: Deployed) -> None:
    sku, order = unique("mug"), unique("order")
    system.receives(stock_received(sku, 1))
    system.is_idle()
    stopped = clock.now()
    with without_change_stream(system):
        (placed,) = system.sends(an_order(order, lines=[(sku, 1)]))
        until(lambda: system.log_messages("admit", placed), what="the order is in the store")

    preview = daybook(system, "publish", "--since", stopped)
    assert "1 event recorded from " in preview.stdout, preview.stderr
    assert not system.log_messages("publish", placed)

    applied = daybook(system, "publish", "--since", stopped, "--apply", "--json")
    system.finishes(placed)

    assert json.loads(applied.stdout)["published"] == 1, applied.stderr
    assert system.outcome(order) == ["StockReserved"]
    assert system.pieces(sku) == (0, 1)


def test_arguments_that_republish_cannot_parse_are_an_error(system: Deployed) -> None:
    answer = invoke(system, {"since": "yesterday", "until": clock.now()})

    assert answer["errorMessage"] == "since must be an RFC 3339 time with a time zone"


def handled(system: Deployed, orders: list[str]) -> bool:
    """Whether all consumers have processed all events of the orders. Checks that three of five orders are reserved."""
    outcomes = [system.outcome(order) for order in orders]
    assert sorted(outcomes) == [["OutOfStock"]] * 2 + [["StockReserved"]] * 3
    return all(system.trace(f"order/{order}").waiting == 0 for order in orders)


def publish_again(system: Deployed, *, since: str) -> int:
    """Publish all events since then, in as many calls as needed. Returns the number of published events."""
    published, until_, following = 0, clock.now(), since
    while following:
        answer = invoke(system, {"since": following, "until": until_})
        published, following = published + answer["published"], answer["next"]
    return published


def invoke(system: Deployed, request: Mapping[str, Any]) -> Any:
    """Invoke republish, and return its answer."""
    answer = system.cloud.client("lambda").invoke(
        FunctionName=system.connection.names.of("republish"), Payload=json.dumps(request)
    )
    return json.loads(answer["Payload"].read())


@contextmanager
def without_change_stream(system: Deployed) -> Iterator[None]:
    """In the block, publish receives no recorded events: its mapping is deleted, and later starts at new ones."""
    lambda_ = system.cloud.client("lambda")
    name = system.connection.names.of("publish")
    (mapping,) = lambda_.list_event_source_mappings(FunctionName=name)["EventSourceMappings"]
    lambda_.delete_event_source_mapping(UUID=mapping["UUID"])
    try:
        yield
    finally:
        kept = ("EventSourceArn", "BatchSize", "ParallelizationFactor")
        lambda_.create_event_source_mapping(
            FunctionName=name, StartingPosition="LATEST", **{key: mapping[key] for key in kept if key in mapping}
        )
