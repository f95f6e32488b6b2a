"""The names, birth years and citizenships in the EU's consolidated list of financial sanctions, as CSV, version 1.1.

The file has a header and `;` between columns. An entry has several rows: each has a name, an address, a birth date, a
document or a citizenship. No specification of the EU was found; the columns and their formats are those that
https://github.com/moov-io/watchman reads (pkg/sources/csl_eu).
"""

import re
from collections import defaultdict
from collections.abc import Mapping
from typing import Final

from functions.compliance.csv_rows import MAX_ENTRY, MAX_NAME, BadList, names, numbered
from functions.compliance.sanctions_list import Listed

_ENTRY: Final = "Entity_LogicalId"
_NAME: Final = "NameAlias_WholeName"
_YEAR: Final = "BirthDate_Year"
_DAY: Final = "BirthDate_BirthDate"
_RANGE: Final = ("BirthDate_YearRangeFrom", "BirthDate_YearRangeTo")
_CIRCA: Final = "BirthDate_Circa"
_CALENDAR: Final = "BirthDate_CalendarType"
_COUNTRY: Final = "Citizenship_CountryIso2Code"
_COLUMNS: Final = (_ENTRY, _NAME, _YEAR, _DAY, *_RANGE, _CIRCA, _CALENDAR, _COUNTRY)
_FORMATS: Final = {
    _DAY: (re.compile(r"(\d{4}-\d\d-\d\d)?"), "a day like 1954-01-31"),
    **dict.fromkeys((_YEAR, *_RANGE), (re.compile(r"(0|\d{4})?"), "a year like 1954")),
}


def is_eu(text: str) -> bool:
    """Whether the text of a file begins with the header of this format."""
    return _ENTRY in text.partition("\n")[0].split(";")


def read(file: str, text: str) -> list[Listed]:
    """The names in a file. Raises BadList, which names the file, the rows and the columns that are broken."""
    rows = numbered(file, text, separator=";")
    header = next(rows)[1]
    if missing := [column for column in _COLUMNS if column not in header]:
        msg = f"{file} has no column {', '.join(missing)} in line 1; expected is the EU's CSV of version 1.1"
        raise BadList(msg)

    def problem(row: list[str]) -> str | None:
        if len(row) != len(header):
            return f"has {len(row)} columns; expected are {len(header)}, as in the header"
        return _problem(dict(zip(header, row, strict=True)))

    found = names(file, rows, problem=problem, listed=lambda row: _listed(dict(zip(header, row, strict=True))))
    listed = _with_facts_of_entry(found)
    if nameless := {each.entry for each in found} - {each.entry for each in listed}:
        msg = f"{file} has no {_NAME} in any row of the entry {min(nameless)}; nothing was changed"
        raise BadList(msg)
    return listed


def _problem(row: Mapping[str, str]) -> str | None:
    entry = row[_ENTRY]
    if not (entry.isdecimal() and 0 < int(entry) <= MAX_ENTRY):
        return f"has {entry!r} in {_ENTRY}; expected is a number"
    if len(row[_NAME]) > MAX_NAME:
        return f"has {len(row[_NAME])} characters in {_NAME}; expected are at most {MAX_NAME}"
    for column, (pattern, expected) in _FORMATS.items():
        if not pattern.fullmatch(row[column]):
            return f"has {row[column]!r} in {column}; expected is {expected}"
    return None


def _listed(row: Mapping[str, str]) -> Listed:
    """What one row says: a birth year of 0, or a country that is no code, means that it is not exact."""
    return Listed(int(row[_ENTRY]), " ".join(row[_NAME].split()), _years(row), (row[_COUNTRY],) * bool(row[_COUNTRY]))


def _years(row: Mapping[str, str]) -> tuple[int, ...]:
    first, last = (int(row[column] or 0) for column in _RANGE)
    year = int(row[_YEAR] or 0) or int(row[_DAY][:4] or 0)
    if not (year or first or last):
        return ()
    if row[_CIRCA].lower() == "true" or row[_CALENDAR].upper() not in {"", "GREGORIAN"}:
        return (0,)
    if year:
        return (year,)
    return tuple(range(first, last + 1)) if first and last else (0,)


def _with_facts_of_entry(rows: list[Listed]) -> list[Listed]:
    """The names, each with the birth years and countries of all rows of its entry; with none if one is not exact."""
    years: defaultdict[int, set[int]] = defaultdict(set)
    countries: defaultdict[int, set[str]] = defaultdict(set)
    for row in rows:
        years[row.entry].update(row.years)
        countries[row.entry].update(row.countries)
    return [
        Listed(
            row.entry,
            row.name,
            () if 0 in years[row.entry] else tuple(sorted(years[row.entry])),
            tuple(sorted(countries[row.entry])) if all(map(_IS_CODE, countries[row.entry])) else (),
        )
        for row in rows
        if row.name
    ]


_IS_CODE: Final = re.compile(r"[A-Z]{2}").fullmatch
