"""The recorded calls of functions to AWS."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Self


@dataclass(frozen=True, slots=True)
class Use:
    """One action of a call, as permissions see it: a transaction has one for each of its parts.

    `resource` is a table (with `/index/<name>` for an index), a queue or a bus; `stream` is the partition key in the
    event store or the ledger.
    """

    action: str
    resource: str | None
    stream: str | None


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a function to AWS, successful or not."""

    function: str
    service: str
    operation: str
    uses: tuple[Use, ...]

    @classmethod
    def read(cls, line: str) -> Self:
        """Read a call from a line of the recording."""
        call = json.loads(line)
        return cls(call["function"], call["service"], call["operation"], tuple(Use(*use) for use in call["uses"]))


def traces(file: Path) -> list[str]:
    """The trace headers in a recording, in the order in which they were sent."""
    headers = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()] if file.exists() else []
    return [header for header in headers if header is not None]


def calls(file: Path) -> list[Call]:
    """All calls in a recording, in the order in which they were made."""
    return [Call.read(line) for line in file.read_text(encoding="utf-8").splitlines()] if file.exists() else []
