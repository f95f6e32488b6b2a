"""Facts of a record: a value for each name, with the revision of the event that set it.

For each fact the highest revision counts, not the order of arrival. So the same events leave the same facts in any
order, with any delays and duplicates.
"""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict


class Fact(BaseModel):
    """One fact: its JSON value (None if it no longer holds), and the revision and the id of the event that set it."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    value: Any = None
    revision: int
    event: str

    @property
    def version(self) -> tuple[int, str]:
        """What decides which of two facts is newer. The event id decides if a source used one revision twice."""
        return self.revision, self.event


Facts = dict[str, Fact]


def newest(facts: Facts, values: Mapping[str, Any], revision: int, event: str) -> Facts:
    """The facts after an event set these values, except for facts that a newer event has set."""
    new = {name: Fact(value=value, revision=revision, event=event) for name, value in values.items()}
    return facts | {name: fact for name, fact in new.items() if name not in facts or facts[name].version < fact.version}
