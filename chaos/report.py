"""Write the results to `docs/chaos.md`. Each test replaces its own part."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from daybook.local.project import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

PAGE = ROOT / "docs" / "chaos.md"


def write(part: str, text: str, page: Path = PAGE) -> None:
    """Replace the text between the markers of `part` with the Markdown `text`. Raises NoPart."""
    begin, end = f"<!-- {part} -->", f"<!-- end of {part} -->"
    marked = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    new, times = marked.subn(lambda _: f"{begin}\n\n{text.strip()}\n\n{end}", page.read_text(encoding="utf-8"))
    if times != 1:
        msg = f"{page.name} has no part {part!r}: it must have the markers {begin} and {end}"
        raise NoPart(msg)
    page.write_text(new, encoding="utf-8")


class NoPart(LookupError):
    """The page has no markers for this part. Add them where the part should be."""


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table. Columns of numbers are aligned to the right."""
    several = [[str(cell).replace("|", "\\|") for cell in row] for row in rows]
    numbers = [
        bool(several) and all(row[place].replace(",", "").isdigit() for row in several) for place in range(len(columns))
    ]
    lines = [columns, ["---:" if number else "---" for number in numbers], *several]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
