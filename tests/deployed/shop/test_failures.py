"""The deployed shop under faults: an order is charged once, refunded once, and no e-mail is sent twice."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from daybook.contracts.identity import admitted_id, emitted_id
from daybook.local import provider as stand_in
from daybook.local.faults import Fault, Faults
from daybook.local.provider import Provider
from events.inventory import StockReserved
from events.notifications import EmailBounced, EmailRefused
from tests.deployed.deployed import (
    CHECKOUT,
    CONFIRMED,
    UNSTOCKED,
    Deployed,
    an_order,
    kill,
    paused,
    put_into_queue,
    short_visibility_timeout,
    stock_received,
)
from tests.deployed.shop.orders import (
    CHARGE,
    MAIL,
    REFUNDED,
    a_confirmed_order,
    a_dispatched_shipment,
    a_refund_claim,
    an_order_by_bank_debit,
    bounce,
    charge_count,
    confirmation_event,
    emails,
    expire,
    payment_event,
    payments,
    reservation_event,
)
from tests.local.processes import unique, until
from tests.unit.builders import recorded
from tests.unit.shop.builders import money

EXPIRED = ["EmailSent", "OrderCancelled", "OrderPlaced", "PaymentWindowEnded"]


def test_a_shipment_of_an_unknown_or_cancelled_order_is_rejected(system: Deployed) -> None:
    cancelled = unique("order")
    system.receives(an_order(cancelled, lines=[(unique("missing"), 1)]))

    ids = system.sends(a_dispatched_shipment(unique("unknown")), a_dispatched_shipment(cancelled))

    assert system.refusals(*ids) == dict.fromkeys(ids, "StreamNotOpen")
    assert system.types(f"order/{cancelled}") == UNSTOCKED


def test_an_order_is_fulfilled_when_its_shipment_is_dispatched(system: Deployed) -> None:
    order = a_confirmed_order(system)

    system.receives(a_dispatched_shipment(order))

    assert system.types(f"order/{order}") == sorted([*CONFIRMED, "ShipmentDispatched", "OrderFulfilled", "EmailSent"])
    assert [mail.subject for mail in emails(system, order)] == [
        f"Your order {order} is confirmed",
        f"Your order {order} is on its way",
    ]


def test_a_payment_that_succeeds_after_the_order_has_expired_is_refunded(system: Deployed, provider: Provider) -> None:
    sku, order = unique("mug"), unique("order")
    system.receives(stock_received(sku, 2))
    system.sends(an_order_by_bank_debit(order, sku, "pm_usBankAccount_success"))
    until(
        lambda: "processing" in {payment.status for payment in payments(provider, order)},
        what="the bank is processing the payment",
    )
    expire(system, order)
    provider.settle(order)
    system.finishes()

    assert system.types(f"order/{order}") == sorted(
        [*EXPIRED, "StockReserved", "PaymentSucceeded", "RefundRequested", "PaymentRefunded", "EmailSent"]
    )
    assert (provider.book().taken(order), provider.book().kept(order)) == ({"usd": 1250}, {"usd": 0})
    assert [mail.subject for mail in emails(system, order)] == [
        f"Your order {order} is cancelled",
        f"Refund for your order {order}",
    ]
    assert system.pieces(sku) == (2, 0)


def test_an_order_that_is_cancelled_before_its_reservation_reserves_nothing(system: Deployed) -> None:
    sku, order = unique("mug"), unique("order")
    system.receives(stock_received(sku, 2))

    with paused(system, "reserve-stock"):
        (placed,) = system.sends(an_order(order, lines=[(sku, 1)]))
        expire(system, order)
        until(
            lambda: system.row("reservations", order, of="release-stock").get("stage") == "released",
            what="the reservation is released before it is made",
        )
    system.finishes(placed)

    assert system.types(f"order/{order}") == EXPIRED
    assert system.pieces(sku) == (2, 0)
    assert system.row("stock", sku, of="reserve-stock").get("reserved", 0) == 0


def test_an_order_whose_payment_arrives_first_is_confirmed(system: Deployed) -> None:
    sku, order = unique("mug"), unique("order")
    system.receives(stock_received(sku, 2))

    with paused(system, "place-order"):
        (placed,) = system.sends(an_order(order, lines=[(sku, 1)]))
        until(
            lambda: "RetryLater" in str(system.log("confirm-order", payment_event(system, order))),
            what="confirm-order waits",
        )
    system.finishes(placed)

    assert system.types(f"order/{order}") == CONFIRMED
    assert system.pieces(sku) == (1, 1)


# Guards: a consumer acts on recorded events only. The ids of events can be computed before the events are recorded.
def test_a_forged_reservation_over_one_euro_is_dead_and_the_true_amount_is_charged(
    system: Deployed, provider: Provider
) -> None:
    sku, order, key = unique("mug"), unique("order"), unique("checkout")
    system.receives(stock_received(sku, 1))
    placed = admitted_id(system.connection.account, CHECKOUT, key)
    pay_by = datetime.now(UTC) + timedelta(minutes=30)
    one_euro = StockReserved(order_id=order, total=money(100), payment_method="pm_card_visa", pay_by=pay_by)
    reserved = emitted_id(placed, "reserve-stock", "StockReserved", 0)
    body = json.dumps({"detail": json.loads(recorded(one_euro, id=reserved, correlation_id=placed).shared_detail)})

    put_into_queue(system, CHARGE, body)
    assert system.dead_body(body, CHARGE).details["error"] == "NotRecorded"
    assert system.sends(an_order(order, lines=[(sku, 1)], producer_id=key)) == [placed]
    system.finishes(placed)

    assert system.types(f"order/{order}") == CONFIRMED
    assert reserved in {step.event.metadata.id for step in system.trace(f"order/{order}").steps}
    assert (provider.book().taken(order), charge_count(provider, order)) == ({"eur": 1250}, 1)


def test_a_process_that_dies_when_it_reads_the_api_key_charges_once(
    system: Deployed, faults: Faults, provider: Provider
) -> None:
    death = Fault.death("after", function=CHARGE, operation="GetSecretValue")

    kill(system, CHARGE)  # a running process has the key in its cache
    with (
        short_visibility_timeout(system, CHARGE, until_true=lambda: faults.injected_count(death)),
        faults.inject(death),
    ):
        order = a_confirmed_order(system)

    assert faults.injected_count(death) == 1
    assert charge_count(provider, order) == 1


def test_a_process_that_dies_during_a_charge_charges_once(system: Deployed, provider: Provider) -> None:
    sku, order = unique("mug"), unique("order")
    system.receives(stock_received(sku, 1))
    slow = stand_in.Fault.delayed(60, "after", operation="payment_intents.confirm", order=order)

    with provider.inject(slow):
        with short_visibility_timeout(system, CHARGE):
            (placed,) = system.sends(an_order(order, lines=[(sku, 1)]))
            until(lambda: provider.book().taken(order), what="the customer is charged")
            kill(system, CHARGE)
        system.finishes(placed)

    assert system.types(f"order/{order}") == CONFIRMED
    assert (provider.book().taken(order), charge_count(provider, order)) == ({"eur": 1250}, 1)


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_call_to_the_provider_that_times_out_is_not_a_decline(
    system: Deployed, provider: Provider, when: Any
) -> None:
    order = unique("order")
    slow = stand_in.Fault.delayed(6, when, operation="payment_intents.confirm", order=order)

    with provider.inject(slow):
        a_confirmed_order(system, order)

    assert provider.injected_count(slow) == 1
    assert (provider.book().taken(order), charge_count(provider, order)) == ({"eur": 1250}, 1)
    *retried, last = system.logged(CHARGE, reservation_event(system, order), last="committed")
    assert {line["message"] for line in retried} == {"retry later"}
    assert retried[0]["error"] == "OutcomeUnknown"
    assert last["message"] == "committed"


def test_orders_are_confirmed_while_ses_is_down_and_their_emails_are_sent_later(
    system: Deployed, faults: Faults
) -> None:
    sku, order = unique("mug"), unique("order")
    system.receives(stock_received(sku, 1))
    down = Fault.throttled("TooManyRequestsException", function=MAIL, operation="SendEmail", times=1_000)

    with faults.inject(down):
        system.sends(an_order(order, lines=[(sku, 1)]))
        until(lambda: faults.injected_count(down) >= 2, what="the e-mail was attempted twice")
        until(
            lambda: system.row("orders", order, of="place-order").get("stage") == "confirmed",
            what="the order is confirmed",
        )
        assert emails(system, order) == []
    system.finishes()

    assert system.types(f"order/{order}") == CONFIRMED
    assert [mail.subject for mail in emails(system, order)] == [f"Your order {order} is confirmed"]


@pytest.mark.parametrize(
    ("fault", "sent"),
    [
        (Fault.timeout("before", function=MAIL, operation="SendEmail"), 0),
        (Fault.timeout("after", function=MAIL, operation="SendEmail"), 1),
        (Fault.death("before", function=MAIL, operation="SendEmail"), 0),
        (Fault.death("after", function=MAIL, operation="SendEmail"), 1),
    ],
    ids=["timeout before", "timeout after", "death before", "death after"],
)
def test_an_email_with_an_unknown_outcome_is_dead_and_not_sent_again(
    system: Deployed, faults: Faults, fault: Fault, sent: int
) -> None:
    with (
        short_visibility_timeout(system, MAIL, until_true=lambda: faults.injected_count(fault)),
        faults.inject(fault),
    ):
        order = a_confirmed_order(system, emailed=False)
        dead = system.dead(confirmation_event(system, order), MAIL)
    assert faults.injected_count(fault) == 1
    assert dead.details["error"] == "OutcomeUnknown"
    assert len(emails(system, order)) == sent

    # A retry does not send it: the outcome is still unknown.
    put_into_queue(system, MAIL, dead.details["body"])
    system.drains(MAIL)

    assert len(emails(system, order)) == sent
    assert system.dead(confirmation_event(system, order), MAIL).details["error"] == "OutcomeUnknown"


def test_an_email_that_ses_refuses_is_an_event_and_the_order_continues(system: Deployed, faults: Faults) -> None:
    sku, order = unique("mug"), unique("order")
    system.receives(stock_received(sku, 1))
    refused = Fault.throttled("BadRequestException", function=MAIL, operation="SendEmail")

    with faults.inject(refused):
        system.receives(an_order(order, lines=[(sku, 1)]))

    assert system.types(f"order/{order}") == sorted([*CONFIRMED[1:], EmailRefused.__name__])
    assert emails(system, order) == []


def test_a_bounce_is_an_event_of_the_same_correlation(system: Deployed) -> None:
    order = a_confirmed_order(system)
    (mail,) = emails(system, order)

    bounce(system, order, mail)
    until(lambda: EmailBounced.__name__ in system.types(f"order/{order}"), what="the bounce is recorded")
    bounce(system, order, mail)  # SES may send the event twice
    system.drains("admit")

    stream = list(system.connection.store.stream(f"email/{order}.confirmed"))
    assert [envelope.metadata.type for envelope in stream] == ["EmailSent", "EmailBounced"]
    assert "@" not in stream[-1].data


def test_a_partial_refund_that_is_claimed_twice_is_made_once(system: Deployed, provider: Provider) -> None:
    order = a_confirmed_order(system)

    system.receives(a_refund_claim(order, "R-1", 500), a_refund_claim(order, "R-1", 500))

    assert system.types(f"order/{order}") == sorted([*CONFIRMED, *REFUNDED, "RefundClaimed"])
    assert provider.book().returned(order) == {"eur": 500}
    assert system.row("order-status", order, of="order-status-placed")["refunded"] == 500


def test_a_refund_above_the_rest_of_the_payment_is_dead(system: Deployed, provider: Provider) -> None:
    order = a_confirmed_order(system)

    system.receives(a_refund_claim(order, "R-1", 1000))
    (too_much,) = system.sends(a_refund_claim(order, "R-2", 251))
    dead = system.dead(too_much, "grant-refund")

    assert (dead.details["error"], provider.book().returned(order)) == ("NonRetryable", {"eur": 1000})
    assert "250 minor units" in dead.details["reason"]
