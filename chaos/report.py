"""The page on which the proof says what it did and found: `docs/chaos.md`. Each run writes its own part anew."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from daybook.local.project import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

PAGE = ROOT / "docs" / "chaos.md"


def write(part: str, text: str, page: Path = PAGE) -> None:
    """Put the Markdown `text` in the place of what the page says between the marks of `part`. Raises NoPart."""
    begin, end = f"<!-- {part} -->", f"<!-- end of {part} -->"
    marked = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    new, times = marked.subn(lambda _: f"{begin}\n\n{text.strip()}\n\n{end}", page.read_text(encoding="utf-8"))
    if times != 1:
        msg = f"{page.name} has no part {part!r}: it begins with {begin} and ends with {end}"
        raise NoPart(msg)
    page.write_text(new, encoding="utf-8")


class NoPart(LookupError):
    """The page lacks the marks between which a run writes. Put them back where its part is to stand."""


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table in Markdown. Numbers stand to the right."""
    several = [[str(cell).replace("|", "\\|") for cell in row] for row in rows]
    numbers = [
        bool(several) and all(row[place].replace(",", "").isdigit() for row in several) for place in range(len(columns))
    ]
    lines = [columns, ["---:" if number else "---" for number in numbers], *several]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
