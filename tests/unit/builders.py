"""Events, and the messages that carry them, with defaults for all that a test does not speak of."""

import json
import time
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from daybook.contracts import clock
from daybook.contracts.contract import Event
from daybook.contracts.envelope import Envelope
from daybook.contracts.values import Money
from daybook.store.attributes import pack
from daybook.store.event_store import Draft, Head, successor, to_item
from events.inventory import OutOfStock, StockReceived, StockReserved
from events.orders import (
    CancelledBecause,
    OrderCancelled,
    OrderConfirmed,
    OrderFulfilled,
    OrderPlaced,
    PaymentWindowEnded,
    RefundAsked,
    RefundRequested,
)
from events.payments import PaymentFailed, PaymentRefunded, PaymentSucceeded
from events.shipping import ShipmentDispatched
from events.values import Customer

NOON = "2026-03-01T12:00:00.000000Z"
CHECKOUT = "shop.checkout"


@dataclass(frozen=True)
class Message:
    """An SQS message as Lambda hands it over."""

    body: str
    tries: int = 1
    age: float = 0  # seconds
    id: str = field(default_factory=lambda: str(uuid.uuid4()))

    def record(self) -> dict[str, Any]:
        return {
            "messageId": self.id,
            "body": self.body,
            "receiptHandle": self.id,
            "attributes": {
                "ApproximateReceiveCount": str(self.tries),
                "SentTimestamp": str(int((time.time() - self.age) * 1000)),
            },
            "eventSource": "aws:sqs",
        }


def order_data(
    order_id: str = "1001", lines: Iterable[tuple[str, int]] = (("mug", 1),), **other: Any
) -> dict[str, Any]:
    """What the checkout sends. `lines` are articles and quantities, each at 12.50 EUR."""
    price = {"amount": 1250, "currency": "EUR"}
    return {
        "order_id": order_id,
        "customer": {"name": "Ada Lovelace", "email": "ada@example.com"},
        "lines": [{"sku": sku, "quantity": quantity, "price": price} for sku, quantity in lines],
        **other,
    }


def an_order(order_id: str = "1001", lines: Iterable[tuple[str, int]] = (("mug", 1),), **other: Any) -> OrderPlaced:
    return OrderPlaced.model_validate(order_data(order_id, lines, **other))


def a_reservation(order_id: str = "1001") -> StockReserved:
    return StockReserved.model_validate({"order_id": order_id, "total": {"amount": 1250, "currency": "EUR"}})


def a_shortage(order_id: str = "1001", skus: tuple[str, ...] = ("mug",)) -> OutOfStock:
    return OutOfStock(order_id=order_id, skus=skus)


def money(amount: int, currency: str = "EUR") -> Money:
    """Minor units: 1250 is 12.50 EUR."""
    return Money(amount=amount, currency=currency)


def a_customer(language: str = "en", name: str = "Ada Lovelace") -> Customer:
    return Customer(name=name, email="ada@example.com", language=language)


def a_payment(order_id: str = "1001", amount: int = 1250) -> PaymentSucceeded:
    return PaymentSucceeded(order_id=order_id, payment_id="pi_1", amount=money(amount))


def a_failed_payment(order_id: str = "1001", reason: str = "insufficient_funds") -> PaymentFailed:
    return PaymentFailed(order_id=order_id, reason=reason)


def an_ended_window(order_id: str = "1001") -> PaymentWindowEnded:
    return PaymentWindowEnded(order_id=order_id)


def a_confirmation(order: OrderPlaced | None = None) -> OrderConfirmed:
    order = order or an_order()
    return OrderConfirmed(order_id=order.order_id, purchase=order.purchase, ship_to=order.ship_to)


def a_cancellation(
    order: OrderPlaced | None = None, because: CancelledBecause = "out_of_stock", missing: tuple[str, ...] = ()
) -> OrderCancelled:
    order = order or an_order()
    return OrderCancelled(order_id=order.order_id, purchase=order.purchase, because=because, missing=missing)


def a_fulfilment(order: OrderPlaced | None = None) -> OrderFulfilled:
    order = order or an_order()
    parcel = {"carrier": "Royal Mail", "tracking_number": "RM1"}
    return OrderFulfilled(order_id=order.order_id, purchase=order.purchase, **parcel)


def a_parcel(order_id: str = "1001") -> ShipmentDispatched:
    return ShipmentDispatched(order_id=order_id, carrier="Royal Mail", tracking_number="RM1")


def a_wish_for_money(amount: int = 500, refund_id: str = "R-1", currency: str = "EUR") -> RefundAsked:
    return RefundAsked(order_id="1001", refund_id=refund_id, amount=money(amount, currency))


def a_refund(amount: int = 1250, refund_id: str = "R-1", **other: Any) -> RefundRequested:
    """A refund to be made; of what the service desk wants, unless told."""
    usual: dict[str, Any] = {"payment_id": "pi_1", "because": "service_desk", "customer": a_customer()}
    return RefundRequested(order_id="1001", refund_id=refund_id, amount=money(amount), **(usual | other))


def a_refund_made(amount: Money | None = None, **other: Any) -> PaymentRefunded:
    usual: dict[str, Any] = {"refund_id": "R-1", "because": "service_desk", "customer": a_customer()}
    usual |= {"provider_id": "re_1", "amount": amount or money(500)}
    return PaymentRefunded(order_id="1001", **(usual | other))


def goods(sku: str = "mug", quantity: int = 10) -> StockReceived:
    return StockReceived(sku=sku, quantity=quantity, delivery_id="D-1")


def a_draft(event: Event | None = None, **other: Any) -> Draft:
    """An event about to be appended; `other` are fields of the draft to set otherwise."""
    event = event or an_order()
    usual: dict[str, Any] = {
        "id": str(uuid.uuid4()),
        "type": event.contract.type,
        "version": event.contract.version,
        "stream": event.stream,
        "time": NOON,
        "data": event.to_json(),
        "producer": CHECKOUT,
        "source": event.contract.published_source,
    }
    return Draft(**(usual | other))


def recorded(
    event: Event | None = None, *, after: Envelope | None = None, now: str | None = None, **other: Any
) -> Envelope:
    """The event as it is kept: the first of its stream, or the one `after` another."""
    return successor(a_draft(event, **other), Head.at(after) if after else None, now or clock.now())


def from_the_bus(envelope: Envelope, **metadata: Any) -> str:
    """The body of a message in a consumer's queue. `metadata` says what it should be instead."""
    detail = json.loads(envelope.detail)
    detail["metadata"] |= metadata
    return json.dumps(
        {"version": "0", "id": str(uuid.uuid4()), "source": envelope.source, "account": "123456789012"}
        | {"detail-type": envelope.metadata.type, "time": "2026-03-01T12:00:00Z", "region": "eu-central-1"}
        | {"resources": [], "detail": detail}
    )


def sent(
    data: object = None,
    *,
    type: str = "OrderPlaced",  # noqa: A002 - the event's word
    source: str = CHECKOUT,
    metadata: object = None,
    **envelope: Any,
) -> str:
    """The body of a message in admit's queue: what a producer sent, in EventBridge's envelope."""
    detail: dict[str, Any] = {"data": order_data() if data is None else data}
    if metadata is not None:
        detail["metadata"] = metadata
    usual = {
        "version": "0",
        "id": str(uuid.uuid4()),
        "account": "123456789012",
        "source": source,
        "detail-type": type,
        "time": "2026-03-01T12:00:00Z",
        "region": "eu-central-1",
        "resources": [],
        "detail": detail,
    }
    return json.dumps(usual | envelope)


def a_change_of_the_store(envelope: Envelope, name: str = "INSERT", **attributes: object) -> dict[str, Any]:
    """A record of the store's stream. `attributes` stand in the item instead of what is right; None takes one away."""
    image: dict[str, Any] = to_item(envelope)
    for attribute, value in attributes.items():
        image[attribute] = pack(value)
        if value is None:
            del image[attribute]
    return {"eventID": str(uuid.uuid4()), "eventName": name, "dynamodb": {"NewImage": image}}


def metadata_of(envelope: Envelope) -> Mapping[str, Any]:
    """The metadata that the bus carries."""
    found: Mapping[str, Any] = json.loads(envelope.detail)["metadata"]
    return found
