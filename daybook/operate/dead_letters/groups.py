"""Dead letters grouped by consumer, error, and reason; variable parts of the reason are replaced by placeholders."""

import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from rich.table import Table

from daybook.operate.cli.operation import preview
from daybook.operate.cli.printing import answer
from daybook.operate.dead_letters.index import DeadLetter
from daybook.operate.drawing import number_of, table

# The number of groups held in memory. More would not be read.
_MAX_GROUPS = 500

_QUOTED = re.compile(r"""(?<!\w)'[^']*'(?!\w)|"[^"]*"|`[^`]*`""")
_UUID = re.compile(r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", re.IGNORECASE)
_HEX = re.compile(r"\b(0x[0-9a-f]+|(?=[0-9a-f]*\d)[0-9a-f]{8,})\b", re.IGNORECASE)
_TIME = re.compile(r"\b\d{4}-\d\d-\d\dT[\d:.]+(Z|[+-]\d\d:\d\d)?")
_NUMBER = re.compile(r"(?<![\w-])[+-]?\d+([.,:]\d+)*(?![\w-])")
_ID = re.compile(r"\b(?=[\w-]*\d)[\w-]+\b")
_PLACEHOLDERS = (
    (_QUOTED, "<text>"),
    (_UUID, "<id>"),
    (_TIME, "<time>"),
    (_NUMBER, "<n>"),
    (_HEX, "<hex>"),
    (_ID, "<id>"),
)
# The file and line of an error identify it: the line number is not replaced by a placeholder.
_PLACE = re.compile(r"(\S+\.py:\d+)")


def normalised(reason: str) -> str:
    """The reason with its variable parts replaced by `<text>`, `<id>`, `<time>`, `<n>` and `<hex>`."""
    parts = _PLACE.split(reason)
    return "".join(part if number % 2 else _with_placeholders(part) for number, part in enumerate(parts))


def _with_placeholders(text: str) -> str:
    for pattern, placeholder in _PLACEHOLDERS:
        text = pattern.sub(placeholder, text)
    return text


@dataclass(slots=True)
class Group:
    """Dead letters of one consumer with the same error and reason. `oldest` and `newest` are times of death, `example`
    is the id of the newest dead letter.
    """

    consumer: str
    error: str
    reason: str
    count: int = 0
    oldest: str = ""
    newest: str = ""
    example: str = ""

    def add(self, dead_letter: DeadLetter) -> None:
        self.count += 1
        self.oldest = min(self.oldest or dead_letter.at, dead_letter.at)
        if dead_letter.at >= self.newest:
            self.newest, self.example = dead_letter.at, dead_letter.id


@dataclass(slots=True)
class Failures:
    """Dead letters in groups. `others` counts those that do not belong to the first 500 groups."""

    others: int = 0
    _groups: dict[tuple[str, str, str], Group] = field(default_factory=dict)

    @classmethod
    def of(cls, dead_letters: Iterable[DeadLetter]) -> Self:
        """Groups of these dead letters. Only the groups are held in memory."""
        made = cls()
        for dead_letter in dead_letters:
            made.add(dead_letter)
        return made

    def add(self, dead_letter: DeadLetter) -> None:
        kind = (dead_letter.consumer, dead_letter.error, normalised(dead_letter.reason))
        if (group := self._groups.get(kind)) is None:
            if len(self._groups) == _MAX_GROUPS:
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
        return [asdict(group) for group in self.groups]

    def table(self, title: str, *columns: str) -> Table:
        """The groups as a table with these fields as columns."""
        rows = [[getattr(group, name) for name in columns] for group in self.groups]
        headings = ["dead letters" if name == "count" else name for name in columns]
        return table(title, headings, rows, numbers=("dead letters",))


def preview_of(found: Failures, would: str, *lines: str, do: str, as_json: bool, **data: object) -> None:
    """Print what a command would do with these dead letters."""
    if not found.count and not as_json:
        answer(None, *lines or ["No dead letters were selected."], "Nothing was changed.", as_json=False)
        return
    summary = {"count": found.count, "groups": found.as_data(), "others": found.others, **data}
    title = f"{would} {number_of(found.count, 'dead letter')}"
    preview(summary, found.table(title, "count", "consumer", "error", "reason"), *lines, do=do, as_json=as_json)
