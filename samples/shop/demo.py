"""The shop: orders are placed, paid and sent, or are not; goods, money and letters add up.

Its samples may also say `outside`: calls that the payment provider fails, as `daybook.local.provider` names them;
`late`: the time to pay runs out; and `settles`: orders whose bank pays only after that.
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
from samples.shop.books import Books, Stock, stock


class Shop(Business):
    """A day in the shop. `shelf` is what goods there were before the first order."""

    name = "shop"
    success_message = "Goods, money and letters add up."
    further_reading = {
        "functions/inventory/reserve_stock.py": "the function that reserved the stock; its line: stacks/inventory.py",
        "functions/payments/charge_order.py": "the one that charged the customer, once",
        "events/orders.py": "what an order must look like",
    }
    example = Example(
        what="put goods on the shelf",
        sample="samples/shop/1-goods-arrive.json",
        source="shop.checkout",
        type=OrderPlaced.__name__,
        data={**OrderPlaced.example, "order_id": "7"},  # the numbers of the samples are theirs
        stream="order/7",
    )
    shelf: Stock = {}
    _faults: Sequence[Fault] = ()

    def phases(self) -> tuple[Phase, Phase, Phase]:
        """Goods come, orders come, and parcels leave."""
        return (
            Phase("putting goods on the shelf", self._morning),
            Phase("sending orders", self._noon),
            Phase("handing parcels over, and letting the time to pay run out", self._evening),
        )

    def summary(self) -> Summary:
        """The shelf, the orders with their money, and the mailbox, side by side with what their keepers say."""
        books = Books.of(self.system)
        return Summary(
            tables=[_goods(books, self.shelf), _orders(books), _mails(books)],
            problems=[*self._without_effect(), *books.problems(self.shelf)],
        )

    def _morning(self, driver: DemoDriver) -> None:
        driver.send(self.first.entries)

    def _noon(self, driver: DemoDriver) -> None:
        self.shelf = stock(self.system.connection)
        outside = [where for sample in self.samples for where in sample.own.get("outside", ())]
        self._faults = [Fault.unavailable(**where) for where in outside]
        driver.keep_until_idle(self.system.provider.inject(*self._faults))
        driver.send(entry for sample in self.samples if not sample.own.get("late") for entry in sample.entries)

    def _evening(self, driver: DemoDriver) -> None:
        late = [sample for sample in self.samples if sample.own.get("late")]
        driver.send(entry for sample in late for entry in sample.entries)
        driver.send(entry for sample in self.samples for entry in sample.then)
        driver.wait_for("OrderCancelled", (stream for sample in late for stream in sample.ends))
        for order in [order for sample in late for order in sample.own.get("settles", ())]:
            self.system.provider.settle(order)

    def _without_effect(self) -> Iterator[str]:
        """Faults that did not strike as often as told, so that nobody has seen what their sample is to show."""
        for fault in self._faults:
            times = self.system.provider.injected_count(fault)
            if times != fault.where.get("times", 1):
                yield f"the payment provider should have failed: {dict(fault.where)}; it failed {times} times"


def _goods(books: Books, before: Stock) -> Table:
    sold = books.sold()
    return table(
        "The shelf",
        ("article", "before", "available", "reserved", "sold"),
        (
            (sku, before[sku].available if sku in before else 0, row.available, row.reserved, sold[sku])
            for sku, row in books.stock.items()
        ),
        numbers=("before", "available", "reserved", "sold"),
    )


def _orders(books: Books) -> Table:
    rows = []
    for order, row in books.orders.items():
        currency = row.currency
        taken, back = (
            _money(sum(sums.values()), currency) for sums in (books.money.taken(order), books.money.returned(order))
        )
        why = (row.cancelled_because or "").replace("_", " ")
        rows.append((order, row.status, f"{_money(row.total, currency)} {currency}", taken, back, why))
    return table(
        "The orders, and what the payment provider's book says of them",
        ("order", "status", "total", "charged", "paid back", "why"),
        rows,
        numbers=("total", "charged", "paid back"),
    )


def _mails(books: Books) -> Table:
    return table("The mailbox", ("to", "subject"), ((", ".join(mail.to), mail.subject) for mail in books.mails))


def _money(amount: int, currency: str) -> str:
    digits = MINOR_UNIT_DIGITS[currency]
    return f"{Decimal(amount).scaleb(-digits):.{digits}f}"
