"""Which sanctions lists are active, and how their content is stored: as text in parts, each in a row of its own.

A line of a part is the number of an entry, a name, birth years and countries, with tabs between them. The last two are
left out if both are unknown. The keys of the rows begin with the version of the list. The content of a version never
changes.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from daybook.contracts.values import UtcTime
from daybook.store.limits import ITEM_BYTES
from daybook.store.state import State
from events.compliance import DEFAULT_LIST

_MAX_PART_BYTES: Final = ITEM_BYTES // 2  # the item also has names of attributes and a key


class ActiveList(State, table="sanctions", key="name"):
    """The version of a list that is active. The row of DEFAULT_LIST also names the other lists."""

    name: str
    others: tuple[str, ...] = ()
    list_version: str = ""
    loaded_at: UtcTime | None = None
    names: int = 0
    parts: int = 0
    sha256: str = ""
    min_similarity: int = 0  # percent


class ListPart(State, table="sanctions-lists", key="part"):
    """A part of a list's content. `daybook sanctions load` writes it before it sends SanctionsListLoaded."""

    part: str
    content: str = ""


class Listed(NamedTuple):
    """One name of an entry, as it is on the list, with what is known of the entry. Empty means unknown."""

    entry: int
    name: str
    years: tuple[int, ...] = ()  # each may be the year of birth
    countries: tuple[str, ...] = ()  # nationalities, ISO 3166-1 alpha-2


def entry_key(list_name: str, entry: int) -> str:
    """What identifies an entry among all lists: only its number for DEFAULT_LIST, else `eu-13`."""
    return str(entry) if list_name == DEFAULT_LIST else f"{list_name}-{entry}"


def keys(version: str, parts: int) -> list[str]:
    """The keys of the rows of a version with this number of parts."""
    return [f"{version}:{number}" for number in range(parts)]


def write(names: Iterable[Listed]) -> list[str]:
    """The names as parts."""
    parts: list[list[str]] = [[]]
    size = 0
    for listed in names:
        facts = [" ".join(map(str, listed.years)), " ".join(listed.countries)]
        line = "\t".join([str(listed.entry), " ".join(listed.name.split()), *(facts if any(facts) else [])]) + "\n"
        size += len(line.encode())
        if size > _MAX_PART_BYTES and parts[-1]:
            parts.append([])
            size = len(line.encode())
        parts[-1].append(line)
    return ["".join(lines) for lines in parts]


def read(parts: Sequence[str]) -> Iterator[Listed]:
    """The names in parts that `write` made."""
    for part in parts:
        for line in part.splitlines():
            entry, name, *facts = line.split("\t")
            years, countries = facts or ("", "")
            yield Listed(int(entry), name, tuple(map(int, years.split())), tuple(countries.split()))


def digest(parts: Sequence[str]) -> str:
    """SHA-256 of all parts, joined."""
    return hashlib.sha256("".join(parts).encode()).hexdigest()
