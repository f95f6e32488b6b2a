"""A snapshot of the whole system, read through AWS's APIs without this system's own code."""

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from boto3.dynamodb.types import Binary, TypeDeserializer

Row = Mapping[str, Any]
"""A row of a table. Numbers are int, or Decimal if they are not whole."""

Client = Callable[[str], Any]
"""Creates a boto3 client for a service: `client("dynamodb")`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """An event that was put on the ingress bus, perhaps several times.

    `allowed_errors` are errors with which it may be rejected. It must be rejected unless `may_be_admitted`.
    """

    type: str
    source: str
    producer_id: str
    data: Mapping[str, Any]
    may_be_admitted: bool = True
    allowed_errors: frozenset[str] = frozenset()


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
class Email:
    """A delivered e-mail."""

    to: tuple[str, ...]
    subject: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A delivered page."""

    level: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Movement:
    """A charge or a refund at the payment provider, in minor units."""

    order: str
    amount: int
    currency: str  # upper case


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The state of the system.

    `listeners` are the consumers of each event type, according to the rules on the event bus; `statuses` the ledger's
    rows of events by event id and consumer; `other_rows` its other rows by the rest of their keys (`cursor#…`,
    `effect#…`, `switch`) and consumer. `tables` are the services' tables by their names in the stacks (`stock`,
    `order-status`). `ordered` are the consumers that process a stream in order.
    """

    streams: Mapping[str, Sequence[Event]]
    listeners: Mapping[str, frozenset[str]]
    ordered: frozenset[str]
    statuses: Mapping[tuple[str, str], Row]
    other_rows: Mapping[tuple[str, str], Row]
    tables: Mapping[str, Sequence[Row]]
    emails: Sequence[Email] = ()
    pages: Sequence[Page] = ()
    paid: Sequence[Movement] = ()
    refunds_made: Sequence[Movement] = ()
    sent: Sequence[Sent] = ()
    by_id: Mapping[str, Event] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "by_id", {event.id: event for event in self.events()})

    def events(self, *types: str) -> Iterator[Event]:
        """All events in the store, or those of these types, stream by stream."""
        return (event for stream in self.streams.values() for event in stream if not types or event.type in types)

    def state(self, event: str, consumer: str) -> str | None:
        """The ledger's status of an event at a consumer: `committed`, `dead`, `discarded`, `trying`, or None."""
        return self.statuses.get((event, consumer), {}).get("state")


def read(
    client: Client,
    stage: str,
    *,
    emails: Iterable[Email] = (),
    pages: Iterable[Page] = (),
    paid: Iterable[Movement] = (),
    refunds_made: Iterable[Movement] = (),
    sent: Iterable[Sent] = (),
) -> Snapshot:
    """Read the state of a stage while it is idle."""
    dynamodb = client("dynamodb")
    # Keys are <consumer>#<event>, or <consumer>#<kind of row>#…; those of the register and of replays begin with #.
    ledger = {tuple(row["key"].split("#", 1)[::-1]): row for row in _rows(dynamodb, f"daybook-{stage}-ledger")}
    other = {pair for pair in ledger if not pair[1] or "#" in pair[0] or pair[0] == "switch"}
    described = dict(_described(client("lambda"), stage))
    return Snapshot(
        streams=_streams(_rows(dynamodb, f"daybook-{stage}-store")),
        listeners=_listeners(client("events"), stage),
        ordered=frozenset(name for name, consumer in described.items() if consumer.get("ordered")),
        statuses={pair: row for pair, row in ledger.items() if pair not in other},
        other_rows={pair: row for pair, row in ledger.items() if pair in other},
        tables={name: list(_rows(dynamodb, table)) for name, table in _tables(client("lambda"), stage).items()},
        emails=tuple(emails),
        pages=tuple(pages),
        paid=tuple(paid),
        refunds_made=tuple(refunds_made),
        sent=tuple(sent),
    )


_TABLE = "DAYBOOK_TABLE_"
_deserialized = TypeDeserializer().deserialize


def _rows(dynamodb: Any, table: str) -> Iterator[Row]:
    for page in dynamodb.get_paginator("scan").paginate(TableName=table, ConsistentRead=True):
        for item in page["Items"]:
            yield {name: _plain(_deserialized(value)) for name, value in item.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else value
    if isinstance(value, Binary):
        return bytes(value).hex()  # type: ignore[call-overload] # the stubs leave out __bytes__
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
    """The consumers of each event type: the queues that a rule on the event bus sends it to."""
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
                variables = function.get("Environment", {}).get("Variables", {})
                yield function["FunctionName"].removeprefix(prefix), variables


def _described(lambda_: Any, stage: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for name, variables in _functions(lambda_, stage):
        yield name, json.loads(variables.get("DAYBOOK_CONSUMER", "{}"))


def _tables(lambda_: Any, stage: str) -> dict[str, str]:
    return {
        name.removeprefix(_TABLE).lower().replace("_", "-"): table
        for _, variables in _functions(lambda_, stage)
        for name, table in variables.items()
        if name.startswith(_TABLE)
    }
