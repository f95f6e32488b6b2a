"""The rows of a CSV file that an operator loads, and the error that names the broken ones."""

import csv
import io
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from daybook.operate.errors import OperatorError
from functions.compliance.sanctions_list import Listed

MAX_ENTRY: Final = 2**53 - 1
MAX_NAME: Final = 350  # characters, by OFAC's data specification
_MAX_REPORTED: Final = 5  # rows
_END_OF_FILE: Final = "\x1a"  # the last row of the Treasury's files


class BadList(OperatorError):
    """A file does not have the format of its publisher. Nothing was changed. Download the files of the list again."""


def numbered(file: str, text: str, *, separator: str) -> Iterator[tuple[int, list[str]]]:
    """The rows of a file with their line numbers, without empty rows and the mark at the end. Raises BadList."""
    rows = csv.reader(io.StringIO(text, newline=None), delimiter=separator, strict=True)
    try:
        for row in rows:
            cells = [cell.strip() for cell in row]
            if cells not in ([], [_END_OF_FILE], [""]):
                yield rows.line_num, cells
    except csv.Error as error:
        msg = f"{file} is not a CSV file: {error} in line {rows.line_num}; nothing was changed"
        raise BadList(msg) from error


def names(
    file: str,
    rows: Iterator[tuple[int, list[str]]],
    *,
    problem: Callable[[list[str]], str | None],
    listed: Callable[[list[str]], Listed],
) -> list[Listed]:
    """What each row lists. Raises BadList if there is none, or if a row has a problem."""
    found: list[Listed] = []
    broken: list[tuple[int, str]] = []
    for number, row in rows:
        if text := problem(row):
            broken.append((number, text))
        else:
            found.append(listed(row))
    if broken:
        msg = f"{file} is broken: {_reported(broken)}; nothing was changed"
        raise BadList(msg)
    if not found:
        msg = f"{file} has no names; nothing was changed"
        raise BadList(msg)
    return found


def _reported(broken: Sequence[tuple[int, str]]) -> str:
    first = "; ".join(f"line {number} {text}" for number, text in broken[:_MAX_REPORTED])
    return first + (f" (and {len(broken) - _MAX_REPORTED} more)" if len(broken) > _MAX_REPORTED else "")
