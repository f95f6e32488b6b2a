"""The content of a sanctions list, as the operator's command writes it and functions read it: names in parts.

A part is text, one name a line, behind the number of its entry. It is kept in a row of its own, under the version of
the list; what is kept under a version never changes.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from daybook.contracts.values import UtcTime
from daybook.store.limits import ITEM_BYTES
from daybook.store.state import State

# Bytes: the item has its names and its key beside it.
_LARGEST_PART: Final = ITEM_BYTES // 2


# There is one: the list of Specially Designated Nationals.
LIST: Final = "sdn"


class ListInForce(State, table="sanctions", key="name"):
    """Which load of the list is in force. Nobody changes the content of a version."""

    name: str
    list_version: str = ""
    loaded_at: UtcTime | None = None
    names: int = 0
    parts: int = 0
    sha256: str = ""
    least_likeness: int = 0


class ListPart(State, table="sanctions-lists", key="part"):
    """A part of a list's content. The operator's command writes it, before anybody is told of the version."""

    part: str
    content: str = ""


class Listed(NamedTuple):
    """One name of an entry of the list, as the list writes it."""

    entry: int
    name: str


def keys(version: str, parts: int) -> list[str]:
    """The keys of the rows of a version that is kept in so many parts."""
    return [f"{version}:{number}" for number in range(parts)]


def written(names: Iterable[Listed]) -> list[str]:
    """The names as parts."""
    parts: list[list[str]] = [[]]
    size = 0
    for listed in names:
        line = f"{listed.entry}\t{' '.join(listed.name.split())}\n"
        size += len(line.encode())
        if size > _LARGEST_PART and parts[-1]:
            parts.append([])
            size = len(line.encode())
        parts[-1].append(line)
    return ["".join(lines) for lines in parts]


def read(parts: Sequence[str]) -> Iterator[Listed]:
    """The names in parts that were written so."""
    for part in parts:
        for line in part.splitlines():
            entry, _, name = line.partition("\t")
            yield Listed(int(entry), name)


def digest(parts: Sequence[str]) -> str:
    """SHA-256 of all parts, one behind the other."""
    return hashlib.sha256("".join(parts).encode()).hexdigest()
