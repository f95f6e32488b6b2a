"""The circuit breaker in the deployed system: an outage of the payment provider costs calls of nobody, and no order."""

import json
from typing import Any

from daybook.consumers.switch import Switch, Switches
from daybook.local.provider import ALWAYS, Fault
from daybook.runtime.mapping import Mappings
from tests.deployed.deployed import Deployed, an_order, stock_received, unique
from tests.deployed.test_commands import daybook
from tests.local.processes import until

CHARGES = "charge-order"


def test_an_outage_of_the_provider_switches_its_consumer_off_and_all_is_paid_once_when_it_is_back(
    system: Deployed,
) -> None:
    assert system.provider
    sku, orders = unique("mug"), [unique("order") for _ in range(20)]
    system.receives(stock_received(sku, 20))
    down = Fault.unavailable(operation="payment_intents.create", times=ALWAYS)

    with system.provider.inject(down):
        placed = system.sends(*[an_order(order, lines=[(sku, 1)]) for order in orders])
        until(lambda: switch(system).opened, what="the breaker opens")
        until(lambda: switches(system) and states(system) == ["Disabled"], what="the mapping is off")
        # The other services have done what is theirs.
        until(lambda: all(system.outcome(order) == ["StockReserved"] for order in orders), what="goods are put aside")
        called = system.provider.injected_count(down)
        switches(system)
    # Each order would have been tried again and again; so not even all have asked once.
    assert called < len(orders)

    until(lambda: switches(system) and not switch(system).opened, what="the breaker closes by itself")
    until(lambda: switches(system) and states(system) == ["Enabled"], what="the mapping is on")
    system.finishes(*placed)

    for order in orders:
        assert system.provider.book().taken(order) == {"eur": 1250}
        assert "OrderConfirmed" in system.types(f"order/{order}")
    streams = {f"reservation/{order}" for order in orders}
    rows = [row for row in system.items(system.connection.names.ledger) if row.get("stream") in streams]
    assert {row["state"] for row in rows if row["consumer"] == CHARGES} == {"committed"}
    assert [row["tries"] for row in rows if row["consumer"] == CHARGES and row.get("tries")] == []


def test_a_consumer_that_is_paused_does_nothing_until_it_is_resumed_and_status_tells(system: Deployed) -> None:
    sku, order = unique("mug"), unique("order")
    system.receives(stock_received(sku, 1))
    assert daybook(system, "pause", CHARGES, "--reason", "a test", "--apply").returncode == 0

    switches(system)
    (placed,) = system.sends(an_order(order, lines=[(sku, 1)]))
    until(lambda: standing(system)["waiting"] >= 1, what="the reservation waits to be paid")
    assert "paused" in standing(system)["needs"]
    assert standing(system)["mappings"] == ["Disabled"]
    assert daybook(system, "status", "--check").returncode == 1
    assert system.provider
    assert system.provider.book().taken(order) == {}

    assert daybook(system, "resume", CHARGES, "--apply").returncode == 0
    system.finishes(placed)
    assert system.provider.book().taken(order) == {"eur": 1250}
    assert standing(system)["paused"] is None


def standing(system: Deployed) -> dict[str, Any]:
    """What `daybook status` says of who charges."""
    found: dict[str, Any] = json.loads(daybook(system, "status", CHARGES, "--json").stdout)
    return found


def switch(system: Deployed) -> Switch:
    """The switch of who charges."""
    return Switches(system.connection.dynamodb, system.connection.names.ledger).find(CHARGES)


def switches(system: Deployed) -> bool:
    """Let the mappings follow the switches now; the schedule would do so within the minute."""
    answer = system.cloud.client("lambda").invoke(FunctionName=system.connection.names.of("control-consumers"))
    assert "FunctionError" not in answer, answer["Payload"].read()
    return True


def states(system: Deployed) -> list[str]:
    """How the mappings of who charges are, as Lambda says."""
    mappings = Mappings(system.cloud.client("lambda"), system.connection.names)
    return [mapping.state for mapping in mappings.of(CHARGES)]
