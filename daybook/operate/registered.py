"""The consumers that may have a ledger row for an event: those that subscribe, and those that ever subscribed.

The ledger is keyed by consumer first, so that each role can be held to its own rows. A reader that needs the rows of an
event at all consumers asks here for their names. A consumer that
subscribed for less than a minute may be missing.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Self

from daybook.operate.connection import Connection
from daybook.operate.reading import Pair, Place, entries
from daybook.runtime import rules
from daybook.store.ledger import LedgerEntry
from daybook.store.register import BACKBONE, Register


@dataclass(frozen=True, slots=True)
class KnownConsumers:
    """The known consumers by name, with the types of events that they ever subscribed to. No types mean any type."""

    connection: Connection
    types: Mapping[str, Collection[str]]

    @classmethod
    def of(cls, connection: Connection) -> Self:
        """The consumers in the register and those with a rule, which may be newer, and the backbone's functions."""
        types: dict[str, Collection[str]] = dict.fromkeys(BACKBONE, ())
        for name, known in Register(connection.dynamodb, connection.names.ledger).read().items():
            types[name] = known.types
        for name, pattern in rules.patterns(connection.eventbridge, connection.names):
            types[name] = {*types.get(name, ()), *map(str, pattern.get("detail-type", ()))}
        return cls(connection, types)

    def rows(self, event: str) -> list[LedgerEntry]:
        """The rows of the event at all consumers, ordered by consumer. A consistent read."""
        return self.rows_of_all([(event, None)])[event]

    def rows_of_all(self, events: Iterable[tuple[str, str | None]]) -> Mapping[str, list[LedgerEntry]]:
        """The rows of these events, by event id, each ordered by consumer. An event is its id and its type, if known:
        then only consumers of this type are asked. A consistent read.
        """
        pairs: dict[Pair, None] = {
            (event, name): None
            for event, event_type in events
            for name, types in sorted(self.types.items())
            if event_type is None or not types or event_type in types
        }
        found = entries(self.connection, pairs)
        rows: defaultdict[str, list[LedgerEntry]] = defaultdict(list)
        for pair in pairs:
            if pair in found:
                rows[pair[0]].append(found[pair])
        return rows

    def place_of(self, event: str) -> Place | None:
        """The place of the event with this id in the store, if a ledger row has it."""
        return next(((row.stream, row.sequence) for row in self.rows(event) if row.stream), None)


def rows_of(connection: Connection, event: str, consumer: str = "") -> list[LedgerEntry]:
    """The row of the event at the consumer, if there is one, or its rows at all known consumers. A consistent read."""
    if not consumer:
        return KnownConsumers.of(connection).rows(event)
    found = connection.ledger.find(event, consumer)
    return [found] if found else []
