"""What operators do: each act is a fact like any other, on a stream of its own.

The operator's commands append these events themselves, with the operator's own rights; no function emits them, and
nobody may send them. An act that takes long, or concerns much, tells of itself in several events of one stream.
"""

from typing import Annotated, Literal

from pydantic import Field

from daybook.contracts.contract import Event, Part
from daybook.contracts.values import Identifier, UtcTime

# With it an event of a hundred letters stays far below 64 KiB: ids and consumers have their own limits.
MOST_LETTERS = 50

# Characters. With the longest all events of operators stay far below 64 KiB.
LONGEST_REASON = 500

OperationId = Annotated[Identifier, Field(description="Names one act: one command that was carried out.")]
Operator = Annotated[
    str, Field(min_length=1, max_length=256, description="Who did it: the ARN of AWS's caller identity, or user@host.")
]
Reason = Annotated[str, Field(max_length=LONGEST_REASON, description="Why, in the operator's words.")]
EventId = Annotated[str, Field(min_length=1, max_length=256, description="An event's id.")]
Consumer = Annotated[str, Field(min_length=1, max_length=64, description="A consumer, by its name: `reserve-stock`.")]
View = Annotated[Identifier, Field(description="A view, by the name of its table in its stack: `order-status`.")]
Generation = Annotated[int, Field(ge=1, description="Which making of the view: those before have smaller numbers.")]
Since = Annotated[UtcTime, Field(description="From then on, by the time of recording.")]
Until = Annotated[UtcTime, Field(description="Before then.")]


class Letter(Part):
    """A dead letter: an event, the consumer at which it was dead, and the kind of failure."""

    event: EventId
    consumer: Consumer
    error: str = Field(default="", max_length=256)


Letters = Annotated[tuple[Letter, ...], Field(min_length=1, max_length=MOST_LETTERS, description="Which dead letters.")]


class DeadLettersRetried(Event, joins="operation/{operation_id}"):
    """These dead letters are given to their consumers once more. How that ends, the ledger says."""

    operation_id: OperationId
    operator: Operator
    reason: Reason = ""
    letters: Letters

    example = {
        "operation_id": "6f1d2c3b-7a8e-4f90-9b1a-2c3d4e5f6071",
        "operator": "ada@laptop",
        "reason": "the bank is back",
        "letters": [
            {"event": "0b73e9a8-f681-85b0-ab42-8efcb5b144a6", "consumer": "confirm-order", "error": "KeyError"}
        ],
    }


class DeadLettersDiscarded(Event, joins="operation/{operation_id}"):
    """It was decided that these dead letters will not be processed."""

    operation_id: OperationId
    operator: Operator
    reason: Reason = Field(min_length=1)
    letters: Letters

    example = {**DeadLettersRetried.example, "reason": "sent by a test of the checkout"}


class DeadLetterEdited(Event, joins="operation/{operation_id}"):
    """What admit had refused was mended, and the mended event was admitted under the id `admitted`."""

    operation_id: OperationId
    operator: Operator
    reason: Reason = Field(min_length=1)
    letter: Letter
    admitted: EventId
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$", description="Of the body that was refused.")

    example = {
        "operation_id": "6f1d2c3b-7a8e-4f90-9b1a-2c3d4e5f6071",
        "operator": "ada@laptop",
        "reason": "the checkout sent 0 pieces",
        "letter": {"event": "0b73e9a8-f681-85b0-ab42-8efcb5b144a6", "consumer": "admit", "error": "ContractBroken"},
        "admitted": "954ee5d5-d2e0-81b7-909d-26244858827d",
        "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    }


class EffectResolved(Event, joins="operation/{operation_id}"):
    """Somebody has found out how an effect ended whose outcome was unknown. `told` are the ids of the events that say
    so in its service's words.
    """

    operation_id: OperationId
    operator: Operator
    reason: Reason = Field(min_length=1)
    letter: Letter
    purpose: str = Field(min_length=1, max_length=512, description="What was attempted: `letter/1001/confirmed`.")
    outcome: Literal["took-effect", "no-effect"] = Field(description="What was found out.")
    told: tuple[EventId, ...] = Field(default=(), max_length=10, description="Ids of the events that tell it.")

    example = {
        "operation_id": "6f1d2c3b-7a8e-4f90-9b1a-2c3d4e5f6071",
        "operator": "ada@laptop",
        "reason": "SES has no such message",
        "letter": {
            "event": "0b73e9a8-f681-85b0-ab42-8efcb5b144a6",
            "consumer": "mail-confirmed",
            "error": "OutcomeUnknown",
        },
        "purpose": "letter/1001.confirmed",
        "outcome": "no-effect",
    }


class ReplayStarted(Event, joins="operation/{operation_id}"):
    """A consumer is given events of the past. Those which: recorded in the span, and of these what else is said."""

    operation_id: OperationId
    operator: Operator
    reason: Reason = ""
    consumer: Consumer
    since: Since
    until: Until
    types: tuple[str, ...] = Field(default=(), max_length=100, description="Of these types only.")
    selected_stream: str = Field(default="", max_length=512, description="On this stream only.")
    selected_correlation_id: str = Field(default="", max_length=256, description="Of this story only.")
    selected_events: tuple[EventId, ...] = Field(default=(), max_length=100, description="These events only.")
    missing: bool = Field(default=False, description="Only what the ledger has no row of at the consumer.")

    example = {
        "operation_id": "6f1d2c3b-7a8e-4f90-9b1a-2c3d4e5f6071",
        "operator": "ada@laptop",
        "consumer": "count-demand",
        "since": "2026-03-01T00:00:00.000000Z",
        "until": "2026-03-02T00:00:00.000000Z",
        "types": ["OrderPlaced"],
    }


class ReplayFinished(Event, joins="operation/{operation_id}"):
    """All events of a replay were looked at, and those that the consumer lacked were given to it."""

    operation_id: OperationId
    operator: Operator
    consumer: Consumer
    delivered: int = Field(ge=0, description="How many events the consumer was given.")

    example = {
        "operation_id": "6f1d2c3b-7a8e-4f90-9b1a-2c3d4e5f6071",
        "operator": "ada@laptop",
        "consumer": "count-demand",
        "delivered": 1200,
    }


class SpanPublished(Event, joins="operation/{operation_id}"):
    """What was recorded in a span of time was put on the event bus once more."""

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
    """A view is made anew, beside the one that people read."""

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
    """A view that was made anew has taken the place of the one before."""

    operation_id: OperationId
    operator: Operator
    view: View
    generation: Generation
    events: int = Field(ge=0, description="From how many of the past it was made.")

    example = {**RebuildStarted.example, "events": 1200}


class RebuildAbandoned(Event, joins="operation/{operation_id}"):
    """A rebuild has ended without a new view. People read the one from before."""

    operation_id: OperationId
    operator: Operator
    reason: Reason = ""
    view: View
    generation: Generation

    example = RebuildStarted.example


class ConsumerPaused(Event, joins="operation/{operation_id}"):
    """A consumer gets no messages until it is resumed. They wait in its queue."""

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
    """A consumer that was paused gets its messages again."""

    operation_id: OperationId
    operator: Operator
    reason: Reason = ""
    consumer: Consumer

    example = {**ConsumerPaused.example, "reason": "the table is there"}
