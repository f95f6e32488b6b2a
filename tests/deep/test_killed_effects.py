"""Effects whose processes are killed before and after each call to AWS happen once."""

from collections.abc import Callable, Mapping
from typing import Any

from daybook.contracts.identity import admitted_id, emitted_id
from daybook.local.faults import Fault, Faults
from daybook.local.provider import Provider
from tests.deployed.deployed import CHECKOUT, CONFIRMED, Deployed, an_order, short_visibility_timeout, stock_received
from tests.deployed.shop.orders import ACCOUNT, CHARGE, REFUND, REFUNDED, SERVICE_DESK, a_refund_claim, charge_count
from tests.local.processes import unique

# The calls to AWS before and after which a process is killed during an effect, and what they also mention.
CALLS: Mapping[str, tuple[str, str]] = {
    "read the ledger": ("BatchGetItem", ""),
    "write the effect record": ("UpdateItem", "begun_at"),
    "record the payment's id": ("UpdateItem", "note_intent"),
    "commit": ("TransactWriteItems", ""),
}
DEATHS = [(when, call) for call in CALLS for when in ("before", "after")]
OF_A_REFUND = [(when, call) for when, call in DEATHS if call != "record the payment's id"]


def deaths_of(
    function: str, about: Mapping[str, tuple[str, str]], deaths: list[tuple[Any, str]]
) -> dict[tuple[str, str], Fault]:
    """One fault per order: `about` has each order's event, and its effect record, as calls mention them."""
    found = {}
    for (when, call), (event, attempt) in zip(deaths, about.values(), strict=True):
        operation, besides = CALLS[call]
        mentions = [attempt, besides] if operation == "UpdateItem" else [event]
        found[when, call] = Fault.death(when, function=function, operation=operation, mentions=mentions)
    return found


def test_a_process_killed_before_or_after_any_call_charges_each_customer_once(
    system: Deployed, faults: Faults, provider: Provider
) -> None:
    sku, orders = unique("mug"), [unique("order") for _ in DEATHS]
    system.receives(stock_received(sku, len(orders)))
    about = {order: (stock_reserved(order), f"charge-order#effect#charge/{order}") for order in orders}
    deaths = deaths_of(CHARGE, about, DEATHS)

    with (
        short_visibility_timeout(system, CHARGE, until_true=all_injected(faults, deaths)),
        faults.inject(*deaths.values()),
    ):
        system.receives(*(an_order(order, lines=[(sku, 1)], producer_id=order) for order in orders))

    assert {death: faults.injected_count(fault) for death, fault in deaths.items()} == dict.fromkeys(deaths, 1)
    assert [provider.book().taken(order) for order in orders] == [{"eur": 1250}] * len(orders)
    assert [charge_count(provider, order) for order in orders] == [1] * len(orders)
    assert [system.types(f"order/{order}") for order in orders] == [CONFIRMED] * len(orders)


def test_a_process_killed_before_or_after_any_call_refunds_once(
    system: Deployed, faults: Faults, provider: Provider
) -> None:
    sku, orders = unique("mug"), [unique("order") for _ in OF_A_REFUND]
    system.receives(stock_received(sku, len(orders)))
    system.receives(*(an_order(order, lines=[(sku, 1)]) for order in orders))
    about = {order: (refund_requested(order), f"refund-order#effect#refund/{order}/R-1") for order in orders}
    deaths = deaths_of(REFUND, about, OF_A_REFUND)

    with (
        short_visibility_timeout(system, REFUND, until_true=all_injected(faults, deaths)),
        faults.inject(*deaths.values()),
    ):
        system.receives(*(a_refund_claim(order, "R-1", 500, producer_id=order) for order in orders))

    assert {death: faults.injected_count(fault) for death, fault in deaths.items()} == dict.fromkeys(deaths, 1)
    assert [provider.book().returned(order) for order in orders] == [{"eur": 500}] * len(orders)
    assert [system.types(f"order/{order}") for order in orders] == [sorted([*CONFIRMED, *REFUNDED])] * len(orders)


def stock_reserved(order: str) -> str:
    """The id that StockReserved will have if the producer's id is the order's number."""
    return emitted_id(admitted_id(ACCOUNT, CHECKOUT, order), "reserve-stock", "StockReserved", 0)


def refund_requested(order: str) -> str:
    """The id that RefundRequested will have, likewise."""
    return emitted_id(admitted_id(ACCOUNT, SERVICE_DESK, order), "grant-refund", "RefundRequested", 0)


def all_injected(faults: Faults, deaths: Mapping[tuple[str, str], Fault]) -> Callable[[], bool]:
    return lambda: all(faults.injected_count(death) for death in deaths.values())
