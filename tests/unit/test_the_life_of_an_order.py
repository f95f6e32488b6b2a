"""Whole orders, by whatever ways their events come: late, in reverse, twice. They all end well, and nothing is lost.

The money is in a bank of the test's own, which is called by effects like those of the payment provider.
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
from tests.unit.builders import Message, an_order, from_the_bus, recorded
from tests.unit.test_tries import later
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

# Which of so many waiting deliveries is next, and whether it comes once more.
Choice = Callable[[int], tuple[int, bool]]


@dataclass
class Bank:
    """Where the money is. It declines, if it is told to."""

    declines: bool
    balance: Counter[str] = field(default_factory=Counter)
    charged: Counter[str] = field(default_factory=Counter)
    paid_back: Counter[str] = field(default_factory=Counter)

    def effects(self) -> list[Consumer[Event]]:
        """What calls it."""

        def charge(stock: StockReserved, _: EffectRecord) -> PaymentSucceeded | PaymentFailed:
            if self.declines:
                return PaymentFailed(order_id=stock.order_id, reason="insufficient_funds")
            self.charged[stock.order_id] += 1
            self.balance[stock.order_id] += stock.total.amount
            return PaymentSucceeded(order_id=stock.order_id, payment_id="pi_1", amount=stock.total)

        def refund(asked: RefundRequested, _: EffectRecord) -> PaymentRefunded:
            self.paid_back[asked.order_id] += 1
            self.balance[asked.order_id] -= asked.amount.amount
            known = {name: getattr(asked, name) for name in ("order_id", "refund_id", "amount", "because", "customer")}
            return PaymentRefunded(**known, provider_id="re_1")

        charge.__module__, refund.__module__ = "functions.trials.charge", "functions.trials.refund"
        charges = effect(StockReserved, idempotency_key="charge/{order_id}", emits=(PaymentSucceeded, PaymentFailed))
        refunds = effect(RefundRequested, idempotency_key="refund/{order_id}/{refund_id}", emits=(PaymentRefunded,))
        return [charges(charge), refunds(refund)]  # type: ignore[list-item]


class Life:
    """The life of one order among all its consumers. Whatever is recorded goes to all that listen."""

    def __init__(self, world: World, bank: Bank, order: OrderPlaced, *, expires: bool) -> None:
        self._world = world
        self._consumers = [*_CONSUMERS, *bank.effects()]
        self._order = order.order_id
        self._seen: set[str] = set()
        self._waiting: list[tuple[Consumer[Event], Message]] = []
        placed = recorded(order)
        world.append(placed)
        self._spread()
        if expires:
            self._listen(recorded(PaymentWindowEnded(order_id=self._order), after=placed))

    def goes_on(self, choose: Choice) -> None:
        """Until nothing is left to deliver."""
        steps = iter(range(500))
        while self._waiting:
            assert next(steps, None) is not None, "it never ends"
            index, twice = choose(len(self._waiting))
            handler, message = self._waiting.pop(index)
            again = self._world.deliver(handler, message)
            self._waiting += [(handler, later(message)) for _ in again]
            if twice and not again:
                self._waiting.append((handler, Message(message.body)))
            self._spread()

    def sends(self, event: Event) -> None:
        """Someone outside tells of it."""
        self._world.append(recorded(event, after=self._world.stream(event.stream)[-1]))
        self._spread()

    def events(self) -> list[Event]:
        """All that was said of the order."""
        kinds = ("order", "reservation", "payment", "shipment")
        return [event for kind in kinds for event in self._world.events(f"{kind}/{self._order}")]

    def _spread(self) -> None:
        for kind in ("order", "reservation", "payment", "shipment"):
            for envelope in self._world.stream(f"{kind}/{self._order}"):
                if envelope.metadata.id not in self._seen:
                    self._seen.add(envelope.metadata.id)
                    self._listen(envelope)

    def _listen(self, envelope: Envelope) -> None:
        listening = [each for each in self._consumers if each.event_type.contract.type == envelope.metadata.type]
        self._waiting += [(each, Message(from_the_bus(envelope))) for each in listening]


def first(_: int) -> tuple[int, bool]:
    """Everything as it comes."""
    return 0, False


def last_and_twice() -> Choice:
    """The newest first, and everything once more, for a while."""
    repetitions = iter([True] * 20)
    turns = count()

    def choose(waiting: int) -> tuple[int, bool]:
        # What waits for another must let that one go first at some time.
        return (waiting - 1) if next(turns) % 3 else 0, next(repetitions, False)

    return choose


_numbers: Iterator[int] = count(1001)


def lives(world: World, choose: Choice, *, declines: bool, expires: bool, on_the_shelf: int) -> tuple[Life, Bank, str]:
    """An order of two mugs, from the beginning to the end."""
    number, bank = str(next(_numbers)), Bank(declines)
    world.put(StockItem(sku=f"mug-{number}", available=on_the_shelf))
    life = Life(world, bank, an_order(number, [(f"mug-{number}", 2)]), expires=expires)
    life.goes_on(choose)
    return life, bank, number


def all_is_well(world: World, life: Life, bank: Bank, number: str, on_the_shelf: int) -> None:
    """What holds for every order that has come to its end."""
    order, reservation = world.row(Order, number), world.row(Reservation, number)
    shelf, status = world.row(StockItem, f"mug-{number}"), world.row(OrderStatus, number)
    assert order
    assert reservation
    assert shelf
    assert status
    told = Counter(type(event) for event in life.events())
    # Confirmed, or cancelled: one of them, once, and everybody says so.
    assert told[OrderConfirmed] + told[OrderCancelled] == 1
    assert order.stage == ("confirmed" if told[OrderConfirmed] else "cancelled") == status.status
    # The money: ours if the order is confirmed; given back, in one piece, if not.
    assert bank.charged[number] <= 1
    assert bank.balance[number] == (2 * PRICE if told[OrderConfirmed] else 0)
    assert bank.paid_back[number] == (bank.charged[number] if told[OrderCancelled] else 0)
    assert told[RefundRequested] == told[PaymentRefunded] == bank.paid_back[number]
    assert status.refunded == bank.paid_back[number] * 2 * PRICE
    # The goods: gone with a confirmed order; back on the shelf with a cancelled one.
    assert reservation.stage == ("committed" if told[OrderConfirmed] else "released")
    assert (shelf.available, shelf.reserved) == (on_the_shelf - (2 if told[OrderConfirmed] else 0), 0)
    assert world.dead_letters() == []


WAYS = {
    "paid": ({"declines": False, "expires": False, "on_the_shelf": 5}, "confirmed"),
    "declined": ({"declines": True, "expires": False, "on_the_shelf": 5}, "cancelled"),
    "short": ({"declines": False, "expires": False, "on_the_shelf": 1}, "cancelled"),
}


@pytest.mark.parametrize("choose", [lambda: first, last_and_twice], ids=["in order", "reversed and twice"])
@pytest.mark.parametrize(("way", "end"), WAYS.values(), ids=WAYS)
def test_an_order_ends_alike_however_its_events_come(
    world: World, way: dict[str, int], end: str, choose: Callable[[], Choice]
) -> None:
    life, bank, number = lives(world, choose(), **way)  # type: ignore[arg-type]

    all_is_well(world, life, bank, number, way["on_the_shelf"])
    order = world.row(Order, number)
    assert order
    assert order.stage == end


def test_an_order_that_is_paid_and_expires_at_once_gives_the_money_back_or_is_confirmed(world: World) -> None:
    ends = set()
    for choose in (first, last_and_twice()):
        life, bank, number = lives(world, choose, declines=False, expires=True, on_the_shelf=5)
        all_is_well(world, life, bank, number, 5)
        order = world.row(Order, number)
        assert order
        ends.add((order.stage, bank.balance[number]))
    assert ends <= {("confirmed", 2 * PRICE), ("cancelled", 0)}


def test_a_confirmed_order_is_fulfilled_by_its_parcel(world: World) -> None:
    life, _, number = lives(world, first, declines=False, expires=False, on_the_shelf=5)

    life.sends(ShipmentDispatched(order_id=number, carrier="Royal Mail", tracking_number="RM1"))
    life.goes_on(last_and_twice())

    status = world.row(OrderStatus, number)
    assert status
    assert (status.status, status.tracking_number) == ("fulfilled", "RM1")


@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), declines=st.booleans(), expires=st.booleans(), on_the_shelf=st.integers(0, 3))
def test_in_whatever_order_all_is_delivered_every_order_ends_and_nothing_is_lost(
    world: World, data: st.DataObject, declines: bool, expires: bool, on_the_shelf: int
) -> None:
    repetitions = count()

    def choose(waiting: int) -> tuple[int, bool]:
        index = data.draw(st.integers(0, waiting - 1))
        return index, data.draw(st.booleans()) and next(repetitions) < 6

    life, bank, number = lives(world, choose, declines=declines, expires=expires, on_the_shelf=on_the_shelf)

    all_is_well(world, life, bank, number, on_the_shelf)
