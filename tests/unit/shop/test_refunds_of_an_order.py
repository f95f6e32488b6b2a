"""Claims of refunds with their outcomes: the functions of orders and payments together, and the provider."""

from dataclasses import dataclass, field
from typing import Any

from daybook.consumers.consumer import Consumer
from daybook.contracts.contract import Event
from events.orders import OrderPlaced, RefundClaimed, RefundRequested
from events.payments import PaymentRefunded, PaymentSucceeded, RefundFailed
from functions.orders import confirm_order, grant_refund, place_order, release_refund, settle_refund
from functions.orders.order import Order
from functions.payments import refund_order
from tests.unit.builders import Message, from_the_bus, recorded
from tests.unit.shop.builders import money, order_data
from tests.unit.shop.payments import Payments
from tests.unit.test_effects import time_passes

CURRENCY = "KWD"
CONSUMERS: dict[type[Event], Consumer[Any]] = {
    RefundRequested: refund_order.handler,
    PaymentRefunded: settle_refund.handler,
    RefundFailed: release_refund.handler,
}


@dataclass
class ServiceDesk:
    """Claims refunds of an order that was paid with 1.230 KWD. All that follows from a claim is processed at once."""

    payments: Payments
    processed: set[str] = field(default_factory=set)
    waiting: list[Message] = field(default_factory=list)

    def __post_init__(self) -> None:
        world, number = self.payments.world, self.payments.order
        line = {"sku": "mug", "quantity": 1, "price": {"amount": 1230, "currency": CURRENCY}}
        order = OrderPlaced.model_validate(order_data(number) | {"lines": [line]})
        world.append(recorded(order))
        world.receive(place_order.handler, order)
        payment = self.payments.pay(1230, CURRENCY)
        world.receive(
            confirm_order.handler,
            PaymentSucceeded(order_id=number, payment_id=payment, amount=money(1230, CURRENCY)),
        )

    def claims(self, amount: int, refund_id: str) -> bool:
        """Claim a refund. Returns whether the claim is decided; if not, it is delivered again after the next one."""
        claim = RefundClaimed(order_id=self.payments.order, refund_id=refund_id, amount=money(amount, CURRENCY))
        self.waiting.append(Message(from_the_bus(recorded(claim))))
        self.waiting = self.payments.world.deliver(grant_refund.handler, *self.waiting)
        return not self.waiting

    def work(self) -> None:
        """Process all events that were not processed yet, then the claims that wait, until nothing more happens."""
        handlers = {event.__name__: handler for event, handler in CONSUMERS.items()}
        while new := [each for each in self.payments.world.recorded() if each.metadata.id not in self.processed]:
            self.processed |= {each.metadata.id for each in new}
            for each in new:
                if handler := handlers.get(each.metadata.type):
                    self.payments.world.deliver(handler, from_the_bus(each))
            time_passes(self.payments.world)
            if self.waiting:
                self.waiting = self.payments.world.deliver(grant_refund.handler, *self.waiting)

    @property
    def order(self) -> Order:
        row = self.payments.world.row(Order, self.payments.order)
        assert row is not None
        return row


def test_a_refused_amount_can_be_refunded_with_the_rest(payments: Payments) -> None:
    """5 fils cannot be refunded: the provider rounds to 10."""
    desk = ServiceDesk(payments)
    for amount, refund_id in ((5, "R-1"), (10, "R-2"), (1220, "R-3")):
        desk.claims(amount, refund_id)
        desk.work()

    assert payments.provider.book().kept(payments.order) == {"kwd": 0}
    assert desk.order.refunds == {"R-2": 10, "R-3": 1220}
    assert desk.order.refunds_failed == {"R-1": 5}
    assert payments.dead() == []


def test_a_claim_waits_for_the_outcome_of_an_earlier_one_that_may_fail(payments: Payments) -> None:
    desk = ServiceDesk(payments)
    desk.claims(5, "R-1")

    assert not desk.claims(1230, "R-2")
    desk.work()

    assert desk.waiting == []
    assert payments.provider.book().kept(payments.order) == {"kwd": 0}
    assert payments.dead() == []
