"""The keys and indexes of a table. Stacks create their tables from it, and so do tests without stacks."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Index:
    """A global secondary index. Besides all keys it contains the attributes `carries`; None means all attributes."""

    name: str
    partition: str
    sort: str
    carries: tuple[str, ...] | None = ()


@dataclass(frozen=True, slots=True)
class Schema:
    """The keys and indexes of a table. Keys are strings, except those in `numbers`."""

    partition: str
    sort: str | None = None
    numbers: frozenset[str] = frozenset()
    indexes: tuple[Index, ...] = ()
