"""Who listens to what, and since when: the rules on a stage's event bus, and the queues behind them, as AWS says."""

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self

from daybook.application import catalogue
from daybook.operate.connection import Connection
from daybook.operate.errors import OperatorError
from daybook.operate.queues import find_queue
from daybook.operate.reading import Pair
from daybook.store.journal import Line


class UnknownConsumer(OperatorError):
    """No consumer of this name listens in the stage. It is misspelled, or its service is not deployed."""

    def __init__(self, consumer: str, stage: str, known: Collection[str]) -> None:
        there = f"those that do: {', '.join(sorted(known))}" if known else "none does"
        super().__init__(
            f"no consumer {consumer} listens on the event bus of the stage {stage} ({there}); "
            "is it misspelled, or its service not deployed?"
        )


@dataclass(frozen=True, slots=True)
class _Rule:
    """What one consumer listens to. None stands for everything."""

    consumer: str
    sources: Collection[object] | None
    types: Collection[object] | None

    def takes(self, source: str | None, event_type: str) -> bool:
        return (self.sources is None or source is None or source in self.sources) and (
            self.types is None or event_type in self.types
        )


class Subscriptions:
    """The consumers of a stage, by the events they listen to."""

    def __init__(self, rules: Collection[_Rule]) -> None:
        self._rules = rules

    @classmethod
    def of(cls, connection: Connection) -> Self:
        """The stage's subscriptions: the rules on its event bus that are on and carry a consumer's name."""
        prefix = connection.names.of("")
        pages = connection.eventbridge.get_paginator("list_rules").paginate(
            EventBusName=connection.names.event_bus, NamePrefix=prefix
        )
        rules = [rule for page in pages for rule in page["Rules"]]
        return cls(
            [
                _read(rule["Name"].removeprefix(prefix), json.loads(rule["EventPattern"]))
                for rule in rules
                if rule.get("EventPattern") and rule.get("State") != "DISABLED"
            ]
        )

    @property
    def known(self) -> frozenset[str]:
        """The names of all consumers that listen."""
        return frozenset(rule.consumer for rule in self._rules)

    def types(self, consumer: str) -> frozenset[str] | None:
        """The types of events that the consumer gets; None stands for any."""
        named: set[str] = set()
        for rule in self._rules:
            if rule.consumer == consumer:
                if rule.types is None:
                    return None
                named |= {t for t in map(str, rule.types) if rule.takes(published_source(t), t)}
        return frozenset(named)

    def consumers(self, source: str | None, event_type: str) -> list[str]:
        """The names of those that get events of this source (None: of any) and type, in order."""
        return sorted({rule.consumer for rule in self._rules if rule.takes(source, event_type)})

    def deliveries(self, lines: Iterable[Line]) -> dict[Pair, Line]:
        """The events, each with each consumer that should receive it."""
        return {
            (line.id, consumer): line
            for line in lines
            for consumer in self.consumers(published_source(line.type), line.type)
        }


def published_source(event_type: str) -> str | None:
    """The source that the event bus carries the type under; None, which stands for any, for one unknown here."""
    known = catalogue().get(event_type)
    return known.contract.published_source if known else None


def queue_url(connection: Connection, consumer: str) -> str:
    """The consumer's queue. Raises UnknownConsumer, if there is none."""
    url = find_queue(connection, consumer)
    if url is None:
        raise UnknownConsumer(consumer, connection.stage, Subscriptions.of(connection).known)
    return url


def listens_since(connection: Connection, consumer: str) -> datetime:
    """Since when the consumer listens: when SQS made its queue, to the second. Raises UnknownConsumer.

    SQS keeps this moment itself (`CreatedTimestamp`), so it cannot be wrong: it stays the same however often the stack
    is deployed again, and is new when the queue is. A tag could not say it but by a template that is never the same.
    """
    url = queue_url(connection, consumer)
    attributes = connection.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["CreatedTimestamp"])["Attributes"]
    return datetime.fromtimestamp(int(float(attributes["CreatedTimestamp"])), UTC)


def _read(consumer: str, pattern: Mapping[str, Any]) -> _Rule:
    # This system's rules name sources and types outright. Of other kinds of matching, lists and objects, nothing is
    # known here, so that such a rule takes nothing.
    return _Rule(consumer, pattern.get("source"), pattern.get("detail-type"))
