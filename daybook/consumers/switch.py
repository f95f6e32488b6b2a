"""Switches: whether a consumer gets its messages, and, if not, who has said so and since when.

One row in the ledger's table for each consumer that was ever switched: partition key `switch`, sort key the consumer,
so that one query lists all. Two may hold a consumer up: the *breaker* of an effect, by itself, while the world outside
does not answer; and an operator. The row says what is to be; the mapping between queue and function follows it.

A breaker is *closed* while all is well. So many failures in a row, of two events at least (one alone may be to blame
itself), *open* it: nothing is called any more. Once its pause is over it is *half open*: one delivery may try, and all
others wait for how that ends. An answer closes it; another failure opens it again for twice as long.
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
from daybook.store.transaction import Pauses, batch_get

# One event that fails again and again says nothing of others.
_EVENTS = 2
# Clocks of two processes differ by less (AWS keeps them in step by its Time Sync Service).
_CLOCKS_DIFFER = timedelta(seconds=2)


class BreakerState(StrEnum):
    """How a breaker stands."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


class BreakerOpen(Exception):
    """The world outside does not answer, and is not asked. The delivery comes again after so many `seconds`."""

    def __init__(self, seconds: float) -> None:
        super().__init__("the world outside does not answer, and is left alone for a while")
        self.seconds = seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Paused:
    """What an operator has said: `operation` is the act that the store tells of."""

    by: str
    reason: str
    since: str
    operation: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Switch:
    """One consumer's row, or what stands for one that was never switched. Times are text, empty where there is none.

    `failures` in a row, of the events `failing`; `pause` in seconds. `off`: the mapping is switched off because of this
    row, or about to be; so whoever finds no reason in the row any more may switch it on.
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
        """How the breaker stands at that time."""
        if not self.opened:
            return BreakerState.CLOSED
        return BreakerState.OPEN if now < self.retry_at else BreakerState.HALF_OPEN

    def lets_through(self, now: str) -> bool:
        """Whether the consumer should get messages at that time."""
        return not self.paused and self.breaker(now) is not BreakerState.OPEN

    def patience(self, usual: float) -> float:
        """For how many seconds a delivery is believed whose failure says that the world outside is down.

        For ever, until the breaker has been closed, and nobody has held the consumer up, for the usual time: so that
        after an outage every delivery has its full time again.
        """
        since = datetime.now(UTC) - timedelta(seconds=usual)
        return inf if self.opened or max(self.closed_at, self.resumed_at) > clock.timestamp(since) else usual


class Switches:
    """Reads a stage's switches, and writes them. `table` is the ledger's."""

    def __init__(self, dynamodb: Any, table: str) -> None:
        self._dynamodb = dynamodb
        self._table = table

    def beside(self, event: str, consumer: str, pauses: Pauses) -> tuple[Entry | None, Switch]:
        """What became of the event at the consumer, and the consumer's switch: in one call, read consistently."""
        keys = [ledger_keys.of_event(event, consumer), ledger_keys.of_switch(consumer)]
        request = {self._table: {"Keys": [pack_item(key) for key in keys], "ConsistentRead": True}}
        entry, switch = None, Switch(consumer=consumer)
        for _, item in batch_get(self._dynamodb, request, pauses):
            if item["event"]["S"] == ledger_keys.SWITCHES:
                switch = switch_in(item)
            else:
                entry = from_item(item)
        return entry, switch

    def find(self, consumer: str) -> Switch:
        """The consumer's switch, read consistently."""
        answer = self._dynamodb.get_item(
            TableName=self._table, Key=pack_item(ledger_keys.of_switch(consumer)), ConsistentRead=True
        )
        return switch_in(answer["Item"]) if "Item" in answer else Switch(consumer=consumer)

    def all(self) -> Iterator[Switch]:
        """The switches of all consumers that were ever switched, read consistently."""
        pages = self._dynamodb.get_paginator("query").paginate(
            TableName=self._table,
            KeyConditionExpression="#event = :switch",
            ExpressionAttributeNames={"#event": "event"},
            ExpressionAttributeValues={":switch": pack(ledger_keys.SWITCHES)},
            ConsistentRead=True,
        )
        return (switch_in(item) for page in pages for item in page["Items"])

    # --- what an operator says ------------------------------------------------------------------------------------

    def pause(self, consumer: str, paused: Paused) -> dict[str, Any]:
        """The part of a transaction that holds the consumer up, if nobody does."""
        values = {":paused": asdict(paused), ":yes": True}
        return {"Update": self._update(consumer, "SET paused = :paused, #off = :yes", _NOT_PAUSED, values)}

    def resume(self, consumer: str) -> dict[str, Any]:
        """The part of a transaction that takes that back, if somebody does."""
        expression = "SET resumed_at = :now REMOVE paused"
        return {"Update": self._update(consumer, expression, "attribute_exists(paused)", {":now": clock.now()})}

    # --- what the mapping is told ---------------------------------------------------------------------------------

    def switched_off(self, consumer: str) -> None:
        """Note that the mapping is about to be switched off."""
        self._write(consumer, "SET #off = :yes", "attribute_exists(consumer)", {":yes": True})

    def switched_on(self, consumer: str) -> None:
        """Note that the mapping is on again, if nobody holds the consumer up by now."""
        condition = f"{_NOT_PAUSED} AND (attribute_not_exists(#opened) OR #opened = :no OR retry_at <= :now)"
        self._write(consumer, "REMOVE #off", condition, {":no": False, ":now": clock.now()})

    # --- what the breaker finds -----------------------------------------------------------------------------------

    def failed(self, consumer: str, event: str) -> Switch | None:
        """Count one more failure in a row of a breaker that is closed. None if it is open."""
        values = {":one": 1, ":no": False}
        names = {"#failures": "failures", "#failing": "failing", "#opened": "opened"}
        update = self._update(consumer, "ADD #failures :one, #failing :event", _CLOSED, values, names)
        update["ExpressionAttributeValues"][":event"] = {"SS": [event]}
        return self._written(update)

    def answered(self, consumer: str) -> None:
        """Forget the failures of a breaker that is closed."""
        self._write(consumer, "REMOVE failures, failing", _CLOSED, {":no": False})

    def open(self, consumer: str, pause: int) -> Switch | None:
        """Open a breaker that is closed, for so many seconds. None if it is open already."""
        now = datetime.now(UTC)
        values = {":no": False, ":yes": True, ":now": clock.timestamp(now), ":pause": pause}
        values[":retry"] = clock.timestamp(now + timedelta(seconds=pause))
        expression = "SET #opened = :yes, opened_at = :now, retry_at = :retry, pause = :pause REMOVE trial, trial_until"
        return self._written(self._update(consumer, expression, _CLOSED, values))

    def claim(self, consumer: str, token: str, seconds: float) -> bool:
        """Be the one that tries for a breaker that is half open: for so long, should the process die of it."""
        now = datetime.now(UTC)
        values = {":yes": True, ":token": token, ":now": clock.timestamp(now)}
        values[":until"] = clock.timestamp(now + timedelta(seconds=seconds) + _CLOCKS_DIFFER)
        free = "(attribute_not_exists(trial_until) OR trial_until < :now OR trial = :token)"
        condition = f"#opened = :yes AND retry_at <= :now AND {free}"
        return self._write(consumer, "SET trial = :token, trial_until = :until", condition, values)

    def close(self, consumer: str, token: str) -> None:
        """The try was answered: the breaker is closed."""
        expression = "SET #opened = :no, closed_at = :now REMOVE failures, failing, retry_at, pause, trial, trial_until"
        values = {":no": False, ":now": clock.now(), ":token": token}
        self._write(consumer, expression, "trial = :token", values)

    def open_again(self, consumer: str, token: str, pause: int) -> bool:
        """The try has failed: the breaker is open for so many seconds. False if this was not the one that tries."""
        retry = clock.timestamp(datetime.now(UTC) + timedelta(seconds=pause))
        values = {":retry": retry, ":pause": pause, ":token": token}
        expression = "SET retry_at = :retry, pause = :pause REMOVE trial, trial_until"
        return self._write(consumer, expression, "trial = :token", values)

    def let_go(self, consumer: str, token: str) -> None:
        """The try has come to nothing: another may try."""
        self._write(consumer, "REMOVE trial, trial_until", "trial = :token", {":token": token})

    def _write(self, consumer: str, expression: str, condition: str, values: Mapping[str, object]) -> bool:
        return self._written(self._update(consumer, expression, condition, values)) is not None

    def _written(self, update: Mapping[str, Any]) -> Switch | None:
        try:
            answer = self._dynamodb.update_item(**update, ReturnValues="ALL_NEW")
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") != "ConditionalCheckFailedException":
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
    """One delivery's way to the world outside: whether it may ask, and what its answer says of the breaker.

    What cannot be noted of the breaker is let be: it is found out again by the next delivery, and holds up none.
    """

    switches: Switches
    switch: Switch
    settings: BreakerSettings
    event: str
    _token: str = field(default_factory=lambda: uuid4().hex)
    _tries: bool = False

    def enter(self, seconds: float) -> None:
        """Ask whether the world outside may be asked, by a process that lives for so long. Raises BreakerOpen."""
        now = datetime.now(UTC)
        match self.switch.breaker(clock.timestamp(now)):
            case BreakerState.OPEN:
                raise BreakerOpen((clock.moment(self.switch.retry_at) - now).total_seconds())
            case BreakerState.HALF_OPEN:
                self._tries = self.switches.claim(self.switch.consumer, self._token, seconds)
                if not self._tries:
                    raise BreakerOpen(seconds)

    def answered(self) -> bool:
        """The world outside has answered, whatever it said. Returns whether that has closed the breaker."""
        with suppress(ClientError, BotoCoreError):
            if self._tries:
                self.switches.close(self.switch.consumer, self._token)
                return True
            if self.switch.failures:
                self.switches.answered(self.switch.consumer)
        return False

    def failed(self) -> bool:
        """It has not answered. Returns whether that has opened the breaker."""
        consumer = self.switch.consumer
        with suppress(ClientError, BotoCoreError):
            if self._tries:
                pause = min(2 * max(self.switch.pause, 1), self.settings.longest)
                return self.switches.open_again(consumer, self._token, pause)
            noted = self.switches.failed(consumer, self.event)
            if noted is None:  # others have found out
                self.switch = self.switches.find(consumer)
                return False
            self.switch = noted
            if noted.failures >= self.settings.failures and len(noted.failing) >= _EVENTS:
                opened = self.switches.open(consumer, self.settings.first)
                self.switch = opened or self.switches.find(consumer)
                return opened is not None
        return False

    def came_to_nothing(self) -> None:
        """It was not asked."""
        if self._tries:
            with suppress(ClientError, BotoCoreError):
                self.switches.let_go(self.switch.consumer, self._token)


_CLOSED = "attribute_not_exists(#opened) OR #opened = :no"
_NOT_PAUSED = "attribute_not_exists(paused)"
_FIELDS = frozenset(each.name for each in fields(Switch))


def switch_in(item: Mapping[str, Any]) -> Switch:
    """The switch that the ledger's table keeps in `item`."""
    values = {name: value for name, value in unpack_item(item).items() if name in _FIELDS}
    if "failing" in values:
        values["failing"] = frozenset(values["failing"])
    if "paused" in values:
        values["paused"] = Paused(**values["paused"])
    return Switch(**values)
