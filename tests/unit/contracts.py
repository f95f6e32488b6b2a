"""Contracts and rows that only some tests need, and that are not in the catalogue of the library."""

from typing import Annotated, Any

from pydantic import ConfigDict, Field

from daybook.contracts.contract import NUMERIC_ID, PERSONAL, Event, Part
from daybook.contracts.values import Identifier, UtcTime
from daybook.store.state import State


class BookReturned(Event, continues="loan/{loan_id}", sources=("library.returns",)):
    """A reader has returned the books: an event from outside that continues a stream."""

    loan_id: Identifier
    desk: str = "D-1"
    returned_by: Annotated[str, PERSONAL] = Field(default="", repr=False)

    example = {"loan_id": "1001", "desk": "D-1"}


class LoanOverdue(Event, continues="loan/{loan_id}", timer=True):
    """The books should be back: an event of a timer."""

    loan_id: Identifier

    example = {"loan_id": "1001"}


class MeterRead(Event, joins="meter/{meter_id}", sources=("meters",), occurred_at="at"):
    """A reading. It contains its own time, and a map."""

    meter_id: str
    at: UtcTime
    values: dict[str, int] = Field(default_factory=dict)

    example = {"meter_id": "m1", "at": "2026-03-01T12:00:00Z"}


class DialTurned(Event, joins="dial/{dial_id}", sources=("dials",)):
    """A dial was turned by some steps: an event for ordered consumers."""

    dial_id: str
    steps: int

    example = {"dial_id": "d1", "steps": 1}


class DialCleaned(Event, joins="dial/{dial_id}", sources=("dials",)):
    """Another type of event in the same stream."""

    dial_id: str

    example = {"dial_id": "d1"}


class Kept(Part):
    """A resource of another system, which is stored whole."""

    model_config = ConfigDict(extra="allow")
    numeric_ids = frozenset({"identifier.value"})


class RecordSent(Event, joins="record/{record_id}", sources=("records",)):
    """A resource of another system. It may have fields that no contract knows."""

    record_id: Identifier
    resource: Kept

    example = {"record_id": "r1", "resource": {"note": "x"}}


class BoxSent(Event, joins="box/{box_id}", sources=("boxes",), version=2):
    """A box was sent. In version 1 the number had another name."""

    box_id: Identifier
    tracking_number: Annotated[str, NUMERIC_ID]

    @staticmethod
    def upcast_1(data: dict[str, Any]) -> dict[str, Any]:
        return {**data, "tracking_number": data["number"]}

    example = {"box_id": "p1", "tracking_number": "17"}


class Tally(State, table="tallies", key="name"):
    """A row with several fields, so that a test can write some of them."""

    name: str
    left: str = ""
    right: str = ""
    middle: str = ""
    total: int = 0
    number: int = 0
