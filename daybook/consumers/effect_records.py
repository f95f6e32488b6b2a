"""Effect records: written before an effect calls an external system, and kept permanently.

One row in the ledger's table for each idempotency key: `charge-order#effect#charge/1001`. It
guarantees that a call is made once for each key, even if messages are redelivered, processes die, or several events
cause the same call.

A record is not written again when the outcome is known: the ledger's row of the event that caused the call then is
*committed*, and names the idempotency key, which its proof covers. So the record is *open* for ever, and an open record
whose cause is not committed means that it is not known whether the call took effect.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import inf
from typing import Any, TypeVar
from uuid import uuid4

from daybook.consumers.failure import RetryLater
from daybook.contracts import clock
from daybook.store import ledger_keys
from daybook.store.attributes import pack_item, unpack_item
from daybook.store.ledger import COMMITTED, EFFECT_KEY, Ledger, LedgerEntry
from daybook.store.transaction import ConditionFailed, write_item

T = TypeVar("T")

OPEN = "open"  # begun
WITHDRAWN = "withdrawn"  # certainly without effect; may begin again


class NotPerformed(RetryLater):
    """The call certainly had no effect: the external system is down, overloaded, or denies access. The event is retried
    later, and this is not a failed delivery attempt.
    """


class OutcomeUnknown(Exception):
    """A call was made, and it is not known whether it took effect.

    If the body can query the outcome, the delivery is retried. Otherwise (`final`) the message becomes a dead letter at
    once, and the call is not repeated until an operator has found out the outcome. `unanswered`: the call failed, and
    not this system's own code, so this is not a failed delivery attempt.
    """

    def __init__(self, sentence: str, *, final: bool, unanswered: bool = False) -> None:
        super().__init__(sentence)
        self.final = final
        self.unanswered = unanswered
        self.retry_window: float | None = None  # the retry window in seconds; None: the stage's setting


class InProgress(RetryLater):
    """Another process is making the call, or the outcome of the same call for another event is not known yet."""


class AlreadyPerformed(Exception):
    """The call was already made for another event with the same idempotency key, as that event's ledger row says. This
    is final, if the row is proven.
    """

    def __init__(self, entry: LedgerEntry) -> None:
        super().__init__("the call was already made for another event with the same idempotency key")
        self.entry = entry


@dataclass(slots=True)
class EffectRecord:
    """An effect record that this process holds. `notes` are the facts that earlier deliveries have noted.

    `outcome_unknown`: an earlier delivery began the call, and it may have taken effect.
    """

    idempotency_key: str
    outcome_unknown: bool
    notes: Mapping[str, str]
    _number: int
    _records: "EffectRecords" = field(repr=False)
    not_called: bool = False
    """Whether the body ended or failed before it called the external system."""

    def note(self, **facts: str) -> None:
        """Note facts permanently for later deliveries, such as the external system's id of the call. Raises
        InProgress.
        """
        self._records.write(
            self.idempotency_key,
            "SET " + ", ".join(f"notes.#note_{name} = :note_{name}" for name in facts),
            self._number,
            names={f"#note_{name}": name for name in facts},
            values={f":note_{name}": value for name, value in facts.items()},
        )
        self.notes = {**self.notes, **facts}

    @contextmanager
    def preparing(self) -> Iterator[None]:
        """A block for code before the first call to the external system. If it fails, the delivery is retried like any
        other, because no call was made. Do not use it after a call.
        """
        self.not_called = True
        yield
        self.not_called = False

    def without_call(self, outcome: T) -> T:
        """Return an outcome for which no call was needed. The circuit breaker then ignores this delivery."""
        self.not_called = True
        return outcome

    def withdraw(self) -> None:
        """Record that the call had no effect. Raises InProgress."""
        values = {":withdrawn": WITHDRAWN}
        self._records.write(self.idempotency_key, "SET #state = :withdrawn REMOVE #until", self._number, values=values)

    def release(self) -> None:
        """Release the record, which stays open, for the next delivery. Raises InProgress."""
        self._records.write(self.idempotency_key, "REMOVE #until", self._number)


class EffectRecords:
    """Reads and writes one consumer's effect records, which are in the ledger's table."""

    def __init__(self, dynamodb: Any, ledger: Ledger, consumer: str) -> None:
        self._dynamodb = dynamodb
        self._ledger = ledger
        self._consumer = consumer

    def find(self, idempotency_key: str) -> dict[str, Any] | None:
        """The record with this idempotency key: `state`, `cause`, `number`, `notes`, and `until`, when the lease of the
        process that holds it ends. None if there is no record. A consistent read.
        """
        found = self._dynamodb.get_item(
            TableName=self._ledger.table, Key=self._key(idempotency_key), ConsistentRead=True
        )
        return unpack_item(found["Item"]) if "Item" in found else None

    def begin(self, idempotency_key: str, *, cause: str, seconds: float) -> EffectRecord:
        """Record that a call is about to be made for the event `cause`, by a process that ends within `seconds`.

        Raises AlreadyPerformed if the call was already made for another event, InProgress if another process is making
        it.
        """
        values = {":open": OPEN, ":withdrawn": WITHDRAWN, ":cause": cause, ":none": {}, ":zero": 0, ":one": 1}
        # botocore repeats an update whose answer was lost. The token shows that the row is from this process.
        token = uuid4().hex
        values |= {":now": clock.now(), ":until": clock.lease(seconds), ":token": token}
        update: dict[str, Any] = {
            "TableName": self._ledger.table,
            "Key": self._key(idempotency_key),
            "UpdateExpression": "SET #state = :open, cause = :cause, begun_at = :now, #until = :until, "
            "#token = :token, notes = if_not_exists(notes, :none), #number = if_not_exists(#number, :zero) + :one",
            "ConditionExpression": "attribute_not_exists(#state) OR #state = :withdrawn",
            "ExpressionAttributeNames": _NAMES,
            "ExpressionAttributeValues": pack_item(values),
            "ReturnValues": "ALL_NEW",
        }
        try:
            row = unpack_item(write_item(self._dynamodb.update_item, **update)["Attributes"])
        except ConditionFailed:
            row = self.find(idempotency_key) or {}
            if row.get("token") != token:
                return self._take_over(idempotency_key, row, cause, seconds)
        return EffectRecord(
            idempotency_key, outcome_unknown=False, notes=row["notes"], _number=row["number"], _records=self
        )

    def _take_over(self, idempotency_key: str, row: Mapping[str, Any], cause: str, seconds: float) -> EffectRecord:
        """Take over the existing record, if the process that held it must have ended."""
        if row["cause"] != cause:
            if performed := self.performed(idempotency_key, row):
                raise AlreadyPerformed(performed)
            msg = "another event has the same idempotency key, and the outcome of its call is not known yet"
            raise InProgress(msg)
        if row.get("until", "") > clock.now():
            msg = "another process is making the call"
            raise InProgress(msg, retry_window=inf)  # its lease ends soon
        until = {":until": clock.lease(seconds), ":one": 1}
        number = row["number"]
        # Without the token, a repeated update of the process that began it does not find its own token here.
        expression = "SET #until = :until, #number = #number + :one REMOVE #token"
        self.write(idempotency_key, expression, number, values=until)
        return EffectRecord(
            idempotency_key, outcome_unknown=True, notes=row["notes"], _number=number + 1, _records=self
        )

    def performed(self, idempotency_key: str, record: Mapping[str, Any]) -> LedgerEntry | None:
        """The ledger row that records the outcome of the call that this record is about, if it is known. The caller
        must check its proof.
        """
        entry = self._ledger.find(record["cause"], self._consumer)
        recorded = entry is not None and entry.state == COMMITTED and entry.details.get(EFFECT_KEY) == idempotency_key
        return entry if recorded else None

    def update(
        self,
        idempotency_key: str,
        expression: str,
        number: int,
        *,
        names: Mapping[str, str] | None = None,
        values: Mapping[str, object] | None = None,
    ) -> dict[str, Any]:
        """An update of an open record, on the condition that no other process has taken it over."""
        used = {name: text for name, text in _NAMES.items() if name in f"{expression} #state #number"}
        return {
            "TableName": self._ledger.table,
            "Key": self._key(idempotency_key),
            "UpdateExpression": expression,
            "ConditionExpression": "#state = :open AND #number = :number",
            "ExpressionAttributeNames": {**used, **(names or {})},
            "ExpressionAttributeValues": pack_item({":open": OPEN, ":number": number, **(values or {})}),
        }

    def write(
        self,
        idempotency_key: str,
        expression: str,
        number: int,
        *,
        names: Mapping[str, str] | None = None,
        values: Mapping[str, object] | None = None,
    ) -> None:
        """Write such an update. Raises InProgress if another process has taken over the record."""
        try:
            update = self.update(idempotency_key, expression, number, names=names, values=values)
            write_item(self._dynamodb.update_item, **update)
        except ConditionFailed as failed:
            msg = "another process has taken over the effect record"
            raise InProgress(msg, retry_window=inf) from failed

    def _key(self, idempotency_key: str) -> dict[str, Any]:
        return pack_item(ledger_keys.of_effect(idempotency_key, self._consumer))


# Reserved words in DynamoDB's expressions.
_NAMES = {"#state": "state", "#until": "until", "#number": "number", "#token": "token"}
