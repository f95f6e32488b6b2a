"""What functions have sent to AWS, as it was recorded."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Self


@dataclass(frozen=True, slots=True)
class Use:
    """One thing that a call does, as permissions see it: a transaction has one for each of its parts.

    `resource` is a table (with `/index/<name>` for its indexes), a queue or a bus; `stream` the partition key in the
    event store or the ledger.
    """

    action: str
    resource: str | None
    stream: str | None


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a function to AWS, whatever became of it."""

    function: str
    service: str
    operation: str
    uses: tuple[Use, ...]

    @classmethod
    def read(cls, line: str) -> Self:
        """The call in a line of the recording."""
        said = json.loads(line)
        return cls(said["function"], said["service"], said["operation"], tuple(Use(*use) for use in said["uses"]))


def traces(file: Path) -> list[str]:
    """The trace headers in a recording, in the order in which they were sent."""
    said = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()] if file.exists() else []
    return [header for header in said if header is not None]


def calls(file: Path) -> list[Call]:
    """All calls in a recording, in the order in which they were made."""
    return [Call.read(line) for line in file.read_text(encoding="utf-8").splitlines()] if file.exists() else []
