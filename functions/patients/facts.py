"""Facts: what a system of record says, each under a name, each with the revision that said it last.

The revision decides, fact by fact, and never the order of arrival: the same sayings leave the same facts, however late,
often or mixed up they come.
"""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict


class Fact(BaseModel):
    """One fact: a value that JSON can hold, None for what is no longer so, and who says so since when."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    value: Any = None
    revision: int
    event: str

    @property
    def stamp(self) -> tuple[int, str]:
        """By what two sayings are compared. Where a source has said two things in one revision, their ids decide."""
        return self.revision, self.event


Facts = dict[str, Fact]


def newest(facts: Facts, said: Mapping[str, Any], revision: int, event: str) -> Facts:
    """The facts, once an event has said something at a revision, as far as nothing newer is known."""
    new = {name: Fact(value=value, revision=revision, event=event) for name, value in said.items()}
    return facts | {name: fact for name, fact in new.items() if name not in facts or facts[name].stamp < fact.stamp}
