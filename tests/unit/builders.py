"""Events, and the messages that carry them, with defaults for all that a test does not speak of."""

import json
import time
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from backbone import clock
from backbone.attributes import pack
from backbone.contract import Event
from backbone.envelope import Envelope
from backbone.store import Draft, Head, successor, to_item
from events.inventory import OutOfStock, StockReceived, StockReserved
from events.orders import OrderPlaced

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
