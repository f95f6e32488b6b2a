"""The subscriptions of consumers, and since when: read from the rules of the event bus and from the queues."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self

from daybook.application import catalogue
from daybook.operate.connection import Connection
from daybook.operate.errors import OperatorError
from daybook.operate.queues import find_queue
from daybook.operate.reading import Pair
from daybook.runtime import rules
from daybook.store.journal import JournalEntry


class UnknownConsumer(OperatorError):
    """No consumer of this name subscribes in the stage. It is misspelled, or its service is not deployed."""

    def __init__(self, consumer: str, stage: str, known: Collection[str]) -> None:
        there = f"consumers: {', '.join(sorted(known))}" if known else "there are none"
        super().__init__(
            f"no consumer {consumer} subscribes to the event bus of the stage {stage} ({there}); "
            "check the spelling, and whether its service is deployed"
        )


@dataclass(frozen=True, slots=True)
class _Rule:
    """The subscription of one consumer. None matches everything."""

    consumer: str
    sources: Collection[object] | None
    types: Collection[object] | None

    def matches(self, source: str | None, event_type: str) -> bool:
        return (self.sources is None or source is None or source in self.sources) and (
            self.types is None or event_type in self.types
        )


class Subscriptions:
    """The consumers of a stage, by the events that they subscribe to."""

    def __init__(self, rules: Collection[_Rule]) -> None:
        self._rules = rules

    @classmethod
    def of(cls, connection: Connection) -> Self:
        """The stage's subscriptions: the enabled rules of its event bus."""
        # The rules of this system list sources and types. Other kinds of matching match nothing here.
        return cls(
            [
                _Rule(consumer, pattern.get("source"), pattern.get("detail-type"))
                for consumer, pattern in rules.patterns(connection.eventbridge, connection.names)
            ]
        )

    @property
    def known(self) -> frozenset[str]:
        """The names of all consumers that subscribe."""
        return frozenset(rule.consumer for rule in self._rules)

    def types(self, consumer: str) -> frozenset[str] | None:
        """The types of events that the consumer receives; None is any type."""
        named: set[str] = set()
        for rule in self._rules:
            if rule.consumer == consumer:
                if rule.types is None:
                    return None
                named |= {t for t in map(str, rule.types) if rule.matches(published_source(t), t)}
        return frozenset(named)

    def consumers(self, source: str | None, event_type: str) -> list[str]:
        """The names of the consumers of events with this source (None: any) and type, in order."""
        return sorted({rule.consumer for rule in self._rules if rule.matches(source, event_type)})

    def deliveries(self, lines: Iterable[JournalEntry]) -> dict[Pair, JournalEntry]:
        """Each event with each consumer that should receive it."""
        return {
            (line.id, consumer): line
            for line in lines
            for consumer in self.consumers(published_source(line.type), line.type)
        }


def published_source(event_type: str) -> str | None:
    """The source of this type on the event bus; None, which matches any, for an unknown type."""
    known = catalogue().get(event_type)
    return known.contract.published_source if known else None


def queue_url(connection: Connection, consumer: str) -> str:
    """The URL of the consumer's queue. Raises UnknownConsumer if there is none."""
    url = find_queue(connection, consumer)
    if url is None:
        raise UnknownConsumer(consumer, connection.stage, Subscriptions.of(connection).known)
    return url


def subscribed_since(connection: Connection, consumer: str) -> datetime:
    """Since when the consumer subscribes: when its queue was created, to the second. Raises UnknownConsumer.

    SQS keeps this time (`CreatedTimestamp`). A new deployment does not change it, unless the queue is created again.
    """
    url = queue_url(connection, consumer)
    attributes = connection.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["CreatedTimestamp"])["Attributes"]
    return datetime.fromtimestamp(int(float(attributes["CreatedTimestamp"])), UTC)
