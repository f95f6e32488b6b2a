"""Contracts and rows that only these tests know, for what the businesses do not show yet."""

from pydantic import Field

from daybook.contracts.contract import Event
from daybook.contracts.values import UtcTime
from daybook.store.state import State
from events.values import OrderId


class ParcelSent(Event, continues="order/{order_id}", sources=("carrier.tracking",)):
    """A parcel has left: something that comes from outside and continues a stream."""

    order_id: OrderId
    parcel: str = "P-1"

    example = {"order_id": "1001", "parcel": "P-1"}


class PaymentOverdue(Event, continues="order/{order_id}", timer=True):
    """Nobody has paid for so long: a timer's event."""

    order_id: OrderId

    example = {"order_id": "1001"}


class MeterRead(Event, joins="meter/{meter_id}", sources=("meters",), happened="at"):
    """A reading: something that says itself when it happened, and carries a map."""

    meter_id: str
    at: UtcTime
    values: dict[str, int] = Field(default_factory=dict)

    example = {"meter_id": "m1", "at": "2026-03-01T12:00:00Z"}


class DialTurned(Event, joins="dial/{dial_id}", sources=("dials",)):
    """A dial has been turned by some steps: something whose order may matter."""

    dial_id: str
    steps: int

    example = {"dial_id": "d1", "steps": 1}


class DialCleaned(Event, joins="dial/{dial_id}", sources=("dials",)):
    """Another type of event in the same stream."""

    dial_id: str

    example = {"dial_id": "d1"}


class Tally(State, table="tallies", key="name"):
    """A row with fields enough to write some of them and not others."""

    name: str
    left: str = ""
    right: str = ""
    middle: str = ""
    total: int = 0
    number: int = 0
