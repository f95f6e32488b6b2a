"""Whole orders, with events in any order and with duplicates. Each ends consistently, and nothing is lost.

A bank in memory stands in for the payment provider. Effects of this test call it.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from daybook.consumers.consumer import Consumer
from daybook.consumers.effect import effect
from daybook.consumers.effect_records import EffectRecord
from daybook.contracts.contract import Event
from daybook.contracts.envelope import Envelope
from events.inventory import StockReserved
from events.orders import OrderCancelled, OrderConfirmed, OrderPlaced, PaymentWindowEnded, RefundRequested
from events.payments import PaymentFailed, PaymentRefunded, PaymentSucceeded
from events.shipping import ShipmentDispatched
from functions.inventory import commit_stock, release_stock, reserve_stock
from functions.inventory.stock import Reservation, StockItem
from functions.orders import (
    cancel_expired,
    cancel_unpaid,
    cancel_unstocked,
    complete_order,
    confirm_order,
    grant_refund,
    place_order,
)
from functions.orders.order import Order
from functions.orders.order_status import (
    OrderStatus,
    order_status_cancelled,
    order_status_confirmed,
    order_status_fulfilled,
    order_status_out_of_stock,
    order_status_placed,
    order_status_refunded,
    order_status_reserved,
)
from functions.shipping import prepare_shipment
from tests.unit.builders import Message, from_the_bus, recorded
from tests.unit.shop.builders import an_order
from tests.unit.test_delivery_attempts import later
from tests.unit.world import World

PRICE = 1250
_MODULES = (
    *(cancel_expired, cancel_unpaid, cancel_unstocked, commit_stock, complete_order, confirm_order, grant_refund),
    *(place_order, prepare_shipment, release_stock, reserve_stock),
)
_CONSUMERS: list[Consumer[Any]] = [
    *(module.handler for module in _MODULES),
    *(order_status_cancelled, order_status_confirmed, order_status_fulfilled, order_status_out_of_stock),
    *(order_status_placed, order_status_refunded, order_status_reserved),
]

# Given the number of waiting deliveries: the index of the next one, and whether it is delivered twice.
Choice = Callable[[int], tuple[int, bool]]


@dataclass
class Bank:
    """A bank that accepts all payments, or declines all."""

    declines: bool
    balance: Counter[str] = field(default_factory=Counter)
    charged: Counter[str] = field(default_factory=Counter)
    refunded: Counter[str] = field(default_factory=Counter)

    def effects(self) -> list[Consumer[Event]]:
        """The effects that call the bank."""

        def charge(stock: StockReserved, _: EffectRecord) -> PaymentSucceeded | PaymentFailed:
            if self.declines:
                return PaymentFailed(order_id=stock.order_id, reason="insufficient_funds")
            self.charged[stock.order_id] += 1
            self.balance[stock.order_id] += stock.total.amount
            return PaymentSucceeded(order_id=stock.order_id, payment_id="pi_1", amount=stock.total)

        def refund(request: RefundRequested, _: EffectRecord) -> PaymentRefunded:
            self.refunded[request.order_id] += 1
            self.balance[request.order_id] -= request.amount.amount
            names = ("order_id", "refund_id", "amount", "reason", "customer")
            fields = {name: getattr(request, name) for name in names}
            return PaymentRefunded(**fields, provider_id="re_1")

        charge.__module__, refund.__module__ = "functions.trials.charge", "functions.trials.refund"
        charges = effect(StockReserved, idempotency_key="charge/{order_id}", emits=(PaymentSucceeded, PaymentFailed))
        refunds = effect(RefundRequested, idempotency_key="refund/{order_id}/{refund_id}", emits=(PaymentRefunded,))
        return [charges(charge), refunds(refund)]  # type: ignore[list-item]


class OrderRun:
    """One order with all consumers. Each recorded event is delivered to all consumers that subscribe to it."""

    def __init__(self, world: World, bank: Bank, order: OrderPlaced, *, expires: bool) -> None:
        self._world = world
        self._consumers = [*_CONSUMERS, *bank.effects()]
        self._order = order.order_id
        self._seen: set[str] = set()
        self._waiting: list[tuple[Consumer[Event], Message]] = []
        placed = recorded(order)
        world.append(placed)
        self._deliver_new()
        if expires:
            self._add_deliveries(recorded(PaymentWindowEnded(order_id=self._order), after=placed))

    def finish(self, choose: Choice) -> None:
        """Deliver until no delivery is waiting."""
        steps = iter(range(500))
        while self._waiting:
            assert next(steps, None) is not None, "deliveries are still waiting after 500 steps"
            index, twice = choose(len(self._waiting))
            handler, message = self._waiting.pop(index)
            retried = self._world.deliver(handler, message)
            self._waiting += [(handler, later(message)) for _ in retried]
            if twice and not retried:
                self._waiting.append((handler, Message(message.body)))
            self._deliver_new()

    def send(self, event: Event) -> None:
        """Record an event of an external source."""
        self._world.append(recorded(event, after=self._world.stream(event.stream)[-1]))
        self._deliver_new()

    def events(self) -> list[Event]:
        """All events of the order."""
        kinds = ("order", "reservation", "payment", "shipment")
        return [event for kind in kinds for event in self._world.events(f"{kind}/{self._order}")]

    def _deliver_new(self) -> None:
        for kind in ("order", "reservation", "payment", "shipment"):
            for envelope in self._world.stream(f"{kind}/{self._order}"):
                if envelope.metadata.id not in self._seen:
                    self._seen.add(envelope.metadata.id)
                    self._add_deliveries(envelope)

    def _add_deliveries(self, envelope: Envelope) -> None:
        subscribed = [each for each in self._consumers if each.event_type.contract.type == envelope.metadata.type]
        self._waiting += [(each, Message(from_the_bus(envelope))) for each in subscribed]


def first(_: int) -> tuple[int, bool]:
    """In order of arrival, without duplicates."""
    return 0, False


def last_and_twice() -> Choice:
    """The newest delivery first, and the first 20 of them twice."""
    duplicates = iter([True] * 20)
    turns = count()

    def choose(waiting: int) -> tuple[int, bool]:
        # An older delivery must get its turn, because newer ones may depend on it.
        return (waiting - 1) if next(turns) % 3 else 0, next(duplicates, False)

    return choose


_numbers: Iterator[int] = count(1001)


def run_order(
    world: World, choose: Choice, *, declines: bool, expires: bool, available: int
) -> tuple[OrderRun, Bank, str]:
    """Run an order of two mugs from its first event to its last."""
    number, bank = str(next(_numbers)), Bank(declines)
    world.put(StockItem(sku=f"mug-{number}", available=available))
    run = OrderRun(world, bank, an_order(number, [(f"mug-{number}", 2)]), expires=expires)
    run.finish(choose)
    return run, bank, number


def assert_consistent(world: World, run: OrderRun, bank: Bank, number: str, available: int) -> None:
    """Check the rows, the money and the stock of an order without waiting deliveries."""
    order, reservation = world.row(Order, number), world.row(Reservation, number)
    stock, status = world.row(StockItem, f"mug-{number}"), world.row(OrderStatus, number)
    assert order
    assert reservation
    assert stock
    assert status
    emitted = Counter(type(event) for event in run.events())
    # The order is either confirmed or cancelled, once, and both rows agree.
    assert emitted[OrderConfirmed] + emitted[OrderCancelled] == 1
    assert order.stage == ("confirmed" if emitted[OrderConfirmed] else "cancelled") == status.status
    # The shop has the money of a confirmed order. The money of a cancelled order is refunded once.
    assert bank.charged[number] <= 1
    assert bank.balance[number] == (2 * PRICE if emitted[OrderConfirmed] else 0)
    assert bank.refunded[number] == (bank.charged[number] if emitted[OrderCancelled] else 0)
    assert emitted[RefundRequested] == emitted[PaymentRefunded] == bank.refunded[number]
    assert status.refunded == bank.refunded[number] * 2 * PRICE
    # The pieces of a confirmed order have left the stock. The pieces of a cancelled order are available.
    assert reservation.stage == ("committed" if emitted[OrderConfirmed] else "released")
    assert (stock.available, stock.reserved) == (available - (2 if emitted[OrderConfirmed] else 0), 0)
    assert world.dead_letters() == []


CASES = {
    "paid": ({"declines": False, "expires": False, "available": 5}, "confirmed"),
    "declined": ({"declines": True, "expires": False, "available": 5}, "cancelled"),
    "out of stock": ({"declines": False, "expires": False, "available": 1}, "cancelled"),
}


@pytest.mark.parametrize("choose", [lambda: first, last_and_twice], ids=["in order", "reversed with duplicates"])
@pytest.mark.parametrize(("case", "end"), CASES.values(), ids=CASES)
def test_an_order_ends_the_same_in_any_order_of_events(
    world: World, case: dict[str, int], end: str, choose: Callable[[], Choice]
) -> None:
    run, bank, number = run_order(world, choose(), **case)  # type: ignore[arg-type]

    assert_consistent(world, run, bank, number, case["available"])
    order = world.row(Order, number)
    assert order
    assert order.stage == end


def test_an_order_that_is_paid_when_it_expires_is_confirmed_or_refunded(world: World) -> None:
    ends = set()
    for choose in (first, last_and_twice()):
        run, bank, number = run_order(world, choose, declines=False, expires=True, available=5)
        assert_consistent(world, run, bank, number, 5)
        order = world.row(Order, number)
        assert order
        ends.add((order.stage, bank.balance[number]))
    assert ends <= {("confirmed", 2 * PRICE), ("cancelled", 0)}


def test_a_confirmed_order_is_fulfilled_by_its_shipment(world: World) -> None:
    run, _, number = run_order(world, first, declines=False, expires=False, available=5)

    run.send(ShipmentDispatched(order_id=number, carrier="Royal Mail", tracking_number="RM1"))
    run.finish(last_and_twice())

    status = world.row(OrderStatus, number)
    assert status
    assert (status.status, status.tracking_number) == ("fulfilled", "RM1")


@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), declines=st.booleans(), expires=st.booleans(), available=st.integers(0, 3))
def test_in_any_order_of_deliveries_every_order_ends_and_nothing_is_lost(
    world: World, data: st.DataObject, declines: bool, expires: bool, available: int
) -> None:
    duplicates = count()

    def choose(waiting: int) -> tuple[int, bool]:
        index = data.draw(st.integers(0, waiting - 1))
        return index, data.draw(st.booleans()) and next(duplicates) < 6

    run, bank, number = run_order(world, choose, declines=declines, expires=expires, available=available)

    assert_consistent(world, run, bank, number, available)
