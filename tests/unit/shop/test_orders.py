"""Orders: what each function saves and emits at each stage of an order."""

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
    release_refund,
    settle_refund,
)
from functions.orders.order import Order
from functions.orders.order_status import OrderStatus, order_status_refund_failed, order_status_refunded
from functions.shipping import prepare_shipment
from tests.unit.builders import Message, from_the_bus, recorded
from tests.unit.shop.builders import (
    a_cancellation,
    a_confirmation,
    a_dispatched_shipment,
    a_failed_payment,
    a_failed_refund,
    a_fulfilment,
    a_payment,
    a_refund,
    a_refund_claim,
    a_refund_request,
    a_shortage,
    an_ended_payment_window,
    an_order,
)
from tests.unit.world import Handler, World, errors

SHIP_TO = {"lines": ["12 St James's Square"], "postal_code": "SW1Y 4JH", "city": "London", "country": "GB"}
ORDER = an_order(ship_to=SHIP_TO)

PLACED = Order.placed(ORDER)
CANCELLED = PLACED.evolve(stage="cancelled")
PAID = PLACED.evolve(payment_id="pi_1", paid=1250)
CONFIRMED = PAID.evolve(stage="confirmed")
FULFILLED = CONFIRMED.evolve(stage="fulfilled")
CLAIMED = CONFIRMED.evolve(refunds={"R-1": 500})
MADE = CLAIMED.evolve(refunds_made=("R-1",))
FAILED = CONFIRMED.evolve(refunds_failed={"R-1": 500})
REFUNDED = PAID.evolve(stage="cancelled", refunds={"cancelled": 1250})

RETRIED, DEAD = "retried", "dead"
NOTHING: tuple[Order | None, list[Event]] = (None, [])

# The row that is saved, if any, and the events that are emitted; or what happens to the delivery.
Expected = tuple[Order | None, list[Event]] | str
FULL_REFUND = a_refund_request(1250, "cancelled", reason="paid_after_cancellation")


def cancels(reason: Any, missing: tuple[str, ...] = ()) -> Expected:
    return CANCELLED, [a_cancellation(ORDER, reason, missing)]


CASES: dict[str, tuple[Handler, Event, list[tuple[Order | None, Expected]]]] = {
    "a payment": (
        confirm_order.handler,
        a_payment(),
        [
            (None, RETRIED),
            (PLACED, (CONFIRMED, [a_confirmation(ORDER)])),
            (CONFIRMED, NOTHING),
            (CANCELLED, (REFUNDED, [FULL_REFUND])),
            (FULFILLED, NOTHING),
        ],
    ),
    "a payment of a free order": (
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
            (None, RETRIED),
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
            (None, RETRIED),
            (PLACED, cancels("out_of_stock", ("mug",))),
            (CONFIRMED, NOTHING),
            (CANCELLED, NOTHING),
            (FULFILLED, NOTHING),
        ],
    ),
    "a payment that did not succeed in time": (
        cancel_unpaid.handler,
        a_failed_payment(reason="not_paid_in_time"),
        [(PLACED, cancels("not_paid_in_time")), (CONFIRMED, NOTHING), (CANCELLED, NOTHING), (FULFILLED, NOTHING)],
    ),
    "an ended payment window": (
        cancel_expired.handler,
        an_ended_payment_window(),
        [
            (None, RETRIED),
            (PLACED, cancels("not_paid_in_time")),
            (CONFIRMED, NOTHING),
            (CANCELLED, NOTHING),
            (FULFILLED, NOTHING),
        ],
    ),
    "a dispatched shipment": (
        complete_order.handler,
        a_dispatched_shipment(),
        [
            (None, RETRIED),
            (PLACED, RETRIED),
            (CONFIRMED, (FULFILLED, [a_fulfilment(ORDER)])),
            (CANCELLED, DEAD),
            (FULFILLED, NOTHING),
        ],
    ),
    "a refund claim": (
        grant_refund.handler,
        a_refund_claim(500),
        [
            (None, RETRIED),
            (PLACED, RETRIED),
            (CONFIRMED, (CONFIRMED.evolve(refunds={"R-1": 500}), [a_refund_request(500)])),
            (CANCELLED, DEAD),
            (REFUNDED, RETRIED),
            (REFUNDED.evolve(refunds_made=("cancelled",)), DEAD),
            (FULFILLED, (FULFILLED.evolve(refunds={"R-1": 500}), [a_refund_request(500)])),
        ],
    ),
    "a refund that was made": (
        settle_refund.handler,
        a_refund(500),
        [(CLAIMED, (MADE, [])), (MADE, NOTHING), (FAILED, NOTHING), (None, NOTHING)],
    ),
    "a refund that failed": (
        release_refund.handler,
        a_failed_refund(500),
        [(CLAIMED, (FAILED, [])), (MADE, (FAILED, [])), (FAILED, NOTHING), (None, NOTHING)],
    ),
    "a claim with the id of a refund that failed": (grant_refund.handler, a_refund_claim(500), [(FAILED, DEAD)]),
    "a claim with a new id after a refund that failed": (
        grant_refund.handler,
        a_refund_claim(1250, "R-2"),
        [(FAILED, (FAILED.evolve(refunds={"R-2": 1250}), [a_refund_request(1250, "R-2")]))],
    ),
    "a claim of an amount that an undecided refund still holds": (
        grant_refund.handler,
        a_refund_claim(1250, "R-2"),
        [(CLAIMED, RETRIED), (MADE, DEAD)],
    ),
    "a late payment whose refund has failed": (
        confirm_order.handler,
        a_payment(),
        [(CANCELLED.evolve(refunds_failed={"cancelled": 1250}), NOTHING)],
    ),
}
EACH = [
    pytest.param(handler, event, row, expected, id=f"{name}, order {row.stage if row else 'unknown'}-{number}")
    for name, (handler, event, stages) in CASES.items()
    for number, (row, expected) in enumerate(stages)
]


@pytest.fixture
def opened(world: World) -> World:
    """The world, after the order was placed."""
    world.append(recorded(ORDER))
    return world


def emitted(world: World) -> list[Event]:
    """The events of the order after it was placed."""
    return world.events("order/1001")[1:]


@pytest.mark.parametrize(("handler", "event", "row", "expected"), EACH)
def test_each_event_has_its_effect_at_each_stage_of_an_order(
    opened: World, handler: Handler, event: Event, row: Order | None, expected: Expected
) -> None:
    if row:
        opened.put(row)
    message = Message(from_the_bus(recorded(event)))

    again = opened.deliver(handler, message)

    saved, events = expected if isinstance(expected, tuple) else NOTHING
    assert again == ([message] if expected == RETRIED else [])
    assert errors(opened.dead_letters()) == (["NonRetryable"] if expected == DEAD else [])
    assert opened.row(Order, "1001") == (saved or row)
    assert emitted(opened) == events


@pytest.mark.parametrize(("handler", "event", "row", "expected"), EACH)
def test_a_second_event_with_the_same_data_changes_nothing(
    opened: World, handler: Handler, event: Event, row: Order | None, expected: Expected
) -> None:
    del expected
    if row:
        opened.put(row)
    opened.deliver(handler, from_the_bus(recorded(event)))
    before = (opened.row(Order, "1001"), emitted(opened))

    opened.deliver(handler, from_the_bus(recorded(event)))

    assert (opened.row(Order, "1001"), emitted(opened)) == before


def test_the_time_to_pay_starts_when_the_order_is_recorded(world: World) -> None:
    (placed,) = world.receive(place_order.handler, an_order(pay_within=600))

    (timer,) = world.items("due")
    assert timer["type"] == "PaymentWindowEnded"
    assert clock.moment(timer["time"]) == clock.moment(placed.metadata.recorded_at) + timedelta(seconds=600)


def test_a_confirmed_order_is_sent(world: World) -> None:
    world.receive(prepare_shipment.handler, a_confirmation(ORDER))

    expected = {"recipient": ORDER.customer, "lines": ORDER.lines, "ship_to": ORDER.ship_to}
    assert world.events("shipment/1001") == [ShipmentRequested(order_id="1001", **expected)]


def test_a_second_shipment_does_not_fulfil_the_order_again(opened: World) -> None:
    opened.put(CONFIRMED)

    opened.receive(complete_order.handler, a_dispatched_shipment(), a_dispatched_shipment())

    assert [type(event) for event in emitted(opened)] == [OrderFulfilled]


# --- refunds ----------------------------------------------------------------------------------------------------------


def refunds(world: World) -> list[tuple[str, int]]:
    return [(event.refund_id, event.amount.amount) for event in emitted(world) if isinstance(event, RefundRequested)]


def test_a_refund_that_is_claimed_twice_is_granted_once(opened: World) -> None:
    opened.put(CONFIRMED)

    opened.receive(grant_refund.handler, a_refund_claim(500), a_refund_claim(500))

    assert refunds(opened) == [("R-1", 500)]
    assert opened.dead_letters() == []


def test_several_refunds_are_granted_up_to_the_amount_paid(opened: World) -> None:
    opened.put(CONFIRMED)

    opened.receive(grant_refund.handler, a_refund_claim(500, "R-1"), a_refund_claim(750, "R-2"))
    opened.receive(settle_refund.handler, a_refund(500), a_refund(750, refund_id="R-2"))
    opened.deliver(grant_refund.handler, from_the_bus(recorded(a_refund_claim(1, "R-3"))))

    assert refunds(opened) == [("R-1", 500), ("R-2", 750)]
    assert errors(opened.dead_letters()) == ["NonRetryable"]


def test_a_repeated_claim_is_no_error_after_a_full_refund(opened: World) -> None:
    opened.put(CONFIRMED)

    opened.receive(grant_refund.handler, a_refund_claim(1250), a_refund_claim(1250))

    assert refunds(opened) == [("R-1", 1250)]
    assert opened.dead_letters() == []


@pytest.mark.parametrize(
    ("claim", "reason"),
    [
        (a_refund_claim(501), "granted with another amount"),
        (a_refund_claim(500, "R-2", "USD"), "not in EUR, the currency of the order"),
        (a_refund_claim(751, "R-2"), "750 minor units of EUR can be refunded"),
        (a_refund_claim(0, "R-2"), "750 minor units of EUR can be refunded"),
    ],
    ids=["the same id with another amount", "another currency", "more than is left", "nothing"],
)
def test_an_invalid_refund_claim_is_dead(opened: World, claim: Event, reason: str) -> None:
    opened.put(MADE)

    assert opened.deliver(grant_refund.handler, from_the_bus(recorded(claim))) == []

    (dead,) = opened.dead_letters()
    assert dead.error == "NonRetryable"
    assert reason in dead.attributes["reason"]
    assert refunds(opened) == []


def test_a_repeated_claim_in_another_currency_is_dead(opened: World) -> None:
    opened.put(CONFIRMED)
    opened.receive(grant_refund.handler, a_refund_claim(500))

    opened.deliver(grant_refund.handler, from_the_bus(recorded(a_refund_claim(500, currency="USD"))))

    assert errors(opened.dead_letters()) == ["NonRetryable"]


def test_an_order_that_was_cancelled_before_payment_has_nothing_to_refund(opened: World) -> None:
    opened.put(CANCELLED)

    opened.deliver(grant_refund.handler, from_the_bus(recorded(a_refund_claim(1))))

    (dead,) = opened.dead_letters()
    assert "0 minor units of EUR" in dead.attributes["reason"]


def test_a_claim_with_the_id_of_the_shops_own_refund_is_refunded_once(opened: World) -> None:
    opened.put(CANCELLED)
    opened.receive(confirm_order.handler, a_payment())

    opened.receive(grant_refund.handler, a_refund_claim(1250, "cancelled"))

    assert refunds(opened) == [("cancelled", 1250)]


def test_the_refused_amount_of_one_claim_can_be_claimed_with_the_rest(opened: World) -> None:
    opened.put(CONFIRMED)
    opened.receive(grant_refund.handler, a_refund_claim(5, "R-1"), a_refund_claim(10, "R-2"))
    opened.receive(settle_refund.handler, a_refund(10, refund_id="R-2"))
    rest = Message(from_the_bus(recorded(a_refund_claim(1240, "R-3"))))
    assert opened.deliver(grant_refund.handler, rest) == [rest]

    opened.receive(release_refund.handler, a_failed_refund(5, paid_out=False))
    assert opened.deliver(grant_refund.handler, rest) == []

    assert refunds(opened) == [("R-1", 5), ("R-2", 10), ("R-3", 1240)]
    assert opened.dead_letters() == []


@pytest.mark.parametrize("paid_out", [True, False])
def test_the_status_of_an_order_shows_the_refunds_that_have_failed(opened: World, paid_out: bool) -> None:
    opened.receive(order_status_refunded, a_refund(100), *[a_refund(500)] * paid_out)
    opened.receive(order_status_refund_failed, a_failed_refund(500, paid_out=paid_out))

    status = opened.row(OrderStatus, "1001")
    assert status is not None
    assert (status.refunded, status.refund_failed) == (100, 500)
