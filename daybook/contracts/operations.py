"""The events of operations: each change by an operator is recorded as an event, in a stream of its own.

The operator's commands append these events themselves, with the operator's permissions. No function emits them, and no
source may send them. A long operation records several events in its stream.
"""

from typing import Annotated, Literal

from pydantic import Field

from daybook.contracts.contract import Event, Part
from daybook.contracts.values import Identifier, UtcTime

# Keeps an event with this many dead letters far below 64 KiB: event ids and consumer names have limits of their own.
MAX_DEAD_LETTERS = 50

# Characters.
MAX_REASON_LENGTH = 500

OperationId = Annotated[Identifier, Field(description="The id of the operation: of one command with --apply.")]
Operator = Annotated[
    str, Field(min_length=1, max_length=256, description="The operator: the AWS caller identity's ARN, or user@host.")
]
Reason = Annotated[str, Field(max_length=MAX_REASON_LENGTH, description="Why, in the operator's words.")]
EventId = Annotated[str, Field(min_length=1, max_length=256, description="An event's id.")]
Consumer = Annotated[str, Field(min_length=1, max_length=64, description="A consumer's name: `reserve-stock`.")]
View = Annotated[Identifier, Field(description="A view: the name of its table in its stack, `order-status`.")]
Generation = Annotated[int, Field(ge=1, description="The view's generation. Each rebuild gets the next number.")]
Since = Annotated[UtcTime, Field(description="Events recorded at this time or later.")]
Until = Annotated[UtcTime, Field(description="Events recorded before this time.")]


class DeadLetter(Part):
    """A dead letter: an event, the consumer that could not process it, and the kind of error."""

    event: EventId
    consumer: Consumer
    error: str = Field(default="", max_length=256)


DeadLetters = Annotated[
    tuple[DeadLetter, ...], Field(min_length=1, max_length=MAX_DEAD_LETTERS, description="The dead letters.")
]


class DeadLettersRetried(Event, joins="operation/{operation_id}"):
    """An operator has sent dead letters to their consumers again. The ledger has the results."""

    operation_id: OperationId
    operator: Operator
    reason: Reason = ""
    dead_letters: DeadLetters

    example = {
        "operation_id": "6f1d2c3b-7a8e-4f90-9b1a-2c3d4e5f6071",
        "operator": "ada@laptop",
        "reason": "the bank is back",
        "dead_letters": [
            {"event": "0b73e9a8-f681-85b0-ab42-8efcb5b144a6", "consumer": "confirm-order", "error": "KeyError"}
        ],
    }


class DeadLettersDiscarded(Event, joins="operation/{operation_id}"):
    """An operator has decided that these dead letters will not be processed."""

    operation_id: OperationId
    operator: Operator
    reason: Reason = Field(min_length=1)
    dead_letters: DeadLetters

    example = {**DeadLettersRetried.example, "reason": "sent by a test of the checkout"}


class DeadLetterEdited(Event, joins="operation/{operation_id}"):
    """An operator has corrected an event that admit had rejected. It was admitted under the id `admitted`."""

    operation_id: OperationId
    operator: Operator
    reason: Reason = Field(min_length=1)
    dead_letter: DeadLetter
    admitted: EventId
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$", description="The SHA-256 of the rejected body.")

    example = {
        "operation_id": "6f1d2c3b-7a8e-4f90-9b1a-2c3d4e5f6071",
        "operator": "ada@laptop",
        "reason": "the checkout sent 0 pieces",
        "dead_letter": {
            "event": "0b73e9a8-f681-85b0-ab42-8efcb5b144a6",
            "consumer": "admit",
            "error": "ContractBroken",
        },
        "admitted": "954ee5d5-d2e0-81b7-909d-26244858827d",
        "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    }


class EffectResolved(Event, joins="operation/{operation_id}"):
    """An operator has found out the outcome of an effect whose outcome was unknown. `outcome_events` are the ids of the
    service's events that record it.
    """

    operation_id: OperationId
    operator: Operator
    reason: Reason = Field(min_length=1)
    dead_letter: DeadLetter
    idempotency_key: str = Field(min_length=1, max_length=512, description="The idempotency key: `charge/1001`.")
    outcome: Literal["took-effect", "no-effect"] = Field(description="The outcome that the operator has found out.")
    outcome_events: tuple[EventId, ...] = Field(
        default=(), max_length=10, description="Ids of the events that record the outcome."
    )

    example = {
        "operation_id": "6f1d2c3b-7a8e-4f90-9b1a-2c3d4e5f6071",
        "operator": "ada@laptop",
        "reason": "SES has no such message",
        "dead_letter": {
            "event": "0b73e9a8-f681-85b0-ab42-8efcb5b144a6",
            "consumer": "mail-confirmed",
            "error": "OutcomeUnknown",
        },
        "idempotency_key": "email/1001.confirmed",
        "outcome": "no-effect",
    }


class ReplayStarted(Event, joins="operation/{operation_id}"):
    """An operator sends past events to a consumer: those recorded in the time span that match all given filters."""

    operation_id: OperationId
    operator: Operator
    reason: Reason = ""
    consumer: Consumer
    since: Since
    until: Until
    types: tuple[str, ...] = Field(default=(), max_length=100, description="Only events of these types.")
    selected_stream: str = Field(default="", max_length=512, description="Only events of this stream.")
    selected_correlation_id: str = Field(default="", max_length=256, description="Only events of this correlation.")
    selected_events: tuple[EventId, ...] = Field(default=(), max_length=100, description="Only these events.")
    missing: bool = Field(default=False, description="Only events that the consumer never received.")

    example = {
        "operation_id": "6f1d2c3b-7a8e-4f90-9b1a-2c3d4e5f6071",
        "operator": "ada@laptop",
        "consumer": "count-demand",
        "since": "2026-03-01T00:00:00.000000Z",
        "until": "2026-03-02T00:00:00.000000Z",
        "types": ["OrderPlaced"],
    }


class ReplayFinished(Event, joins="operation/{operation_id}"):
    """A replay has ended: every selected event that the consumer had not processed was sent to it."""

    operation_id: OperationId
    operator: Operator
    consumer: Consumer
    delivered: int = Field(ge=0, description="How many events were sent to the consumer.")

    example = {
        "operation_id": "6f1d2c3b-7a8e-4f90-9b1a-2c3d4e5f6071",
        "operator": "ada@laptop",
        "consumer": "count-demand",
        "delivered": 1200,
    }


class SpanPublished(Event, joins="operation/{operation_id}"):
    """An operator has put all events that were recorded in a time span on the event bus again."""

    operation_id: OperationId
    operator: Operator
    reason: Reason = ""
    since: Since
    until: Until
    published: int = Field(ge=0, description="How many events.")

    example = {
        "operation_id": "6f1d2c3b-7a8e-4f90-9b1a-2c3d4e5f6071",
        "operator": "ada@laptop",
        "since": "2026-03-01T00:00:00.000000Z",
        "until": "2026-03-02T00:00:00.000000Z",
        "published": 1200,
    }


class RebuildStarted(Event, joins="operation/{operation_id}"):
    """An operator rebuilds a view: a new generation is built beside the live one."""

    operation_id: OperationId
    operator: Operator
    reason: Reason = ""
    view: View
    generation: Generation

    example = {
        "operation_id": "6f1d2c3b-7a8e-4f90-9b1a-2c3d4e5f6071",
        "operator": "ada@laptop",
        "view": "order-status",
        "generation": 1,
    }


class ViewRebuilt(Event, joins="operation/{operation_id}"):
    """A rebuild has ended: the new generation of the view is live."""

    operation_id: OperationId
    operator: Operator
    view: View
    generation: Generation
    events: int = Field(ge=0, description="How many past events it was built from.")

    example = {**RebuildStarted.example, "events": 1200}


class RebuildAbandoned(Event, joins="operation/{operation_id}"):
    """A rebuild was abandoned. The generation that was live before stays live."""

    operation_id: OperationId
    operator: Operator
    reason: Reason = ""
    view: View
    generation: Generation

    example = RebuildStarted.example


class ShardsAnnounced(Event, joins="operation/{operation_id}"):
    """An operator has announced the number of the journal's shards from an hour on."""

    operation_id: OperationId
    operator: Operator
    reason: Reason = ""
    hour: Annotated[UtcTime, Field(description="The first hour with this number.")]
    shards: Annotated[int, Field(ge=1, description="The number of shards.")]

    example = {
        "operation_id": "6f1d2c3b-7a8e-4f90-9b1a-2c3d4e5f6071",
        "operator": "ada@laptop",
        "reason": "the sale begins at noon",
        "hour": "2026-11-27T10:00:00.000000Z",
        "shards": 64,
    }


class ConsumerPaused(Event, joins="operation/{operation_id}"):
    """An operator has paused a consumer. Its messages wait in its queue until it is resumed."""

    operation_id: OperationId
    operator: Operator
    reason: Reason = Field(min_length=1)
    consumer: Consumer

    example = {
        "operation_id": "6f1d2c3b-7a8e-4f90-9b1a-2c3d4e5f6071",
        "operator": "ada@laptop",
        "reason": "until the new stock table is there",
        "consumer": "reserve-stock",
    }


class ConsumerResumed(Event, joins="operation/{operation_id}"):
    """An operator has resumed a paused consumer. It receives messages again."""

    operation_id: OperationId
    operator: Operator
    reason: Reason = ""
    consumer: Consumer

    example = {**ConsumerPaused.example, "reason": "the table is there"}


class TablesProtected(Event, joins="operation/{operation_id}"):
    """An operator protects tables against deletion."""

    operation_id: OperationId
    operator: Operator
    tables: tuple[str, ...] = Field(min_length=1, max_length=1_000, description="The names of the tables in AWS.")

    example = {
        "operation_id": "6f1d2c3b-7a8e-4f90-9b1a-2c3d4e5f6071",
        "operator": "ada@laptop",
        "tables": ["daybook-prod-store", "daybook-prod-inventory-StockTable0A1B2C3D-1E2F3G4H5I6J"],
    }
