"""Load a sanctions list from the files of its publisher into the tables that functions read."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Final

from daybook.operate.connection import Connection
from daybook.operate.errors import OperatorError
from daybook.operate.send.entries import read_entries
from daybook.operate.send.send import send
from daybook.operate.tables import DeployedTable
from events.compliance import DEFAULT_LIST, LIST_NAME, MAX_PARTS, SanctionsListLoaded
from functions.compliance import eu_file, ofac_files, sanctions_list
from functions.compliance.csv_rows import BadList
from functions.compliance.sanctions_list import ActiveList, Listed, ListPart

# Our own choices, without a source: the compliance department must review them.
_MIN_SHARE: Final = 0.8  # of the active list's names: a shorter list is probably a broken download
DEFAULT_MIN_SIMILARITY: Final = 88  # percent
DEFAULT_SCREEN_AGAIN_DAYS: Final = 30


class FarFewerNames(OperatorError):
    """The list has far fewer names than the active one, like a broken download. Check the files, or use --force."""


@dataclass(frozen=True)
class NewList:
    """A sanctions list that was read from its files and is not stored yet."""

    name: str
    names: Sequence[Listed]
    min_similarity: int  # percent
    now: datetime
    screen_again_days: int
    replaces: ActiveList | None

    @cached_property
    def parts(self) -> list[str]:
        """The content, as it is stored."""
        return sanctions_list.write(self.names)

    @cached_property
    def event(self) -> SanctionsListLoaded:
        """The event to send when the content is written. The version is the name, the time and a part of the hash."""
        sha256 = sanctions_list.digest(self.parts)
        return SanctionsListLoaded(
            list_name=self.name,
            list_version=f"{self.name}-{self.now:%Y%m%dT%H%M%SZ}-{sha256[:8]}",
            loaded_at=self.now,
            entries=len({each.entry for each in self.names}),
            names=len(self.names),
            parts=len(self.parts),
            sha256=sha256,
            min_similarity=self.min_similarity,
            screen_again_days=self.screen_again_days,
        )

    def check_size(self) -> None:
        """Raises FarFewerNames."""
        active = self.replaces
        if active and len(self.names) < active.names * _MIN_SHARE:
            msg = (
                f"the list has {len(self.names)} names, far fewer than the {active.names} of the active list "
                f"{self.name}; nothing was changed. If this is correct, repeat the command with --force"
            )
            raise FarFewerNames(msg)

    def write(self, connection: Connection) -> str:
        """Write the content under its version, then send SanctionsListLoaded. Returns the id of the event.

        Functions read only a version that an event named. So a failure before that leaves the active list as it is.
        """
        table = DeployedTable.of(connection, ListPart)
        keys = sanctions_list.keys(self.event.list_version, len(self.parts))
        for key, content in zip(keys, self.parts, strict=True):
            table.put(ListPart(part=key, content=content))
        (source,) = self.event.contract.sources
        data = json.loads(self.event.to_json())
        entry = {"Source": source, "DetailType": self.event.contract.type, "Detail": {"data": data}}
        (outcome,) = send(connection, read_entries(json.dumps(entry)))
        if not outcome.accepted:
            msg = f"EventBridge rejected SanctionsListLoaded, so the active list was not changed: {outcome.error}"
            raise OperatorError(msg)
        return str(outcome.event_id)


def active_lists(connection: Connection) -> dict[str, ActiveList]:
    """The active lists of the stage by name, in the order of their names."""
    rows = sorted(DeployedTable.of(connection, ActiveList).scan(), key=lambda row: row.name)
    return {row.name: row for row in rows if row.list_version}


def read_list(
    files: Sequence[tuple[str, str]],
    *,
    name: str | None = None,
    active: Mapping[str, ActiveList],
    min_similarity: int | None = None,
    screen_again_days: int = DEFAULT_SCREEN_AGAIN_DAYS,
) -> NewList:
    """Read a list from its files, each given as its name and its text: one file of the EU, or two of OFAC.

    By default the list of the EU is `eu`, and that of OFAC is `sdn`. Raises BadList, which names the broken rows.
    """
    of_eu = eu_file.is_eu(files[0][1])
    if name is None:
        name = "eu" if of_eu else DEFAULT_LIST
    if not re.fullmatch(LIST_NAME, name):
        msg = f"the name of a list is {name}; expected are at most 16 lower-case letters, digits and hyphens"
        raise BadList(msg)
    if len(files) != (1 if of_eu else 2):
        msg = (
            f"{' '.join(file for file, _ in files)}: expected is one file of the EU, whose first line has "
            "Entity_LogicalId, or two files of OFAC, as SDN.CSV and ALT.CSV; nothing was changed"
        )
        raise BadList(msg)
    listed = eu_file.read(*files[0]) if of_eu else ofac_files.read(*files)
    replaces = active.get(name)
    similarity = min_similarity or (replaces.min_similarity if replaces else DEFAULT_MIN_SIMILARITY)
    new = NewList(name, list(dict.fromkeys(listed)), similarity, datetime.now(UTC), screen_again_days, replaces)
    if len(new.parts) > MAX_PARTS:
        msg = f"the list is too long: {len(new.parts)} parts; the limit is {MAX_PARTS}"
        raise BadList(msg)
    return new
