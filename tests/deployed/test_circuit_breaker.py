"""The circuit breaker in the deployed system: an outage of the payment provider costs few calls, and loses no order."""

import json
from typing import Any

from daybook.consumers.switch import Switch, Switches
from daybook.local.provider import ALWAYS, Fault
from daybook.runtime.mapping import Mappings
from daybook.store.ledger_keys import split
from tests.deployed.deployed import Deployed, an_order, stock_received
from tests.deployed.test_commands import daybook
from tests.local.processes import unique, until

CHARGE = "charge-order"


def test_an_outage_of_the_provider_disables_the_mapping_and_all_orders_are_paid_once_afterwards(
    system: Deployed,
) -> None:
    assert system.provider
    sku, orders = unique("mug"), [unique("order") for _ in range(20)]
    system.receives(stock_received(sku, 20))
    down = Fault.unavailable(operation="payment_intents.create", times=ALWAYS)

    with system.provider.inject(down):
        placed = system.sends(*[an_order(order, lines=[(sku, 1)]) for order in orders])
        until(lambda: switch(system).opened, what="the breaker opens")
        until(lambda: run_control_consumers(system) and states(system) == ["Disabled"], what="the mapping is off")
        # The other services have done their work.
        until(lambda: all(system.outcome(order) == ["StockReserved"] for order in orders), what="stock is reserved")
        called = system.provider.injected_count(down)
        run_control_consumers(system)
    # Without the breaker, each order would be tried several times. With it, not every order was tried once.
    assert called < len(orders)

    until(lambda: run_control_consumers(system) and not switch(system).opened, what="the breaker closes by itself")
    until(lambda: run_control_consumers(system) and states(system) == ["Enabled"], what="the mapping is on")
    system.finishes(*placed)

    for order in orders:
        assert system.provider.book().taken(order) == {"eur": 1250}
        assert "OrderConfirmed" in system.types(f"order/{order}")
    streams = {f"reservation/{order}" for order in orders}
    rows = [row for row in system.items(system.connection.names.ledger) if row.get("stream") in streams]
    charged = [row for row in rows if split(row["key"])[0] == CHARGE]
    assert {row["state"] for row in charged} == {"committed"}
    assert [row["failed_attempts"] for row in charged if row.get("failed_attempts")] == []


def test_a_paused_consumer_does_nothing_until_it_is_resumed_and_the_status_shows_it(system: Deployed) -> None:
    sku, order = unique("mug"), unique("order")
    system.receives(stock_received(sku, 1))
    assert daybook(system, "pause", CHARGE, "--reason", "a test", "--apply").returncode == 0

    run_control_consumers(system)
    (placed,) = system.sends(an_order(order, lines=[(sku, 1)]))
    until(lambda: status_of_charges(system)["waiting"] >= 1, what="the reservation waits to be paid")
    assert "paused" in status_of_charges(system)["needs"]
    assert status_of_charges(system)["mappings"] == ["Disabled"]
    assert daybook(system, "status", "--check").returncode == 1
    assert system.provider
    assert system.provider.book().taken(order) == {}

    assert daybook(system, "resume", CHARGE, "--apply").returncode == 0
    system.finishes(placed)
    assert system.provider.book().taken(order) == {"eur": 1250}
    assert status_of_charges(system)["paused"] is None


def status_of_charges(system: Deployed) -> dict[str, Any]:
    """The status of charge-order in `daybook status`."""
    found: dict[str, Any] = json.loads(daybook(system, "status", CHARGE, "--json").stdout)
    return found


def switch(system: Deployed) -> Switch:
    """The switch of charge-order."""
    return Switches(system.connection.dynamodb, system.connection.names.ledger).find(CHARGE)


def run_control_consumers(system: Deployed) -> bool:
    """Run control-consumers now, which otherwise runs each minute."""
    answer = system.cloud.client("lambda").invoke(FunctionName=system.connection.names.of("control-consumers"))
    assert "FunctionError" not in answer, answer["Payload"].read()
    return True


def states(system: Deployed) -> list[str]:
    """The states of the mappings of charge-order in Lambda."""
    mappings = Mappings(system.cloud.client("lambda"), system.connection.names)
    return [mapping.state for mapping in mappings.of(CHARGE)]
