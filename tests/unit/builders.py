"""Events and messages with defaults from the shop, for everything that a test does not name."""

from typing import Any

from daybook.contracts.contract import Event
from daybook.contracts.envelope import Envelope
from daybook.store.event_store import Draft
from daybook.testing import messages
from daybook.testing.messages import NOON, Message, a_change_of_the_store, from_the_bus, metadata_of
from tests.unit.shop.builders import CHECKOUT, a_confirmation, a_reservation, a_shortage, an_order, order_data
from tests.unit.shop.builders import received_stock as goods

__all__ = [
    "CHECKOUT",
    "NOON",
    "Message",
    "a_change_of_the_store",
    "a_confirmation",
    "a_draft",
    "a_reservation",
    "a_shortage",
    "an_order",
    "from_the_bus",
    "goods",
    "metadata_of",
    "order_data",
    "recorded",
    "sent",
]


def a_draft(event: Event | None = None, **other: Any) -> Draft:
    """An event before it is appended to the store; `other` are fields of the draft."""
    return messages.a_draft(event or an_order(), **({"producer": CHECKOUT} | other))


def recorded(
    event: Event | None = None, *, after: Envelope | None = None, now: str | None = None, **other: Any
) -> Envelope:
    """The event as the store records it: first in its stream, or next after `after`."""
    return messages.recorded(event or an_order(), after=after, now=now, **({"producer": CHECKOUT} | other))


def sent(
    data: object = None,
    *,
    type: str = "OrderPlaced",  # noqa: A002 - the event's word
    source: str = CHECKOUT,
    metadata: object = None,
    **envelope: Any,
) -> str:
    """The body of a message in admit's queue: an event of a producer, in EventBridge's envelope."""
    data = order_data() if data is None else data
    return messages.sent_data(type, data, source=source, metadata=metadata, **envelope)
