"""Switches: whether a consumer receives messages, and if not, who stopped it, why, and since when.

One row in the ledger's table for each consumer that was ever stopped: partition key `switch`, sort key the consumer, so
that one query lists all. A consumer is stopped by an operator (a pause), or by the circuit breaker of an effect while
the external system does not answer. The row is the desired state; control-consumers applies it to the event source
mapping between queue and function.

A breaker is *closed* in normal operation. A number of consecutive failures, of at least two events (one event may cause
failures itself), *opens* it: no calls are made. When its time is over it is *half open*: one delivery makes a trial
call, and all others wait for the result. An answer closes the breaker; a failure opens it again for twice as long.
"""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from math import inf
from typing import Any
from uuid import uuid4

from botocore.exceptions import BotoCoreError, ClientError

from daybook.contracts import clock
from daybook.runtime.retry import BreakerSettings
from daybook.store import ledger_keys
from daybook.store.attributes import pack, pack_item, unpack_item
from daybook.store.ledger import Entry, from_item
from daybook.store.transaction import Backoff, batch_get, is_failed_condition

# The number of different events that must fail: the repeated failures of one event may be caused by the event.
_MIN_EVENTS = 2
# The clocks of two processes differ by less than this (they are synchronised by the Amazon Time Sync Service).
_CLOCKS_DIFFER = timedelta(seconds=2)


class BreakerState(StrEnum):
    """The state of a circuit breaker."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


class BreakerOpen(Exception):
    """The circuit breaker is open, so no call was made. The delivery is retried after `seconds`."""

    def __init__(self, seconds: float) -> None:
        super().__init__("the external system does not answer, and the circuit breaker is open")
        self.seconds = seconds


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

    `failures` counts consecutive failures, `failing` are the ids of their events; `pause` is how long the breaker is
    open, in seconds. `off`: the mapping is off, or about to be, because of this row. So control-consumers switches it
    on when the row has no reason for that any more.
    """

    consumer: str
    opened: bool = False
    failures: int = 0
    failing: frozenset[str] = frozenset()
    opened_at: str = ""
    retry_at: str = ""
    closed_at: str = ""
    resumed_at: str = ""
    pause: int = 0
    trial_until: str = ""
    paused: Paused | None = None
    off: bool = False

    def breaker(self, now: str) -> BreakerState:
        """The state of the breaker at that time."""
        if not self.opened:
            return BreakerState.CLOSED
        return BreakerState.OPEN if now < self.retry_at else BreakerState.HALF_OPEN

    def lets_through(self, now: str) -> bool:
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

    def find_with_status(self, event: str, consumer: str, backoff: Backoff) -> tuple[Entry | None, Switch]:
        """The ledger's row of the event at the consumer, and the consumer's switch, in one call. A consistent read."""
        keys = [ledger_keys.of_event(event, consumer), ledger_keys.of_switch(consumer)]
        request = {self._table: {"Keys": [pack_item(key) for key in keys], "ConsistentRead": True}}
        entry, switch = None, Switch(consumer=consumer)
        for _, item in batch_get(self._dynamodb, request, backoff):
            if item["event"]["S"] == ledger_keys.SWITCHES:
                switch = switch_in(item)
            else:
                entry = from_item(item)
        return entry, switch

    def find(self, consumer: str) -> Switch:
        """The consumer's switch. A consistent read."""
        answer = self._dynamodb.get_item(
            TableName=self._table, Key=pack_item(ledger_keys.of_switch(consumer)), ConsistentRead=True
        )
        return switch_in(answer["Item"]) if "Item" in answer else Switch(consumer=consumer)

    def all(self) -> Iterator[Switch]:
        """The switches of all consumers that have a row. A consistent read."""
        pages = self._dynamodb.get_paginator("query").paginate(
            TableName=self._table,
            KeyConditionExpression="#event = :switch",
            ExpressionAttributeNames={"#event": "event"},
            ExpressionAttributeValues={":switch": pack(ledger_keys.SWITCHES)},
            ConsistentRead=True,
        )
        return (switch_in(item) for page in pages for item in page["Items"])

    # --- for operators --------------------------------------------------------------------------------------------

    def pause(self, consumer: str, paused: Paused) -> dict[str, Any]:
        """The part of a transaction that backoff the consumer, on the condition that it is not paused."""
        values = {":paused": asdict(paused), ":yes": True}
        return {"Update": self._update(consumer, "SET paused = :paused, #off = :yes", _NOT_PAUSED, values)}

    def resume(self, consumer: str) -> dict[str, Any]:
        """The part of a transaction that resumes the consumer, on the condition that it is paused."""
        expression = "SET resumed_at = :now REMOVE paused"
        return {"Update": self._update(consumer, expression, "attribute_exists(paused)", {":now": clock.now()})}

    # --- for control-consumers ------------------------------------------------------------------------------------

    def switched_off(self, consumer: str) -> None:
        """Record that the mapping is about to be switched off."""
        self._write(consumer, "SET #off = :yes", "attribute_exists(consumer)", {":yes": True})

    def switched_on(self, consumer: str) -> None:
        """Record that the mapping is on again, on the condition that the consumer is not stopped meanwhile."""
        condition = f"{_NOT_PAUSED} AND (attribute_not_exists(#opened) OR #opened = :no OR retry_at <= :now)"
        self._write(consumer, "REMOVE #off", condition, {":no": False, ":now": clock.now()})

    # --- for the circuit breaker ----------------------------------------------------------------------------------

    def failed(self, consumer: str, event: str) -> Switch | None:
        """Count one more consecutive failure while the breaker is closed. None if it is open."""
        values = {":one": 1, ":no": False}
        names = {"#failures": "failures", "#failing": "failing", "#opened": "opened"}
        update = self._update(consumer, "ADD #failures :one, #failing :event", _CLOSED, values, names)
        update["ExpressionAttributeValues"][":event"] = {"SS": [event]}
        return self._written(update)

    def answered(self, consumer: str) -> None:
        """Reset the failures while the breaker is closed."""
        self._write(consumer, "REMOVE failures, failing", _CLOSED, {":no": False})

    def open(self, consumer: str, pause: int) -> Switch | None:
        """Open the breaker for `pause` seconds if it is closed. None if it is already open."""
        now = datetime.now(UTC)
        values = {":no": False, ":yes": True, ":now": clock.timestamp(now), ":pause": pause}
        values[":retry"] = clock.timestamp(now + timedelta(seconds=pause))
        expression = "SET #opened = :yes, opened_at = :now, retry_at = :retry, pause = :pause REMOVE trial, trial_until"
        return self._written(self._update(consumer, expression, _CLOSED, values))

    def claim(self, consumer: str, token: str, seconds: float) -> bool:
        """Claim the trial call of a half-open breaker. Returns whether this succeeded.

        The claim ends after `seconds`, so that a process that dies does not keep it.
        """
        now = datetime.now(UTC)
        values = {":yes": True, ":token": token, ":now": clock.timestamp(now)}
        values[":until"] = clock.timestamp(now + timedelta(seconds=seconds) + _CLOCKS_DIFFER)
        free = "(attribute_not_exists(trial_until) OR trial_until < :now OR trial = :token)"
        condition = f"#opened = :yes AND retry_at <= :now AND {free}"
        return self._write(consumer, "SET trial = :token, trial_until = :until", condition, values)

    def close(self, consumer: str, token: str) -> None:
        """Close the breaker: the trial call was answered."""
        expression = "SET #opened = :no, closed_at = :now REMOVE failures, failing, retry_at, pause, trial, trial_until"
        values = {":no": False, ":now": clock.now(), ":token": token}
        self._write(consumer, expression, "trial = :token", values)

    def open_again(self, consumer: str, token: str, pause: int) -> bool:
        """Open the breaker for `pause` seconds: the trial call failed. False if this process has no claim."""
        retry = clock.timestamp(datetime.now(UTC) + timedelta(seconds=pause))
        values = {":retry": retry, ":pause": pause, ":token": token}
        expression = "SET retry_at = :retry, pause = :pause REMOVE trial, trial_until"
        return self._write(consumer, expression, "trial = :token", values)

    def let_go(self, consumer: str, token: str) -> None:
        """Release the claim without a result, so that another delivery can make the trial call."""
        self._write(consumer, "REMOVE trial, trial_until", "trial = :token", {":token": token})

    def _write(self, consumer: str, expression: str, condition: str, values: Mapping[str, object]) -> bool:
        return self._written(self._update(consumer, expression, condition, values)) is not None

    def _written(self, update: Mapping[str, Any]) -> Switch | None:
        try:
            answer = self._dynamodb.update_item(**update, ReturnValues="ALL_NEW")
        except ClientError as error:
            if not is_failed_condition(error):
                raise
            return None
        return switch_in(answer["Attributes"])

    def _update(
        self,
        consumer: str,
        expression: str,
        condition: str,
        values: Mapping[str, object],
        names: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        used = {f"#{name}": name for name in ("opened", "off") if f"#{name}" in f"{expression} {condition}"}
        update: dict[str, Any] = {
            "TableName": self._table,
            "Key": pack_item(ledger_keys.of_switch(consumer)),
            "UpdateExpression": expression,
            "ConditionExpression": condition,
            "ExpressionAttributeValues": pack_item(values),
        }
        named = {**used, **(names or {})}
        return update | ({"ExpressionAttributeNames": named} if named else {})


@dataclass(slots=True)
class Circuit:
    """The circuit breaker for one delivery: whether it may call the external system, and what the result changes.

    Errors while results are recorded are ignored: they must not fail the delivery, and the next delivery records its
    own result.
    """

    switches: Switches
    switch: Switch
    settings: BreakerSettings
    event: str
    _token: str = field(default_factory=lambda: uuid4().hex)
    _is_trial: bool = False

    def enter(self, seconds: float) -> None:
        """Check whether a process that ends within `seconds` may call the external system. Raises BreakerOpen."""
        now = datetime.now(UTC)
        match self.switch.breaker(clock.timestamp(now)):
            case BreakerState.OPEN:
                raise BreakerOpen((clock.moment(self.switch.retry_at) - now).total_seconds())
            case BreakerState.HALF_OPEN:
                self._is_trial = self.switches.claim(self.switch.consumer, self._token, seconds)
                if not self._is_trial:
                    raise BreakerOpen(seconds)

    def answered(self) -> bool:
        """Record that the external system answered, in any way. Returns whether this closed the breaker."""
        with suppress(ClientError, BotoCoreError):
            if self._is_trial:
                self.switches.close(self.switch.consumer, self._token)
                return True
            if self.switch.failures:
                self.switches.answered(self.switch.consumer)
        return False

    def failed(self) -> bool:
        """Record that the external system did not answer. Returns whether this opened the breaker."""
        consumer = self.switch.consumer
        with suppress(ClientError, BotoCoreError):
            if self._is_trial:
                pause = min(2 * max(self.switch.pause, 1), self.settings.longest)
                return self.switches.open_again(consumer, self._token, pause)
            counted = self.switches.failed(consumer, self.event)
            if counted is None:  # another delivery has opened the breaker
                self.switch = self.switches.find(consumer)
                return False
            self.switch = counted
            if counted.failures >= self.settings.failures and len(counted.failing) >= _MIN_EVENTS:
                opened = self.switches.open(consumer, self.settings.first)
                self.switch = opened or self.switches.find(consumer)
                return opened is not None
        return False

    def not_called(self) -> None:
        """Record that no call was made."""
        if self._is_trial:
            with suppress(ClientError, BotoCoreError):
                self.switches.let_go(self.switch.consumer, self._token)


_CLOSED = "attribute_not_exists(#opened) OR #opened = :no"
_NOT_PAUSED = "attribute_not_exists(paused)"
_FIELDS = frozenset(each.name for each in fields(Switch))


def switch_in(item: Mapping[str, Any]) -> Switch:
    """The switch in an item of the ledger's table."""
    values = {name: value for name, value in unpack_item(item).items() if name in _FIELDS}
    if "failing" in values:
        values["failing"] = frozenset(values["failing"])
    if "paused" in values:
        values["paused"] = Paused(**values["paused"])
    return Switch(**values)
