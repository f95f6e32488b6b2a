"""The row that decides about an order."""

from typing import Literal, Self

from daybook.consumers.failure import RetryLater
from daybook.consumers.work import Work
from daybook.contracts.values import Money
from daybook.store.state import State
from events.orders import CancellationReason, OrderCancelled, OrderPlaced, Purchase
from events.values import Address


class Order(State, table="orders", key="order_id"):
    """An order. Every decision that must be made only once about an order is made with this row."""

    order_id: str
    stage: Literal["unknown", "placed", "confirmed", "cancelled", "fulfilled"] = "unknown"
    purchase: Purchase | None = None
    ship_to: Address | None = None
    payment_id: str = ""
    paid: int = 0  # minor units
    refunds: dict[str, int] = {}  # minor units, by refund id: all that were requested and have not failed
    refunds_made: tuple[str, ...] = ()  # the ids of those that the provider has made
    refunds_failed: dict[str, int] = {}  # minor units, by refund id

    @classmethod
    def placed(cls, order: OrderPlaced) -> Self:
        """The row of an order that was just placed."""
        return cls(order_id=order.order_id, stage="placed", purchase=order.purchase, ship_to=order.ship_to)

    @property
    def known_purchase(self) -> Purchase:
        """Who ordered what. Raises RetryLater if `place_order` has not saved the order yet."""
        if self.purchase is None:
            raise RetryLater("the order is not saved yet")
        return self.purchase

    @property
    def refundable(self) -> Money:
        """The amount that was paid, less all refunds that were requested and have not failed."""
        return Money(amount=self.paid - sum(self.refunds.values()), currency=self.known_purchase.total.currency)

    @property
    def undecided(self) -> int:
        """The minor units of refunds that were requested, and may still fail before they are made."""
        return sum(amount for refund_id, amount in self.refunds.items() if refund_id not in self.refunds_made)


def cancel(work: Work, order_id: str, reason: CancellationReason, missing: tuple[str, ...] = ()) -> None:
    """Cancel an order that is neither confirmed nor cancelled. Raises RetryLater if it is not saved yet."""
    order = work.read(Order, order_id)
    purchase = order.known_purchase
    if order.stage == "placed":
        work.save(order.evolve(stage="cancelled"))
        work.emit(OrderCancelled(order_id=order_id, purchase=purchase, reason=reason, missing=missing))
