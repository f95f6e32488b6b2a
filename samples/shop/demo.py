"""The demo of the shop: orders are placed, paid and sent, or cancelled. Stock, money and e-mails are consistent.

Its samples have three more fields: `provider_faults`, the calls that fail, in the form of `daybook.local.provider`;
`expires`, true if the time to pay ends; and `settles`, the orders whose bank pays after that.
"""

from collections.abc import Iterator, Sequence
from decimal import Decimal

from rich.table import Table

from daybook.contracts.values import MINOR_UNIT_DIGITS
from daybook.local.demo.business import Business, Example, Phase, Summary
from daybook.local.demo.driver import DemoDriver
from daybook.local.provider import Fault
from daybook.operate.drawing import table
from events.orders import OrderPlaced
from samples.shop.reconciliation import Snapshot, Stock, stock


class Shop(Business):
    """The demo of the shop. `initial_stock` is the stock before the first order."""

    name = "shop"
    success_message = "Stock, money and e-mails are consistent."
    further_reading = {
        "functions/inventory/reserve_stock.py": "reserves the stock; stacks/inventory.py deploys it",
        "functions/payments/charge_order.py": "charges the customer once",
        "events/orders.py": "the contract of an order",
    }
    example = Example(
        what="receive stock",
        sample="samples/shop/1-stock-arrives.json",
        source="shop.checkout",
        type=OrderPlaced.__name__,
        data={**OrderPlaced.example, "order_id": "7"},  # the samples use their own numbers
        stream="order/7",
    )
    initial_stock: Stock = {}
    _faults: Sequence[Fault] = ()

    def phases(self) -> tuple[Phase, Phase, Phase]:
        """Stock arrives, orders arrive, and shipments leave."""
        return (
            Phase("receiving stock", self._receive_stock),
            Phase("sending orders", self._send_orders),
            Phase("dispatching shipments, and waiting until the time to pay is over", self._send_follow_ups),
        )

    def summary(self) -> Summary:
        """The stock, the orders with their payments, the mailbox, and all inconsistencies."""
        end = Snapshot.of(self.system)
        return Summary(
            tables=[_stock(end, self.initial_stock), _orders(end), _mailbox(end)],
            problems=[*self._unused_faults(), *end.problems(self.initial_stock)],
        )

    def _receive_stock(self, driver: DemoDriver) -> None:
        driver.send(self.first.entries)

    def _send_orders(self, driver: DemoDriver) -> None:
        self.initial_stock = stock(self.system.connection)
        calls = [call for sample in self.samples for call in sample.own.get("provider_faults", ())]
        self._faults = [Fault.unavailable(**call) for call in calls]
        driver.keep_until_idle(self.system.provider.inject(*self._faults))
        driver.send(entry for sample in self.samples if not sample.own.get("expires") for entry in sample.entries)

    def _send_follow_ups(self, driver: DemoDriver) -> None:
        expiring = [sample for sample in self.samples if sample.own.get("expires")]
        driver.send(entry for sample in expiring for entry in sample.entries)
        driver.send(entry for sample in self.samples for entry in sample.then)
        driver.wait_for("OrderCancelled", (stream for sample in expiring for stream in sample.ends))
        for order in [order for sample in expiring for order in sample.own.get("settles", ())]:
            self.system.provider.settle(order)

    def _unused_faults(self) -> Iterator[str]:
        """Faults that were not injected as often as their sample says, so that the demo did not show them."""
        for fault in self._faults:
            times = self.system.provider.injected_count(fault)
            if times != fault.where.get("times", 1):
                yield f"the fault {dict(fault.where)} of the payment provider was injected {times} times"


def _stock(end: Snapshot, before: Stock) -> Table:
    sold = end.sold()
    return table(
        "The stock",
        ("article", "before", "available", "reserved", "sold"),
        (
            (sku, before[sku].available if sku in before else 0, row.available, row.reserved, sold[sku])
            for sku, row in end.stock.items()
        ),
        numbers=("before", "available", "reserved", "sold"),
    )


def _orders(end: Snapshot) -> Table:
    rows = []
    for order, row in end.orders.items():
        currency = row.currency
        charged, refunded = (
            _money(sum(amounts.values()), currency)
            for amounts in (end.provider.taken(order), end.provider.returned(order))
        )
        reason = (row.cancellation_reason or "").replace("_", " ")
        rows.append((order, row.status, f"{_money(row.total, currency)} {currency}", charged, refunded, reason))
    return table(
        "The orders, with their payments at the payment provider",
        ("order", "status", "total", "charged", "refunded", "reason"),
        rows,
        numbers=("total", "charged", "refunded"),
    )


def _mailbox(end: Snapshot) -> Table:
    return table("The mailbox", ("to", "subject"), ((", ".join(mail.to), mail.subject) for mail in end.mails))


def _money(amount: int, currency: str) -> str:
    digits = MINOR_UNIT_DIGITS[currency]
    return f"{Decimal(amount).scaleb(-digits):.{digits}f}"
