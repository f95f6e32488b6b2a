"""The one row that decides about an order."""

from typing import Literal, Self

from daybook.consumers.failure import RetryLater
from daybook.consumers.work import Work
from daybook.contracts.values import Money
from daybook.store.state import State
from events.orders import CancelledBecause, OrderCancelled, OrderPlaced, Purchase
from events.values import Address


class Order(State, table="orders", key="order_id"):
    """Where an order stands. What must be decided once about it is decided on this row."""

    order_id: str
    stage: Literal["unknown", "placed", "confirmed", "cancelled", "fulfilled"] = "unknown"
    purchase: Purchase | None = None
    ship_to: Address | None = None
    payment_id: str = ""
    paid: int = 0  # minor units
    refunds: dict[str, int] = {}  # minor units, by refund id

    @classmethod
    def placed(cls, order: OrderPlaced) -> Self:
        """As it stands right after it was placed."""
        return cls(order_id=order.order_id, stage="placed", purchase=order.purchase, ship_to=order.ship_to)

    @property
    def bought(self) -> Purchase:
        """Who has ordered what. Raises RetryLater if that has not come here."""
        if self.purchase is None:
            msg = "the order is not known here yet"
            raise RetryLater(msg)
        return self.purchase

    @property
    def refundable(self) -> Money:
        """What was paid, and is neither paid back nor about to be."""
        return Money(amount=self.paid - sum(self.refunds.values()), currency=self.bought.total.currency)


def cancel(work: Work, order_id: str, because: CancelledBecause, missing: tuple[str, ...] = ()) -> None:
    """Cancel an order, unless it is decided already. Raises RetryLater if it is not known yet."""
    order = work.read(Order, order_id)
    bought = order.bought
    if order.stage != "placed":
        return
    work.save(order.evolve(stage="cancelled"))
    work.emit(OrderCancelled(order_id=order_id, purchase=bought, because=because, missing=missing))
