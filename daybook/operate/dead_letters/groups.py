"""Dead letters by what went wrong: consumer, kind of error, and the reason without what differs from case to case."""

import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from rich.table import Table

from daybook.operate.cli.operation import preview
from daybook.operate.cli.printing import answer
from daybook.operate.dead_letters.index import DeadLetter
from daybook.operate.drawing import number_of, plain, table

# More kinds of failure than anybody reads, and few enough to hold, however many dead letters there are.
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
    """Dead letters that died of the same at one consumer. Times say when they died; `example` is the newest dead
    letter's id.
    """

    consumer: str
    error: str
    reason: str
    count: int = 0
    oldest: str = ""
    newest: str = ""
    example: str = ""

    def add(self, dead_letter: DeadLetter) -> None:
        """Count one more."""
        self.count += 1
        self.oldest = min(self.oldest or dead_letter.at, dead_letter.at)
        if dead_letter.at >= self.newest:
            self.newest, self.example = dead_letter.at, dead_letter.id


@dataclass(slots=True)
class Failures:
    """Dead letters in groups. `others` are how many there are of kinds beyond the first 500 that were met."""

    others: int = 0
    _groups: dict[tuple[str, str, str], Group] = field(default_factory=dict)

    @classmethod
    def of(cls, dead_letters: Iterable[DeadLetter]) -> Self:
        """All dead letters, of which none is kept."""
        made = cls()
        for dead_letter in dead_letters:
            made.add(dead_letter)
        return made

    def add(self, dead_letter: DeadLetter) -> None:
        """Count one more."""
        kind = (dead_letter.consumer, dead_letter.error, normalised(dead_letter.reason))
        if (group := self._groups.get(kind)) is None:
            if len(self._groups) == _MOST_GROUPS:
                self.others += 1
                return
            group = self._groups[kind] = Group(*kind)
        group.add(dead_letter)

    @property
    def groups(self) -> list[Group]:
        """The groups, the largest first."""
        return sorted(
            self._groups.values(), key=lambda group: (-group.count, group.consumer, group.error, group.reason)
        )

    @property
    def count(self) -> int:
        """How many dead letters there are."""
        return self.others + sum(group.count for group in self._groups.values())

    def as_data(self) -> list[dict[str, Any]]:
        """The groups as JSON can hold them."""
        return [asdict(group) for group in self.groups]

    def table(self, title: str, *columns: str) -> Table:
        """The groups as a table of these fields of a group."""
        rows = [[plain(str(getattr(group, name))) for name in columns] for group in self.groups]
        headings = ["dead letters" if name == "count" else name for name in columns]
        return table(title, headings, rows, numbers=("dead letters",))


def preview_of(found: Failures, would: str, *lines: str, do: str, as_json: bool, **data: object) -> None:
    """Say what a command would do with these dead letters."""
    if not found.count and not as_json:
        answer(None, *lines or ["There are no such dead letters."], "Nothing was changed.", as_json=False)
        return
    summary = {"count": found.count, "groups": found.as_data(), "others": found.others, **data}
    title = f"{would} {number_of(found.count, 'dead letter')}"
    preview(summary, found.table(title, "count", "consumer", "error", "reason"), *lines, do=do, as_json=as_json)
