"""Sanctions lists, from the US Treasury's files into the tables that functions read.

SDN.CSV and ALT.CSV have no header; commas stand between their columns, and -0- for what is empty. By OFAC's data
specification (dat_spec.txt of 2023-09-25, as https://moov-io.github.io/watchman/file-structure/ has it) a row of
SDN.CSV is ent_num, SDN_Name, SDN_Type, Program, Title, Call_Sign, Vess_type, Tonnage, GRT, Vess_flag, Vess_owner,
Remarks; one of ALT.CSV, ent_num, alt_num, alt_type, alt_name, alt_remarks.
"""

import csv
import io
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Final

from daybook.operate.connection import Connection
from daybook.operate.errors import OperatorError
from daybook.operate.send.entries import read_entries
from daybook.operate.send.send import send
from daybook.operate.tables import DeployedTable
from events.compliance import MOST_PARTS, SanctionsListLoaded
from functions.compliance import sanctions_list as sanctions
from functions.compliance.sanctions_list import LIST, Listed, ListInForce, ListPart

_EMPTY: Final = "-0-"
_END_OF_FILE: Final = "\x1a"  # with which the Treasury's files end
_SDN_COLUMNS: Final = 12
_ALT_COLUMNS: Final = 5
_LARGEST_ENTRY: Final = 2**53 - 1
_MOST_TOLD: Final = 5  # rows
_LONGEST_NAME: Final = 350  # characters, by the data specification

# No source: the house's own, to be reviewed by compliance. A list with less than this share of the names in force is
# taken for a broken one.
_LEAST_SHARE: Final = 0.8
LEAST_LIKENESS: Final = 88  # percent


class BadList(OperatorError):
    """A file is not a list as the Treasury writes it. Nothing was changed: the list in force stays in force."""


class FarFewerNames(OperatorError):
    """The list has far fewer names than the one in force, as a broken download would. Look at it, or use --force."""


@dataclass(frozen=True)
class Loading:
    """A list that is to be loaded."""

    names: Sequence[Listed]
    least_likeness: int
    now: datetime

    @cached_property
    def parts(self) -> list[str]:
        """Its content."""
        return sanctions.written(self.names)

    @cached_property
    def event(self) -> SanctionsListLoaded:
        """What is told of it, once its content is written. A version is named by the time and the content."""
        sha256 = sanctions.digest(self.parts)
        return SanctionsListLoaded(
            list_version=f"{self.now:%Y%m%dT%H%M%SZ}-{sha256[:8]}",
            loaded_at=self.now,
            entries=len({each.entry for each in self.names}),
            names=len(self.names),
            parts=len(self.parts),
            sha256=sha256,
            least_likeness=self.least_likeness,
        )

    def refuse_if_far_fewer(self, in_force: ListInForce | None) -> None:
        """Raises FarFewerNames."""
        if in_force and len(self.names) < in_force.names * _LEAST_SHARE:
            msg = (
                f"the list has {len(self.names)} names, far fewer than the {in_force.names} in force; nothing was "
                "changed. If that is right, repeat with --force"
            )
            raise FarFewerNames(msg)

    def write(self, connection: Connection) -> str:
        """Write the content under its version, and tell of it only when all is there. Returns the event's id.

        Nothing reads a version that nobody was told of: what fails on the way leaves the list in force as it is.
        """
        table = DeployedTable.of(connection, ListPart)
        keys = sanctions.keys(self.event.list_version, len(self.parts))
        for key, content in zip(keys, self.parts, strict=True):
            table.put(ListPart(part=key, content=content))
        (source,) = self.event.contract.sources
        data = json.loads(self.event.to_json())
        entry = {"Source": source, "DetailType": self.event.contract.type, "Detail": {"data": data}}
        (outcome,) = send(connection, read_entries(json.dumps(entry)))
        if not outcome.taken:
            msg = f"EventBridge did not take it, and the list in force stays in force: {outcome.error}"
            raise OperatorError(msg)
        return str(outcome.event_id)


def list_in_force(connection: Connection) -> ListInForce | None:
    """The list that is in force in the stage, if there is one."""
    return DeployedTable.of(connection, ListInForce).row(LIST)


def loading(sdn: str, alt: str, *, least_likeness: int, now: datetime | None = None) -> Loading:
    """The list in the text of both files. Raises BadList, which names rows and rules."""
    entries = _rows("SDN.CSV", sdn, _SDN_COLUMNS, name=1)
    known = {each.entry for each in entries}
    if len(known) < len(entries):
        msg = "SDN.CSV has an ent_num twice"
        raise BadList(msg)
    others = _rows("ALT.CSV", alt, _ALT_COLUMNS, name=3)
    if strangers := [each.entry for each in others if each.entry not in known]:
        msg = f"ALT.CSV has {len(strangers)} names of entries that SDN.CSV does not have: are the two of one day?"
        raise BadList(msg)
    made = Loading(list(dict.fromkeys([*entries, *others])), least_likeness, now or datetime.now(UTC))
    if len(made.parts) > MOST_PARTS:
        msg = f"the list is too long: {len(made.parts)} parts, and {MOST_PARTS} are the limit"
        raise BadList(msg)
    return made


def _rows(file: str, text: str, columns: int, *, name: int) -> list[Listed]:
    """The names of a file. Raises BadList if there are none, or if any row is broken."""
    found: list[Listed] = []
    broken: list[tuple[int, str]] = []
    for number, row in _numbered(file, text):
        wrong = next((rule for rule, holds in _RULES.items() if not holds(row, columns, name)), None)
        if wrong:
            broken.append((number, wrong))
        else:
            found.append(Listed(int(row[0]), " ".join(row[name].split())))
    if broken:
        told = "; ".join(f"row {number} {wrong}" for number, wrong in broken[:_MOST_TOLD])
        more = f" (and {len(broken) - _MOST_TOLD} more)" if len(broken) > _MOST_TOLD else ""
        msg = f"{file} is broken: {told}{more}; nothing was changed"
        raise BadList(msg)
    if not found:
        msg = f"{file} has no names; nothing was changed"
        raise BadList(msg)
    return found


def _numbered(file: str, text: str) -> Iterator[tuple[int, list[str]]]:
    """The rows of a file, from 1, without what marks its end."""
    try:
        for number, row in enumerate(csv.reader(io.StringIO(text, newline=None), strict=True), 1):
            cells = [cell.strip() for cell in row]
            if cells not in ([], [_END_OF_FILE], [""]):
                yield number, cells
    except csv.Error as error:
        msg = f"{file} is no CSV: {error}; nothing was changed"
        raise BadList(msg) from error


_RULES: Final[dict[str, Callable[[list[str], int, int], bool]]] = {
    "has not as many columns as the specification says": lambda row, columns, _: len(row) == columns,
    "does not begin with a number": lambda row, *_: row[0].isdecimal() and 0 < int(row[0]) <= _LARGEST_ENTRY,
    "has no name": lambda row, _, name: row[name] not in {"", _EMPTY},
    "has a name that is too long": lambda row, _, name: len(row[name]) <= _LONGEST_NAME,
}
