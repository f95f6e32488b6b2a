"""The ledger: an inbox table with the processing status of each event at each consumer. Rows are kept permanently.

Partition key `key`: `<consumer>#<event id>`. A consumer writes its row in the same transaction as its work, on the
condition that the event is not done yet. So a duplicate delivery changes nothing. The row also holds each failed
delivery attempt and, for a dead letter, the reason and the body. A later commit replaces all of that.

A row that says that the event is done carries a proof by the consumer's key (daybook/store/ledger_proofs.py).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from daybook.contracts.proof import Writer
from daybook.store import ledger_keys, ledger_proofs
from daybook.store.attributes import pack, pack_item, unpack_item
from daybook.store.schema import Index, Schema
from daybook.store.transaction import Backoff, ConditionFailed, batch_get, write_item

TRYING = "trying"  # not done yet; the message is redelivered
COMMITTED = "committed"
DEAD = "dead"  # a dead letter, which waits for an operator's decision
DISCARDED = "discarded"  # an operator has decided not to process the event
DONE = frozenset({COMMITTED, DISCARDED})

# The sparse index of dead letters: partition key `dead` (the consumer), sort key `at`.
DEAD_INDEX = "dead"
# The attributes in the index besides the keys: enough to list and group dead letters, without their bodies.
DEAD_INDEXED = ("error", "reason", "event_type", "stream", "sequence")

SCHEMA = Schema("key", indexes=(Index(DEAD_INDEX, "dead", "at", DEAD_INDEXED),))

# A condition on a row, with its values.
_Condition = tuple[str, Mapping[str, Any]]
_NOT_DONE: _Condition = (
    "attribute_not_exists(#state) OR NOT #state IN (:committed, :discarded)",
    {":committed": pack(COMMITTED), ":discarded": pack(DISCARDED)},
)
_NOT_COMMITTED: _Condition = (
    "attribute_not_exists(#state) OR #state <> :committed",
    {":committed": pack(COMMITTED)},
)
_IS_DEAD: _Condition = ("#state = :dead", {":dead": pack(DEAD)})
# The attribute with the idempotency key of the effect whose outcome the committed row records.
EFFECT_KEY = "effect"
# The attributes that only dead letters have.
DEAD_LETTER_ATTRIBUTES = ("dead", "error", "reason", "body", "body_key", "attributes", "named_event")


class AlreadyDone(Exception):
    """The event is already committed or discarded at this consumer, as `row` says. That is final, if it is proven."""

    def __init__(self, row: "LedgerEntry") -> None:
        super().__init__("the event is already committed or discarded at this consumer")
        self.row = row


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """One row. `emitted` are the ids of the events that the consumer emitted. `failed_attempts` are the failed delivery
    attempts, oldest first: `at`, `error` and `reason` of each. `details` are all other attributes.
    """

    event: str
    consumer: str
    state: str
    at: str
    stream: str = ""
    sequence: int = 0
    emitted: Sequence[str] = ()
    failed_attempts: Sequence[Mapping[str, Any]] = ()
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def done(self) -> bool:
        """Whether the event is committed or discarded."""
        return self.state in DONE

    @property
    def row(self) -> dict[str, Any]:
        """The row's key and attributes, for its proof."""
        emitted = {"emitted": self.emitted} if self.emitted else {}
        key = ledger_keys.of_event(self.event, self.consumer)
        return {**self.details, **key, "state": self.state, "at": self.at, **emitted}


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """Why a message returns to its queue, with the number of its deliveries so far.

    `error` and `reason` describe a failed delivery attempt. Without them the message is only handed back, which is not
    a failure. `failed_count` is the number of failed attempts of this message. `crashes` is how often a process died
    while it handled it. `begun`: an attempt begins; the next note, or the end of the event, says that it has ended.
    """

    message: str
    deliveries: int
    at: str
    error: str = ""
    reason: str = ""
    failed_count: int = 0
    crashes: int = 0
    begun: bool = False


_FIELDS = ("state", "at", "stream", "sequence", "emitted", "failed_attempts")


class Ledger:
    """Reads and writes one stage's ledger. `dynamodb` is a botocore or boto3 client."""

    def __init__(self, dynamodb: Any, table: str) -> None:
        self._dynamodb = dynamodb
        self.table = table

    def record(self, entry: LedgerEntry, consumer: Writer) -> dict[str, Any]:
        """The part of a transaction that records the event's processing status, on the condition that it is not done.

        `consumer` proves the row. If the condition fails, DynamoDB returns the row. The outcome of an effect is
        recorded even if an operator has discarded the event meanwhile: an external system has performed it.
        """
        values: dict[str, object] = {"state": entry.state, "at": entry.at, **entry.details}
        values |= {"stream": entry.stream, "sequence": entry.sequence}
        if entry.emitted:
            values["emitted"] = list(entry.emitted)
        values |= ledger_proofs.prove(entry.row, consumer)
        condition = _NOT_COMMITTED if EFFECT_KEY in entry.details else _NOT_DONE
        # An attribute that the proof covers must not be left of an earlier status.
        remove = (*DEAD_LETTER_ATTRIBUTES, *ledger_proofs.STATUS, "begun")
        return {"Update": self._update(entry.event, entry.consumer, values, condition, remove=remove)}

    def still_dead(self, event: str, consumer: str) -> dict[str, Any]:
        """The part of a transaction that changes nothing, on the condition that the event is dead at the consumer."""
        return {"Update": self._update(event, consumer, {"state": DEAD}, _IS_DEAD)}

    def record_dead(self, entry: LedgerEntry) -> None:
        """Record a dead letter. The entry's `details` hold error, reason and body. Raises AlreadyDone."""
        values: dict[str, object] = {"state": DEAD, "dead": entry.consumer, "at": entry.at, **entry.details}
        if entry.stream:
            values |= {"stream": entry.stream, "sequence": entry.sequence}
        self._write(self._update(entry.event, entry.consumer, values))

    def note(self, event: str, consumer: str, position: tuple[str, int], note: Note) -> None:
        """Record why a message returns to its queue. `position` is the event's stream and sequence.

        Raises AlreadyDone if another delivery of the event was processed first.
        """
        stream, sequence = position
        values: dict[str, object] = {"stream": stream, "sequence": sequence}
        values |= {"message": note.message, "deliveries": note.deliveries}
        values |= {"failed_count": note.failed_count, "crashes": note.crashes, "begun": note.begun}
        update = self._update(event, consumer, values)
        update["ExpressionAttributeNames"] |= {"#at": "at", "#failed": "failed_attempts"}
        update["ExpressionAttributeValues"] |= {":trying": pack(TRYING), ":at": pack(note.at)}
        update["UpdateExpression"] += ", #state = if_not_exists(#state, :trying), #at = if_not_exists(#at, :at)"
        if note.error:
            failure = {"at": note.at, "error": note.error, "reason": note.reason}
            update["ExpressionAttributeValues"] |= {":none": pack([]), ":failure": pack([failure])}
            update["UpdateExpression"] += ", #failed = list_append(if_not_exists(#failed, :none), :failure)"
        else:
            del update["ExpressionAttributeNames"]["#failed"]
        self._write(update)

    def find(self, event: str, consumer: str) -> LedgerEntry | None:
        """The row of the event at the consumer, or None. A consistent read."""
        answer = self._dynamodb.get_item(
            TableName=self.table, Key=pack_item(ledger_keys.of_event(event, consumer)), ConsistentRead=True
        )
        return from_item(answer["Item"]) if "Item" in answer else None

    def find_all(self, keys: Sequence[Mapping[str, str]], backoff: Backoff) -> Iterator[LedgerEntry]:
        """The rows with these keys, if they exist. At most limits.BATCH_GET_ITEMS keys. A consistent read."""
        if keys:
            request = {self.table: {"Keys": [pack_item(key) for key in keys], "ConsistentRead": True}}
            yield from (from_item(item) for _, item in batch_get(self._dynamodb, request, backoff))

    def _update(
        self,
        event: str,
        consumer: str,
        values: Mapping[str, object],
        condition: _Condition = _NOT_DONE,
        *,
        remove: Sequence[str] = (),
    ) -> dict[str, Any]:
        names = {f"#v{number}": name for number, name in enumerate(values)}
        removed = {f"#r{number}": name for number, name in enumerate(remove) if name not in values}
        expression = "SET " + ", ".join(f"{alias} = :{alias[1:]}" for alias in names)
        if removed:
            expression += " REMOVE " + ", ".join(removed)
        return {
            "TableName": self.table,
            "Key": pack_item(ledger_keys.of_event(event, consumer)),
            "UpdateExpression": expression,
            "ConditionExpression": condition[0],
            "ExpressionAttributeNames": {**names, **removed, "#state": "state"},
            "ExpressionAttributeValues": {
                **{f":{alias[1:]}": pack(values[name]) for alias, name in names.items()},
                **condition[1],
            },
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }

    def _write(self, update: Mapping[str, Any]) -> None:
        try:
            write_item(self._dynamodb.update_item, **update)
        except ConditionFailed as failed:
            raise AlreadyDone(from_item(failed.item)) from failed


def from_item(item: Mapping[str, Any]) -> LedgerEntry:
    """The row in an item of the ledger's table. Its key says to which event and consumer it belongs."""
    values = unpack_item(item)
    consumer, event = ledger_keys.split(values.pop("key"))
    # Somebody else may have written a row without a state or a time.
    known = {"state": "", "at": ""} | {name: values[name] for name in _FIELDS if name in values}
    return LedgerEntry(
        event, consumer, **known, details={name: value for name, value in values.items() if name not in _FIELDS}
    )
