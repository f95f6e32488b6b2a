"""All that there is at one moment, as anybody could read it who knows AWS and nothing of this system's code."""

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from boto3.dynamodb.types import TypeDeserializer

Row = Mapping[str, Any]
"""A row of a table: numbers are int, or Decimal where they are no whole ones."""

Client = Callable[[str], Any]
"""Makes a boto3 client for a service: `client("dynamodb")`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """What was put on the ingress bus, by the notes of whoever put it there; several times perhaps.

    `refused`: the kinds of error for which it may be refused; it must be, unless `taken` says that it may be taken.
    """

    type: str
    source: str
    producer_id: str
    data: Mapping[str, Any]
    taken: bool = True
    refused: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """An event in the store."""

    id: str
    type: str
    stream: str
    sequence: int
    recorded_at: str
    correlation_id: str
    causation_id: str | None
    producer: str
    data: Mapping[str, Any]
    previous: str
    hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Mail:
    """An e-mail that somebody has in their inbox."""

    to: tuple[str, ...]
    subject: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A page that somebody has read."""

    level: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Movement:
    """Money that has moved at the payment provider: in minor units, paid for an order, or paid back."""

    order: str
    amount: int
    currency: str  # upper case


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What there is.

    `listeners` are the consumers of each event type, by the rules on the event bus; `accounts` the ledger's rows of
    events by event id and consumer, `others` its other rows by partition key (`cursor#…`, `attempt#…`, `switch`) and
    sort key. `tables` are the services' tables by the names that their functions know them by (`stock`,
    `order-status`). `ordered` are the consumers that handle a stream in its order.
    """

    streams: Mapping[str, Sequence[Event]]
    listeners: Mapping[str, frozenset[str]]
    ordered: frozenset[str]
    accounts: Mapping[tuple[str, str], Row]
    others: Mapping[tuple[str, str], Row]
    tables: Mapping[str, Sequence[Row]]
    mails: Sequence[Mail] = ()
    pages: Sequence[Page] = ()
    paid: Sequence[Movement] = ()
    paid_back: Sequence[Movement] = ()
    sent: Sequence[Sent] = ()
    by_id: Mapping[str, Event] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "by_id", {event.id: event for event in self.events()})

    def events(self, *types: str) -> Iterator[Event]:
        """All events in the store, of these types if any are named, stream by stream."""
        return (event for stream in self.streams.values() for event in stream if not types or event.type in types)

    def state(self, event: str, consumer: str) -> str | None:
        """What the ledger says of an event at a consumer: `committed`, `dead`, `discarded`, `trying`, or nothing."""
        return self.accounts.get((event, consumer), {}).get("state")


def read(
    client: Client,
    stage: str,
    *,
    mails: Iterable[Mail] = (),
    pages: Iterable[Page] = (),
    paid: Iterable[Movement] = (),
    paid_back: Iterable[Movement] = (),
    sent: Iterable[Sent] = (),
) -> World:
    """Read all of a stage, while it is at rest."""
    dynamodb = client("dynamodb")
    ledger = list(_rows(dynamodb, f"daybook-{stage}-ledger"))
    own = [row for row in ledger if not row["event"].startswith(_SPECIAL)]
    described = dict(_described(client("lambda"), stage))
    return World(
        streams=_streams(_rows(dynamodb, f"daybook-{stage}-store")),
        listeners=_listeners(client("events"), stage),
        ordered=frozenset(name for name, told in described.items() if told.get("ordered")),
        accounts={(row["event"], row["consumer"]): row for row in own},
        others={(row["event"], row["consumer"]): row for row in ledger if row["event"].startswith(_SPECIAL)},
        tables={name: list(_rows(dynamodb, table)) for name, table in _tables(client("lambda"), stage).items()},
        mails=tuple(mails),
        pages=tuple(pages),
        paid=tuple(paid),
        paid_back=tuple(paid_back),
        sent=tuple(sent),
    )


_SPECIAL = ("cursor#", "attempt#", "switch", "operation#")
_TABLE = "DAYBOOK_TABLE_"
_deserialized = TypeDeserializer().deserialize


def _rows(dynamodb: Any, table: str) -> Iterator[Row]:
    for page in dynamodb.get_paginator("scan").paginate(TableName=table, ConsistentRead=True):
        for item in page["Items"]:
            yield {name: _plain(_deserialized(value)) for name, value in item.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else value
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return value


def _streams(rows: Iterable[Row]) -> dict[str, list[Event]]:
    streams: dict[str, list[Event]] = defaultdict(list)
    for row in rows:
        known: dict[str, Any] = {name: row.get(name) for name in Event.__slots__ if name != "data"}
        streams[row["stream"]].append(Event(**known, data=json.loads(row["data"], parse_float=Decimal)))
    return {name: sorted(events, key=lambda event: event.sequence) for name, events in streams.items()}


def _listeners(events: Any, stage: str) -> dict[str, frozenset[str]]:
    """By event type, the queues that a rule on the event bus takes it to, named as the consumers behind them."""
    bus, prefix = f"daybook-{stage}-events", f"daybook-{stage}-"
    found: dict[str, set[str]] = defaultdict(set)
    for page in events.get_paginator("list_rules").paginate(EventBusName=bus, NamePrefix=prefix):
        for rule in page["Rules"]:
            for event_type in json.loads(rule["EventPattern"]).get("detail-type", ()):
                found[event_type].add(rule["Name"].removeprefix(prefix))
    return {event_type: frozenset(consumers) for event_type, consumers in found.items()}


def _functions(lambda_: Any, stage: str) -> Iterator[tuple[str, Mapping[str, str]]]:
    """Each function's name without the stage, and its environment."""
    prefix = f"daybook-{stage}-"
    for page in lambda_.get_paginator("list_functions").paginate():
        for function in page["Functions"]:
            if function["FunctionName"].startswith(prefix):
                told = function.get("Environment", {}).get("Variables", {})
                yield function["FunctionName"].removeprefix(prefix), told


def _described(lambda_: Any, stage: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for name, told in _functions(lambda_, stage):
        yield name, json.loads(told.get("DAYBOOK_CONSUMER", "{}"))


def _tables(lambda_: Any, stage: str) -> dict[str, str]:
    return {
        name.removeprefix(_TABLE).lower().replace("_", "-"): table
        for _, told in _functions(lambda_, stage)
        for name, table in told.items()
        if name.startswith(_TABLE)
    }
