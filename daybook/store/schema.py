"""The keys and indexes of a table. The stacks make their tables of it, and so do tests that have no stacks."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Index:
    """A global secondary index. Beside all keys it carries these attributes; with None, all."""

    name: str
    partition: str
    sort: str
    carries: tuple[str, ...] | None = ()


@dataclass(frozen=True, slots=True)
class Schema:
    """The keys of a table, texts except those named in `numbers`, and its indexes."""

    partition: str
    sort: str | None = None
    numbers: frozenset[str] = frozenset()
    indexes: tuple[Index, ...] = ()
