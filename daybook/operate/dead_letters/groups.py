"""Dead letters by what went wrong: consumer, kind of error, and the reason without what differs from case to case."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Self

from daybook.operate.dead_letters.index import Letter

# More kinds of failure than anybody reads, and few enough to hold, however many letters there are.
_MOST_GROUPS = 500

_QUOTED = re.compile(r"""(?<!\w)'[^']*'(?!\w)|"[^"]*"|`[^`]*`""")
_UUID = re.compile(r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", re.IGNORECASE)
_HEX = re.compile(r"\b(0x[0-9a-f]+|(?=[0-9a-f]*\d)[0-9a-f]{8,})\b", re.IGNORECASE)
_TIME = re.compile(r"\b\d{4}-\d\d-\d\dT[\d:.]+(Z|[+-]\d\d:\d\d)?")
_NUMBER = re.compile(r"(?<![\w-])[+-]?\d+([.,:]\d+)*(?![\w-])")
_ID = re.compile(r"\b(?=[\w-]*\d)[\w-]+\b")
_PARTICULARS = (
    (_QUOTED, "<text>"),
    (_UUID, "<id>"),
    (_TIME, "<time>"),
    (_NUMBER, "<n>"),
    (_HEX, "<hex>"),
    (_ID, "<id>"),
)
# Where an error arose is what it is about: a line of code is no number that differs from case to case.
_PLACE = re.compile(r"(\S+\.py:\d+)")


def normalised(reason: str) -> str:
    """The reason without what differs from case to case: `<text>`, `<id>`, `<time>`, `<n>`, `<hex>` stand for that."""
    parts = _PLACE.split(reason)
    return "".join(part if number % 2 else _without_particulars(part) for number, part in enumerate(parts))


def _without_particulars(text: str) -> str:
    for pattern, placeholder in _PARTICULARS:
        text = pattern.sub(placeholder, text)
    return text


@dataclass(slots=True)
class Group:
    """Letters that died of the same at one consumer. Times say when they died; `example` is the newest letter's id."""

    consumer: str
    error: str
    reason: str
    count: int = 0
    oldest: str = ""
    newest: str = ""
    example: str = ""

    def add(self, letter: Letter) -> None:
        """Count one more."""
        self.count += 1
        self.oldest = min(self.oldest or letter.at, letter.at)
        if letter.at >= self.newest:
            self.newest, self.example = letter.at, letter.id


@dataclass(slots=True)
class Failures:
    """Letters in groups. `others` are how many there are of kinds beyond the first 500 that were met."""

    others: int = 0
    _groups: dict[tuple[str, str, str], Group] = field(default_factory=dict)

    @classmethod
    def of(cls, letters: Iterable[Letter]) -> Self:
        """All letters, of which none is kept."""
        made = cls()
        for letter in letters:
            made.add(letter)
        return made

    def add(self, letter: Letter) -> None:
        """Count one more."""
        kind = (letter.consumer, letter.error, normalised(letter.reason))
        if (group := self._groups.get(kind)) is None:
            if len(self._groups) == _MOST_GROUPS:
                self.others += 1
                return
            group = self._groups[kind] = Group(*kind)
        group.add(letter)

    @property
    def groups(self) -> list[Group]:
        """The groups, the largest first."""
        return sorted(
            self._groups.values(), key=lambda group: (-group.count, group.consumer, group.error, group.reason)
        )

    @property
    def count(self) -> int:
        """How many letters there are."""
        return self.others + sum(group.count for group in self._groups.values())

    def as_data(self) -> list[dict[str, Any]]:
        """The groups as what JSON can hold."""
        names = Group.__dataclass_fields__
        return [{name: getattr(group, name) for name in names} for group in self.groups]
