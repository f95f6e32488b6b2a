"""Switches: whether a consumer receives messages, and if not, who stopped it, why, and since when.

One row in the ledger's table for each consumer that was ever stopped: `<consumer>#switch`. A consumer is
stopped by an operator (a pause), or by the circuit breaker of an effect while the external system does not answer. The
row is the desired state; control-consumers applies it to the event source mapping between queue and function.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from math import inf
from typing import Any

from daybook.contracts import clock
from daybook.store import ledger_keys
from daybook.store.attributes import pack, pack_item, unpack_item
from daybook.store.ledger import LedgerEntry, from_item
from daybook.store.limits import BATCH_GET_ITEMS
from daybook.store.transaction import Backoff, ConditionFailed, batch_get, write_item


class BreakerState(StrEnum):
    """The state of a circuit breaker (circuit_breaker.py)."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


@dataclass(frozen=True, slots=True, kw_only=True)
class Paused:
    """A pause by an operator. `operation` is the id of the operation that the store has recorded."""

    by: str
    reason: str
    since: str
    operation: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Switch:
    """One consumer's row, or the default if it has none. Times are text, or empty.

    `failures` counts consecutive failures, `failing` are the ids of their events; `open_time` is how long the breaker
    is open, in seconds. `off`: the mapping is off, or about to be, because of this row. control-consumers switches it
    on again when the consumer is not paused and its breaker is not open.
    """

    consumer: str
    opened: bool = False
    failures: int = 0
    failing: frozenset[str] = frozenset()
    opened_at: str = ""
    retry_at: str = ""
    closed_at: str = ""
    resumed_at: str = ""
    open_time: int = 0
    trial_until: str = ""
    paused: Paused | None = None
    off: bool = False

    def breaker(self, now: str) -> BreakerState:
        """The state of the breaker at that time."""
        if not self.opened:
            return BreakerState.CLOSED
        return BreakerState.OPEN if now < self.retry_at else BreakerState.HALF_OPEN

    def may_receive(self, now: str) -> bool:
        """Whether the consumer may receive messages at that time."""
        return not self.paused and self.breaker(now) is not BreakerState.OPEN

    def retry_window(self, usual: float) -> float:
        """The retry window in seconds of a delivery that failed because the external system is down. `usual` is the
        stage's window in seconds.

        It is unlimited until the breaker has been closed, and the consumer not paused, for the usual window. So each
        delivery has its full retry window after an outage.
        """
        since = datetime.now(UTC) - timedelta(seconds=usual)
        return inf if self.opened or max(self.closed_at, self.resumed_at) > clock.timestamp(since) else usual


class Switches:
    """Reads and writes a stage's switches. `table` is the ledger's table."""

    def __init__(self, dynamodb: Any, table: str) -> None:
        self._dynamodb = dynamodb
        self._table = table

    def find_with_status(self, event: str, consumer: str, backoff: Backoff) -> tuple[LedgerEntry | None, Switch]:
        """The ledger's row of the event at the consumer, and the consumer's switch, in one call. A consistent read."""
        keys = [ledger_keys.of_event(event, consumer), ledger_keys.of_switch(consumer)]
        request = {self._table: {"Keys": [pack_item(key) for key in keys], "ConsistentRead": True}}
        entry, switch = None, Switch(consumer=consumer)
        for _, item in batch_get(self._dynamodb, request, backoff):
            if item["key"] == pack(keys[1]["key"]):
                switch = switch_from_item(item)
            else:
                entry = from_item(item)
        return entry, switch

    def find(self, consumer: str) -> Switch:
        """The consumer's switch. A consistent read."""
        answer = self._dynamodb.get_item(
            TableName=self._table, Key=pack_item(ledger_keys.of_switch(consumer)), ConsistentRead=True
        )
        return switch_from_item(answer["Item"]) if "Item" in answer else Switch(consumer=consumer)

    def find_all(self, consumers: Collection[str], backoff: Backoff) -> Iterator[Switch]:
        """The switches of those consumers that have a row, ordered by name. A consistent read."""
        names = sorted(consumers)
        for start in range(0, len(names), BATCH_GET_ITEMS):
            keys = [pack_item(ledger_keys.of_switch(name)) for name in names[start : start + BATCH_GET_ITEMS]]
            request = {self._table: {"Keys": keys, "ConsistentRead": True}}
            found = (switch_from_item(item) for _, item in batch_get(self._dynamodb, request, backoff))
            yield from sorted(found, key=lambda switch: switch.consumer)

    # --- for operators --------------------------------------------------------------------------------------------

    def pause(self, consumer: str, paused: Paused) -> dict[str, Any]:
        """The part of a transaction that pauses the consumer, on the condition that it is not paused."""
        values = {":paused": asdict(paused), ":yes": True}
        return {"Update": self._update(consumer, "SET paused = :paused, #off = :yes", _NOT_PAUSED, values)}

    def resume(self, consumer: str) -> dict[str, Any]:
        """The part of a transaction that resumes the consumer, on the condition that it is paused."""
        expression = "SET resumed_at = :now REMOVE paused"
        return {"Update": self._update(consumer, expression, "attribute_exists(paused)", {":now": clock.now()})}

    # --- for control-consumers ------------------------------------------------------------------------------------

    def mark_off(self, consumer: str) -> None:
        """Record that the mapping is about to be switched off."""
        self._write(consumer, "SET #off = :yes", "attribute_exists(#key)", {":yes": True})

    def mark_on(self, consumer: str) -> None:
        """Record that the mapping is on again, on the condition that the consumer is not stopped meanwhile."""
        condition = f"{_NOT_PAUSED} AND (attribute_not_exists(#opened) OR #opened = :no OR retry_at <= :now)"
        self._write(consumer, "REMOVE #off", condition, {":no": False, ":now": clock.now()})

    # --- for the circuit breaker ----------------------------------------------------------------------------------

    def count_failure(self, consumer: str, event: str) -> Switch | None:
        """Count one more consecutive failure while the breaker is closed. None if it is open."""
        values = {":one": 1, ":no": False}
        names = {"#failures": "failures", "#failing": "failing", "#opened": "opened"}
        update = self._update(consumer, "ADD #failures :one, #failing :event", _CLOSED, values, names)
        update["ExpressionAttributeValues"][":event"] = {"SS": [event]}
        return self._written(update)

    def reset_failures(self, consumer: str) -> None:
        """Reset the failures while the breaker is closed."""
        self._write(consumer, "REMOVE failures, failing", _CLOSED, {":no": False})

    def open(self, consumer: str, seconds: int) -> Switch | None:
        """Open the breaker for `seconds` if it is closed. None if it is already open."""
        now = datetime.now(UTC)
        values = {":no": False, ":yes": True, ":now": clock.timestamp(now), ":seconds": seconds}
        values[":retry"] = clock.timestamp(now + timedelta(seconds=seconds))
        expression = (
            "SET #opened = :yes, opened_at = :now, retry_at = :retry, open_time = :seconds REMOVE trial, trial_until"
        )
        return self._written(self._update(consumer, expression, _CLOSED, values))

    def claim_trial(self, consumer: str, token: str, seconds: float) -> bool:
        """Claim the trial call of a half-open breaker. Returns whether this succeeded.

        The claim ends after `seconds`, so that a process that dies does not keep it.
        """
        values = {":yes": True, ":token": token, ":now": clock.now(), ":until": clock.lease(seconds)}
        free = "(attribute_not_exists(trial_until) OR trial_until < :now OR trial = :token)"
        condition = f"#opened = :yes AND retry_at <= :now AND {free}"
        return self._write(consumer, "SET trial = :token, trial_until = :until", condition, values)

    def close(self, consumer: str, token: str) -> None:
        """Close the breaker: the trial call was answered."""
        expression = (
            "SET #opened = :no, closed_at = :now REMOVE failures, failing, retry_at, open_time, trial, trial_until"
        )
        values = {":no": False, ":now": clock.now(), ":token": token}
        self._write(consumer, expression, "trial = :token", values)

    def open_again(self, consumer: str, token: str, seconds: int) -> bool:
        """Open the breaker for `seconds`: the trial call failed. Returns False if this process has no claim."""
        retry = clock.timestamp(datetime.now(UTC) + timedelta(seconds=seconds))
        values = {":retry": retry, ":seconds": seconds, ":token": token}
        expression = "SET retry_at = :retry, open_time = :seconds REMOVE trial, trial_until"
        return self._write(consumer, expression, "trial = :token", values)

    def release_trial(self, consumer: str, token: str) -> None:
        """Release the claim without a result, so that another delivery can make the trial call."""
        self._write(consumer, "REMOVE trial, trial_until", "trial = :token", {":token": token})

    def _write(self, consumer: str, expression: str, condition: str, values: Mapping[str, object]) -> bool:
        return self._written(self._update(consumer, expression, condition, values)) is not None

    def _written(self, update: Mapping[str, Any]) -> Switch | None:
        try:
            answer = write_item(self._dynamodb.update_item, **update, ReturnValues="ALL_NEW")
        except ConditionFailed:
            return None
        return switch_from_item(answer["Attributes"])

    def _update(
        self,
        consumer: str,
        expression: str,
        condition: str,
        values: Mapping[str, object],
        names: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        used = {f"#{name}": name for name in ("key", "opened", "off") if f"#{name}" in f"{expression} {condition}"}
        update: dict[str, Any] = {
            "TableName": self._table,
            "Key": pack_item(ledger_keys.of_switch(consumer)),
            "UpdateExpression": expression,
            "ConditionExpression": condition,
            "ExpressionAttributeValues": pack_item(values),
        }
        named = {**used, **(names or {})}
        return update | ({"ExpressionAttributeNames": named} if named else {})


_CLOSED = "attribute_not_exists(#opened) OR #opened = :no"
_NOT_PAUSED = "attribute_not_exists(paused)"
_FIELDS = frozenset(each.name for each in fields(Switch))


def switch_from_item(item: Mapping[str, Any]) -> Switch:
    """The switch in an item of the ledger's table."""
    values = {name: value for name, value in unpack_item(item).items() if name in _FIELDS}
    values["consumer"], _ = ledger_keys.split(item["key"]["S"])
    if "failing" in values:
        values["failing"] = frozenset(values["failing"])
    if "paused" in values:
        values["paused"] = Paused(**values["paused"])
    return Switch(**values)
