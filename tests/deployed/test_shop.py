"""Bad days in the shop, deployed: money is taken once and given back once, and no letter is sent twice."""

import json
import os
import signal
import uuid
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from daybook.contracts import clock
from daybook.local import provider as outside
from daybook.local.faults import Fault, Faults
from daybook.local.mailbox import Mail, mailbox
from daybook.local.provider import Provider
from daybook.store.timers import DueTable, from_item
from events.notifications import EmailBounced, EmailRefused
from tests.deployed.deployed import (
    CHECKOUT,
    CONFIRMED,
    UNSTOCKED,
    Deployed,
    an_event,
    an_order,
    paused,
    short_visibility_timeout,
    stock_received,
    unique,
)
from tests.local.processes import until

ACCOUNT = "000000000000"  # the local cloud's
SERVICE_DESK = "shop.service-desk"
CHARGE, REFUND, MAIL = "charge-order", "refund-order", "mail-confirmed"
EXPIRED = ["EmailSent", "OrderCancelled", "OrderPlaced", "PaymentWindowEnded"]
REFUNDED = ["EmailSent", "PaymentRefunded", "RefundAsked", "RefundRequested"]


def test_a_parcel_for_an_order_that_nobody_placed_or_that_is_cancelled_is_refused_at_the_door(system: Deployed) -> None:
    cancelled = unique("order")
    system.receives(an_order(cancelled, lines=[(unique("nowhere"), 1)]))

    ids = system.sends(a_parcel(unique("nobody")), a_parcel(cancelled))

    assert system.refusals(*ids) == dict.fromkeys(ids, "StreamNotOpen")
    assert system.types(f"order/{cancelled}") == UNSTOCKED


def test_an_order_whose_parcel_is_handed_over_is_fulfilled(system: Deployed) -> None:
    order = a_confirmed_order(system)

    system.receives(a_parcel(order))

    assert system.types(f"order/{order}") == sorted([*CONFIRMED, "ShipmentDispatched", "OrderFulfilled", "EmailSent"])
    assert [mail.subject for mail in mails(system, order)] == [
        f"Your order {order} is confirmed",
        f"Your order {order} is on its way",
    ]


def test_a_bank_that_pays_after_the_order_has_expired_has_its_money_back(system: Deployed, provider: Provider) -> None:
    sku, order = unique("mug"), unique("order")
    system.receives(stock_received(sku, 2))
    system.sends(in_dollars(order, sku, "pm_usBankAccount_success"))
    until(lambda: "processing" in {payment.status for payment in payments(provider, order)}, what="the bank is at it")
    expires(system, order)
    provider.settle(order)
    system.finishes()

    assert system.types(f"order/{order}") == sorted(
        [*EXPIRED, "StockReserved", "PaymentSucceeded", "RefundRequested", "PaymentRefunded", "EmailSent"]
    )
    assert (provider.book().taken(order), provider.book().kept(order)) == ({"usd": 1250}, {"usd": 0})
    assert [mail.subject for mail in mails(system, order)] == [
        f"Your order {order} is cancelled",
        f"Refund for your order {order}",
    ]
    assert system.pieces(sku) == (2, 0)


def test_an_order_that_is_cancelled_before_its_goods_were_put_aside_takes_none(system: Deployed) -> None:
    sku, order = unique("mug"), unique("order")
    system.receives(stock_received(sku, 2))

    with paused(system, "reserve-stock"):
        (placed,) = system.sends(an_order(order, lines=[(sku, 1)]))
        expires(system, order)
        until(
            lambda: system.row("reservations", order, of="release-stock").get("stage") == "released",
            what="what was never put aside is released",
        )
    system.finishes(placed)

    assert system.types(f"order/{order}") == EXPIRED
    assert system.pieces(sku) == (2, 0)
    assert system.row("stock", sku, of="reserve-stock").get("reserved", 0) == 0


def test_an_order_whose_payment_is_told_before_the_order_itself_is_confirmed(system: Deployed) -> None:
    sku, order = unique("mug"), unique("order")
    system.receives(stock_received(sku, 2))

    with paused(system, "place-order"):
        (placed,) = system.sends(an_order(order, lines=[(sku, 1)]))
        until(lambda: "RetryLater" in str(system.log("confirm-order", paid(system, order))), what="confirm-order waits")
    system.finishes(placed)

    assert system.types(f"order/{order}") == CONFIRMED
    assert system.pieces(sku) == (1, 1)


def test_a_process_that_dies_as_it_reads_the_providers_key_charges_once(
    system: Deployed, faults: Faults, provider: Provider
) -> None:
    death = Fault.death("after", function=CHARGE, operation="GetSecretValue")

    kill(system, CHARGE)  # whoever has the key at hand does not ask for it
    with (
        short_visibility_timeout(system, CHARGE, until_true=lambda: faults.injected_count(death)),
        faults.inject(death),
    ):
        order = a_confirmed_order(system)

    assert faults.injected_count(death) == 1
    assert charges(provider, order) == 1


def test_a_process_that_dies_while_the_provider_charges_does_so_once(system: Deployed, provider: Provider) -> None:
    sku, order = unique("mug"), unique("order")
    system.receives(stock_received(sku, 1))
    slow = outside.Fault.delayed(60, "after", operation="payment_intents.confirm", order=order)

    with provider.inject(slow):
        with short_visibility_timeout(system, CHARGE):
            (placed,) = system.sends(an_order(order, lines=[(sku, 1)]))
            until(lambda: provider.book().taken(order), what="the money is taken")
            kill(system, CHARGE)
        system.finishes(placed)

    assert system.types(f"order/{order}") == CONFIRMED
    assert (provider.book().taken(order), charges(provider, order)) == ({"eur": 1250}, 1)


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_provider_that_answers_too_late_has_not_declined(system: Deployed, provider: Provider, when: Any) -> None:
    order = unique("order")
    slow = outside.Fault.delayed(4, when, operation="payment_intents.confirm", order=order)

    with provider.inject(slow):
        a_confirmed_order(system, order)

    assert provider.injected_count(slow) == 1
    assert (provider.book().taken(order), charges(provider, order)) == ({"eur": 1250}, 1)
    *waiting, last = system.logged(CHARGE, reserved(system, order), last="committed")
    assert {line["message"] for line in waiting} == {"retry later"}
    assert waiting[0]["error"] == "OutcomeUnknown"
    assert last["message"] == "committed"


def test_orders_go_on_while_the_e_mail_service_is_down_and_letters_follow(system: Deployed, faults: Faults) -> None:
    sku, order = unique("mug"), unique("order")
    system.receives(stock_received(sku, 1))
    down = Fault.throttled("TooManyRequestsException", function=MAIL, operation="SendEmail", times=1_000)

    with faults.inject(down):
        system.sends(an_order(order, lines=[(sku, 1)]))
        until(lambda: faults.injected_count(down) >= 2, what="the letter was tried twice")
        until(lambda: system.row("orders", order, of="place-order").get("stage") == "confirmed", what="it is confirmed")
        assert mails(system, order) == []
    system.finishes()

    assert system.types(f"order/{order}") == CONFIRMED
    assert [mail.subject for mail in mails(system, order)] == [f"Your order {order} is confirmed"]


@pytest.mark.parametrize(
    ("mishap", "sent"),
    [
        (Fault.timeout("before", function=MAIL, operation="SendEmail"), 0),
        (Fault.timeout("after", function=MAIL, operation="SendEmail"), 1),
        (Fault.death("before", function=MAIL, operation="SendEmail"), 0),
        (Fault.death("after", function=MAIL, operation="SendEmail"), 1),
    ],
    ids=["no answer to what never arrived", "no answer to what was sent", "death before", "death after"],
)
def test_a_letter_of_which_nobody_knows_whether_it_was_sent_is_shown_and_not_sent_again(
    system: Deployed, faults: Faults, mishap: Fault, sent: int
) -> None:
    with (
        short_visibility_timeout(system, MAIL, until_true=lambda: faults.injected_count(mishap)),
        faults.inject(mishap),
    ):
        order = a_confirmed_order(system, letter=False)
        dead = system.dead(confirmed(system, order), MAIL)
    assert faults.injected_count(mishap) == 1
    assert dead.details["error"] == "OutcomeUnknown"
    assert len(mails(system, order)) == sent

    # Somebody sends it again without having found out: that decides nothing.
    puts_into_queue(system, MAIL, dead.details["body"])
    system.drains(MAIL)

    assert len(mails(system, order)) == sent
    assert system.dead(confirmed(system, order), MAIL).details["error"] == "OutcomeUnknown"


def test_a_letter_to_an_address_that_the_service_does_not_take_is_told_and_the_order_goes_on(
    system: Deployed, faults: Faults
) -> None:
    sku, order = unique("mug"), unique("order")
    system.receives(stock_received(sku, 1))
    refused = Fault.throttled("BadRequestException", function=MAIL, operation="SendEmail")

    with faults.inject(refused):
        system.receives(an_order(order, lines=[(sku, 1)]))

    assert system.types(f"order/{order}") == sorted([*CONFIRMED[1:], EmailRefused.__name__])
    assert mails(system, order) == []


def test_a_letter_that_bounces_is_an_event_of_its_story(system: Deployed) -> None:
    order = a_confirmed_order(system)
    (mail,) = mails(system, order)

    bounces(system, order, mail)
    until(lambda: EmailBounced.__name__ in system.types(f"order/{order}"), what="the bounce is recorded")
    bounces(system, order, mail)  # SES may tell it twice
    system.drains("admit")

    stream = list(system.connection.store.stream(f"letter/{order}.confirmed"))
    assert [envelope.metadata.type for envelope in stream] == ["EmailSent", "EmailBounced"]
    assert "@" not in stream[-1].data


def test_a_partial_refund_that_is_asked_for_twice_is_paid_once(system: Deployed, provider: Provider) -> None:
    order = a_confirmed_order(system)

    system.receives(a_refund(order, "R-1", 500), a_refund(order, "R-1", 500))

    assert system.types(f"order/{order}") == sorted([*CONFIRMED, *REFUNDED, "RefundAsked"])
    assert provider.book().returned(order) == {"eur": 500}
    assert system.row("order-status", order, of="order-status-placed")["refunded"] == 500


def test_more_is_never_paid_back_than_was_paid(system: Deployed, provider: Provider) -> None:
    order = a_confirmed_order(system)

    system.receives(a_refund(order, "R-1", 1000))
    (too_much,) = system.sends(a_refund(order, "R-2", 251))
    dead = system.dead(too_much, "grant-refund")

    assert (dead.details["error"], provider.book().returned(order)) == ("NonRetryable", {"eur": 1000})
    assert "250 minor units" in dead.details["reason"]


def a_confirmed_order(system: Deployed, order: str | None = None, *, letter: bool = True) -> str:
    """Place an order that is paid and confirmed, and wait until it is."""
    sku, order = unique("mug"), order or unique("order")
    system.receives(stock_received(sku, 1))
    (placed,) = system.sends(an_order(order, lines=[(sku, 1)]))
    system.finishes(placed)
    assert system.types(f"order/{order}") == (CONFIRMED if letter else CONFIRMED[1:])
    return order


def a_parcel(order: str) -> dict[str, Any]:
    data = {"order_id": order, "carrier": "Royal Mail", "tracking_number": "RM123456789GB"}
    return an_event("ShipmentDispatched", data, source="warehouse.dispatch")


def a_refund(order: str, refund_id: str, amount: int, *, producer_id: str | None = None) -> dict[str, Any]:
    data = {"order_id": order, "refund_id": refund_id, "amount": {"amount": amount, "currency": "EUR"}}
    return an_event("RefundAsked", data, source=SERVICE_DESK, producer_id=producer_id)


def in_dollars(order: str, sku: str, method: str, **data: Any) -> dict[str, Any]:
    """An order by somebody whose bank is debited."""
    line = {"sku": sku, "quantity": 1, "price": {"amount": 1250, "currency": "USD"}}
    customer = {"name": "Ada Lovelace", "email": "ada@example.com"}
    order_data = {"order_id": order, "customer": customer, "lines": [line], "payment_method": method, **data}
    return an_event("OrderPlaced", order_data, source=CHECKOUT)


def expires(system: Deployed, order: str) -> None:
    """Let the time to pay run out now: the timer is moved to the present, and sweep looks, as it would each minute."""
    dynamodb, due = system.cloud.client("dynamodb"), system.connection.names.due
    sweep = {"FunctionName": system.connection.names.of("fire-timers")}

    def over() -> bool:
        for item in dynamodb.scan(TableName=due, ConsistentRead=True)["Items"]:
            if item.get("stream") == {"S": f"order/{order}"}:
                timer = from_item(item)
                now = replace(timer, draft=replace(timer.draft, time=clock.now()))
                table = DueTable(dynamodb, due)
                with suppress(dynamodb.exceptions.TransactionCanceledException):  # it has just fired
                    dynamodb.transact_write_items(TransactItems=[table.deletion(item), table.schedule(now)])
        system.cloud.client("lambda").invoke(**sweep)
        return system.row("orders", order, of="place-order").get("stage") == "cancelled"

    until(over, what="the order has expired")


def payments(provider: Provider, order: str) -> list[outside.Payment]:
    return [payment for payment in provider.book().payments if payment.order == order]


def charges(provider: Provider, order: str) -> int:
    """How often somebody tried to take the order's money, with success."""
    return sum(charge.order == order and charge.status == "succeeded" for charge in provider.book().charges)


def mails(system: Deployed, order: str) -> list[Mail]:
    """The letters about an order, in the order in which they were sent."""
    return [mail for mail in mailbox(system.cloud) if order in mail.subject]


def paid(system: Deployed, order: str) -> str:
    """The id of the event that says that the order is paid; empty before that."""
    return next((each.metadata.id for each in system.connection.store.stream(f"payment/{order}")), "")


def reserved(system: Deployed, order: str) -> str:
    return next(system.connection.store.stream(f"reservation/{order}")).metadata.id


def confirmed(system: Deployed, order: str) -> str:
    """The id of the event that confirms the order."""
    stream = system.connection.store.stream(f"order/{order}")
    return next(each.metadata.id for each in stream if each.metadata.type == "OrderConfirmed")


def puts_into_queue(system: Deployed, consumer: str, body: str) -> None:
    sqs = system.cloud.client("sqs")
    url = sqs.get_queue_url(QueueName=system.connection.names.of(consumer))["QueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody=body)


def kill(system: Deployed, consumer: str) -> None:
    """Kill every process of a function."""
    name = f"AWS_LAMBDA_FUNCTION_NAME={system.connection.names.of(consumer)}".encode()
    here = f"{system.cloud.folder}".encode()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            environment = (process / "environ").read_bytes()
        except OSError:  # it has just ended, or is somebody else's
            continue
        if name in environment.split(b"\0") and here in environment:
            os.kill(int(process.name), signal.SIGKILL)


def bounces(system: Deployed, order: str, mail: Mail) -> None:
    """SES tells that a letter did not arrive, as it documents it."""
    detail = {
        "eventType": "Bounce",
        "bounce": {
            "feedbackId": f"feedback-{mail.id}",
            "bounceType": "Permanent",
            "bounceSubType": "General",
            "bouncedRecipients": [{"emailAddress": mail.to[0], "action": "failed", "status": "5.1.1"}],
            "timestamp": datetime.now(UTC).isoformat(),
        },
        "mail": {
            "messageId": mail.id,
            "destination": list(mail.to),
            "headers": [{"name": "X-Daybook-Letter", "value": f"{order}.confirmed"}],
            "tags": {"ses:configuration-set": [system.connection.names.of("letters")]},
        },
    }
    event = {
        "version": "0",
        "id": str(uuid.uuid4()),
        "detail-type": "Email Bounced",
        "source": "aws.ses",
        "account": ACCOUNT,
        "time": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        "region": "us-east-1",
        "resources": [],
        "detail": detail,
    }
    # Nobody but AWS may put such an event on a bus: so the rule is asked, and its target reached, by hand.
    events, rule = system.cloud.client("events"), system.connection.names.of("bounces")
    pattern = events.describe_rule(Name=rule)["EventPattern"]
    assert events.test_event_pattern(EventPattern=pattern, Event=json.dumps(event))["Result"]
    (target,) = events.list_targets_by_rule(Rule=rule)["Targets"]
    assert target["Arn"].endswith(f"event-bus/{system.connection.names.ingress_bus}")
    puts_into_queue(system, "admit", json.dumps(event))
