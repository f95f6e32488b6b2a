"""Orders: one row decides. Each function against each stage of that row: what it saves, what it says."""

from datetime import timedelta
from typing import Any

import pytest

from daybook.contracts import clock
from daybook.contracts.contract import Event
from events.orders import OrderFulfilled, RefundRequested
from events.shipping import ShipmentRequested
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
from functions.shipping import prepare_shipment
from tests.unit.builders import (
    Message,
    a_cancellation,
    a_confirmation,
    a_failed_payment,
    a_fulfilment,
    a_parcel,
    a_payment,
    a_refund,
    a_shortage,
    a_wish_for_money,
    an_ended_window,
    an_order,
    from_the_bus,
    recorded,
)
from tests.unit.world import Handler, World, errors

SHIP_TO = {"lines": ["12 St James's Square"], "postal_code": "SW1Y 4JH", "city": "London", "country": "GB"}
ORDER = an_order(ship_to=SHIP_TO)

PLACED = Order.placed(ORDER)
CANCELLED = PLACED.evolve(stage="cancelled")
PAID = PLACED.evolve(payment_id="pi_1", paid=1250)
CONFIRMED = PAID.evolve(stage="confirmed")
FULFILLED = CONFIRMED.evolve(stage="fulfilled")
PAID_BACK = PAID.evolve(stage="cancelled", refunds={"cancelled": 1250})

WAITS, REJECTED = "waits", "rejected"
NOTHING: tuple[Order | None, list[Event]] = (None, [])

# What becomes of the row, if it is written, and what is said; or what becomes of the delivery.
Then = tuple[Order | None, list[Event]] | str
REFUND_ALL = a_refund(1250, "cancelled", because="paid_after_cancellation")


def cancels(because: Any, missing: tuple[str, ...] = ()) -> Then:
    return CANCELLED, [a_cancellation(ORDER, because, missing)]


CASES: dict[str, tuple[Handler, Event, list[tuple[Order | None, Then]]]] = {
    "a payment": (
        confirm_order.handler,
        a_payment(),
        [
            (None, WAITS),
            (PLACED, (CONFIRMED, [a_confirmation(ORDER)])),
            (CONFIRMED, NOTHING),
            (CANCELLED, (PAID_BACK, [REFUND_ALL])),
            (FULFILLED, NOTHING),
        ],
    ),
    "a payment of nothing": (
        confirm_order.handler,
        a_payment(amount=0),
        [
            (PLACED, (CONFIRMED.evolve(paid=0), [a_confirmation(ORDER)])),
            (CANCELLED, NOTHING),
        ],
    ),
    "a failed payment": (
        cancel_unpaid.handler,
        a_failed_payment(),
        [
            (None, WAITS),
            (PLACED, cancels("payment_failed")),
            (CONFIRMED, NOTHING),
            (CANCELLED, NOTHING),
            (FULFILLED, NOTHING),
        ],
    ),
    "a shortage": (
        cancel_unstocked.handler,
        a_shortage(),
        [
            (None, WAITS),
            (PLACED, cancels("out_of_stock", ("mug",))),
            (CONFIRMED, NOTHING),
            (CANCELLED, NOTHING),
            (FULFILLED, NOTHING),
        ],
    ),
    "a payment that came to nothing in time": (
        cancel_unpaid.handler,
        a_failed_payment(reason="not_paid_in_time"),
        [(PLACED, cancels("not_paid_in_time")), (CONFIRMED, NOTHING), (CANCELLED, NOTHING), (FULFILLED, NOTHING)],
    ),
    "an ended window": (
        cancel_expired.handler,
        an_ended_window(),
        [
            (None, WAITS),
            (PLACED, cancels("not_paid_in_time")),
            (CONFIRMED, NOTHING),
            (CANCELLED, NOTHING),
            (FULFILLED, NOTHING),
        ],
    ),
    "a parcel": (
        complete_order.handler,
        a_parcel(),
        [
            (None, WAITS),
            (PLACED, WAITS),
            (CONFIRMED, (FULFILLED, [a_fulfilment(ORDER)])),
            (CANCELLED, REJECTED),
            (FULFILLED, NOTHING),
        ],
    ),
    "a wish for money": (
        grant_refund.handler,
        a_wish_for_money(500),
        [
            (None, WAITS),
            (PLACED, WAITS),
            (CONFIRMED, (CONFIRMED.evolve(refunds={"R-1": 500}), [a_refund(500)])),
            (CANCELLED, REJECTED),
            (PAID_BACK, REJECTED),
            (FULFILLED, (FULFILLED.evolve(refunds={"R-1": 500}), [a_refund(500)])),
        ],
    ),
}
EACH = [
    pytest.param(handler, event, row, then, id=f"{name}, order {row.stage if row else 'unknown'}-{number}")
    for name, (handler, event, stages) in CASES.items()
    for number, (row, then) in enumerate(stages)
]


@pytest.fixture
def opened(world: World) -> World:
    """The world, with what opened the order's stream."""
    world.append(recorded(ORDER))
    return world


def said(world: World) -> list[Event]:
    """What was said of the order since it was placed."""
    return world.events("order/1001")[1:]


@pytest.mark.parametrize(("handler", "event", "row", "then"), EACH)
def test_what_an_event_does_to_an_order(
    opened: World, handler: Handler, event: Event, row: Order | None, then: Then
) -> None:
    if row:
        opened.put(row)
    message = Message(from_the_bus(recorded(event)))

    again = opened.deliver(handler, message)

    saved, told = then if isinstance(then, tuple) else NOTHING
    assert again == ([message] if then == WAITS else [])
    assert errors(opened.dead_letters()) == (["NonRetryable"] if then == REJECTED else [])
    assert opened.row(Order, "1001") == (saved or row)
    assert said(opened) == told


@pytest.mark.parametrize(("handler", "event", "row", "then"), EACH)
def test_an_event_that_is_told_twice_does_nothing_more(
    opened: World, handler: Handler, event: Event, row: Order | None, then: Then
) -> None:
    del then
    if row:
        opened.put(row)
    opened.deliver(handler, from_the_bus(recorded(event)))
    before = (opened.row(Order, "1001"), said(opened))

    opened.deliver(handler, from_the_bus(recorded(event)))

    assert (opened.row(Order, "1001"), said(opened)) == before


def test_a_placed_order_is_waited_for_as_long_as_it_says_from_its_recording(world: World) -> None:
    (placed,) = world.receive(place_order.handler, an_order(pay_within=600))

    (timer,) = world.items("due")
    assert timer["type"] == "PaymentWindowEnded"
    assert clock.moment(timer["time"]) == clock.moment(placed.metadata.recorded_at) + timedelta(seconds=600)


def test_of_a_confirmed_order_the_goods_are_sent(world: World) -> None:
    world.receive(prepare_shipment.handler, a_confirmation(ORDER))

    wanted = {"recipient": ORDER.customer, "lines": ORDER.lines, "ship_to": ORDER.ship_to}
    assert world.events("shipment/1001") == [ShipmentRequested(order_id="1001", **wanted)]


def test_a_second_parcel_is_no_second_fulfilment(opened: World) -> None:
    opened.put(CONFIRMED)

    opened.receive(complete_order.handler, a_parcel(), a_parcel())

    assert [type(event) for event in said(opened)] == [OrderFulfilled]


# --- refunds ----------------------------------------------------------------------------------------------------------


def refunds(world: World) -> list[tuple[str, int]]:
    return [(event.refund_id, event.amount.amount) for event in said(world) if isinstance(event, RefundRequested)]


def test_one_refund_that_is_asked_for_twice_is_granted_once(opened: World) -> None:
    opened.put(CONFIRMED)

    opened.receive(grant_refund.handler, a_wish_for_money(500), a_wish_for_money(500))

    assert refunds(opened) == [("R-1", 500)]
    assert opened.dead_letters() == []


def test_several_refunds_are_granted_up_to_what_was_paid(opened: World) -> None:
    opened.put(CONFIRMED)

    opened.receive(grant_refund.handler, a_wish_for_money(500, "R-1"), a_wish_for_money(750, "R-2"))
    opened.deliver(grant_refund.handler, from_the_bus(recorded(a_wish_for_money(1, "R-3"))))

    assert refunds(opened) == [("R-1", 500), ("R-2", 750)]
    assert errors(opened.dead_letters()) == ["NonRetryable"]


def test_a_refund_that_is_asked_for_again_is_no_error_when_nothing_is_left(opened: World) -> None:
    opened.put(CONFIRMED)

    opened.receive(grant_refund.handler, a_wish_for_money(1250), a_wish_for_money(1250))

    assert refunds(opened) == [("R-1", 1250)]
    assert opened.dead_letters() == []


@pytest.mark.parametrize(
    ("wish", "reason"),
    [
        (a_wish_for_money(501), "granted before, with another amount"),
        (a_wish_for_money(500, "R-2", "USD"), "paid in EUR"),
        (a_wish_for_money(751, "R-2"), "750 minor units of EUR can be paid back"),
        (a_wish_for_money(0, "R-2"), "750 minor units of EUR can be paid back"),
    ],
    ids=["the same id with another amount", "another currency", "more than is left", "nothing"],
)
def test_a_refund_that_cannot_be_is_rejected(opened: World, wish: Event, reason: str) -> None:
    opened.put(CONFIRMED)
    opened.receive(grant_refund.handler, a_wish_for_money(500))

    assert opened.deliver(grant_refund.handler, from_the_bus(recorded(wish))) == []

    (dead,) = opened.dead_letters()
    assert dead.error == "NonRetryable"
    assert reason in dead.attributes["reason"]
    assert refunds(opened) == [("R-1", 500)]


def test_the_same_id_in_another_currency_is_another_refund_and_rejected(opened: World) -> None:
    opened.put(CONFIRMED)
    opened.receive(grant_refund.handler, a_wish_for_money(500))

    opened.deliver(grant_refund.handler, from_the_bus(recorded(a_wish_for_money(500, currency="USD"))))

    assert errors(opened.dead_letters()) == ["NonRetryable"]


def test_an_order_that_was_cancelled_unpaid_has_nothing_to_pay_back(opened: World) -> None:
    opened.put(CANCELLED)

    opened.deliver(grant_refund.handler, from_the_bus(recorded(a_wish_for_money(1))))

    (dead,) = opened.dead_letters()
    assert "0 minor units of EUR" in dead.attributes["reason"]


def test_what_the_service_desk_calls_like_the_shops_own_refund_is_paid_back_once(opened: World) -> None:
    opened.put(CANCELLED)
    opened.receive(confirm_order.handler, a_payment())

    opened.receive(grant_refund.handler, a_wish_for_money(1250, "cancelled"))

    assert refunds(opened) == [("cancelled", 1250)]
