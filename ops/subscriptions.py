"""Who listens to what: the rules on a stage's event bus, read from EventBridge itself."""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Self

from ops.connection import Connection


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

    def consumers(self, source: str | None, event_type: str) -> list[str]:
        """The names of those that get events of this source (None: of any) and type, in order."""
        return sorted({rule.consumer for rule in self._rules if rule.takes(source, event_type)})


def _read(consumer: str, pattern: Mapping[str, Any]) -> _Rule:
    # This system's rules name sources and types outright. Of other kinds of matching, lists and objects, nothing is
    # known here, so that such a rule takes nothing.
    return _Rule(consumer, pattern.get("source"), pattern.get("detail-type"))
