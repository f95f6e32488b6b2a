"""Orders of the deployed shop: entries to send, and what the provider and the mailbox have about an order."""

import json
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from daybook.contracts import clock
from daybook.local.mailbox import Mail, mailbox
from daybook.local.provider import Payment, Provider
from daybook.store.timers import DueTable, from_item
from tests.deployed.deployed import CHECKOUT, CONFIRMED, Deployed, an_event, an_order, put_into_queue, stock_received
from tests.local.processes import unique, until

ACCOUNT = "000000000000"  # of the local cloud
SERVICE_DESK = "shop.service-desk"
CHARGE, REFUND, MAIL = "charge-order", "refund-order", "mail-confirmed"
REFUNDED = ["EmailSent", "PaymentRefunded", "RefundClaimed", "RefundRequested"]


def a_confirmed_order(system: Deployed, order: str | None = None, *, emailed: bool = True) -> str:
    """Place an order, and wait until it is confirmed. `emailed` says whether its e-mail must be sent."""
    sku, order = unique("mug"), order or unique("order")
    system.receives(stock_received(sku, 1))
    (placed,) = system.sends(an_order(order, lines=[(sku, 1)]))
    system.finishes(placed)
    assert system.types(f"order/{order}") == (CONFIRMED if emailed else CONFIRMED[1:])
    return order


def a_dispatched_shipment(order: str) -> dict[str, Any]:
    data = {"order_id": order, "carrier": "Royal Mail", "tracking_number": "RM123456789GB"}
    return an_event("ShipmentDispatched", data, source="warehouse.dispatch")


def a_refund_claim(order: str, refund_id: str, amount: int, *, producer_id: str | None = None) -> dict[str, Any]:
    data = {"order_id": order, "refund_id": refund_id, "amount": {"amount": amount, "currency": "EUR"}}
    return an_event("RefundClaimed", data, source=SERVICE_DESK, producer_id=producer_id)


def an_order_by_bank_debit(order: str, sku: str, method: str, **data: Any) -> dict[str, Any]:
    """An OrderPlaced entry of 12.50 USD, paid by bank debit."""
    line = {"sku": sku, "quantity": 1, "price": {"amount": 1250, "currency": "USD"}}
    customer = {"name": "Ada Lovelace", "email": "ada@example.com"}
    order_data = {"order_id": order, "customer": customer, "lines": [line], "payment_method": method, **data}
    return an_event("OrderPlaced", order_data, source=CHECKOUT)


def expire(system: Deployed, order: str) -> None:
    """End the time to pay now."""

    def is_cancelled() -> bool:
        return system.row("orders", order, of="place-order").get("stage") == "cancelled"

    fire_timers_of(system, f"order/{order}", is_cancelled, what="the order has expired")


def fire_timers_of(system: Deployed, stream: str, is_done: Callable[[], bool], *, what: str) -> None:
    """Set the timers of a stream to the present, and invoke `fire_timers`, which runs each minute, until it is done."""
    dynamodb, due = system.cloud.client("dynamodb"), system.connection.names.due
    fire_timers = {"FunctionName": system.connection.names.of("fire-timers")}

    def fire() -> bool:
        for item in dynamodb.scan(TableName=due, ConsistentRead=True)["Items"]:
            if item.get("stream") == {"S": stream}:
                timer = from_item(item)
                now = system.connection.keyring.prove_timer(
                    replace(timer, draft=replace(timer.draft, time=clock.now()))
                )
                table = DueTable(dynamodb, due)
                with suppress(dynamodb.exceptions.TransactionCanceledException):  # the timer has just fired
                    dynamodb.transact_write_items(TransactItems=[table.deletion(item), table.schedule(now)])
        system.cloud.client("lambda").invoke(**fire_timers)
        return is_done()

    until(fire, what=what)


def payments(provider: Provider, order: str) -> list[Payment]:
    return [payment for payment in provider.book().payments if payment.order == order]


def charge_count(provider: Provider, order: str) -> int:
    """The number of successful charges of the order."""
    return sum(charge.order == order and charge.status == "succeeded" for charge in provider.book().charges)


def emails(system: Deployed, order: str) -> list[Mail]:
    """The e-mails about an order, in the order in which they were sent."""
    return [mail for mail in mailbox(system.cloud) if order in mail.subject]


def payment_event(system: Deployed, order: str) -> str:
    """The id of the event about the payment; empty if there is none yet."""
    return next((each.metadata.id for each in system.connection.store.stream(f"payment/{order}")), "")


def reservation_event(system: Deployed, order: str) -> str:
    return next(system.connection.store.stream(f"reservation/{order}")).metadata.id


def confirmation_event(system: Deployed, order: str) -> str:
    """The id of OrderConfirmed."""
    stream = system.connection.store.stream(f"order/{order}")
    return next(each.metadata.id for each in stream if each.metadata.type == "OrderConfirmed")


def bounce(system: Deployed, order: str, mail: Mail) -> None:
    """Send an event of SES, in its documented format, that an e-mail bounced."""
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
            "headers": [{"name": "X-Daybook-Email", "value": f"{order}.confirmed"}],
            "tags": {"ses:configuration-set": [system.connection.names.of("emails")]},
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
    # Only AWS can put an event with this source on a bus. So this tests the rule, and sends to its target directly.
    events, rule = system.cloud.client("events"), system.connection.names.of("bounces")
    pattern = events.describe_rule(Name=rule)["EventPattern"]
    assert events.test_event_pattern(EventPattern=pattern, Event=json.dumps(event))["Result"]
    (target,) = events.list_targets_by_rule(Rule=rule)["Targets"]
    assert target["Arn"].endswith(f"event-bus/{system.connection.names.ingress_bus}")
    put_into_queue(system, "admit", json.dumps(event))
