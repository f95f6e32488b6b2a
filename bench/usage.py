"""Read the usage of a deployed system's functions, from the recorder's file and from their logs."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.bill import Usage

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from daybook.operate.connection import Connection

_RECORDER = Path(__file__).with_name("recorder")
_METRICS = '"_aws"'  # the embedded metric format
_PLATFORM = ("START RequestId: ", "END RequestId: ", "REPORT RequestId: ")


class Recording:
    """The functions' usage since the last `mark`, in a run that was started with its `environment`."""

    def __init__(self, folder: Path) -> None:
        self._notes = folder.resolve() / "usage.jsonl"
        self._from = 0

    @property
    def environment(self) -> Mapping[str, str]:
        """The environment variables for the functions' processes: `up(progress, extra=recording.environment)`."""
        return {"PYTHONPATH": str(_RECORDER), "DAYBOOK_USAGE": str(self._notes)}

    def mark(self) -> None:
        """Ignore everything recorded so far."""
        self._from = self._notes.stat().st_size if self._notes.exists() else 0

    def usage(self, fed: Iterable[str]) -> dict[str, Usage]:
        """The usage of each function; `fed` are the functions triggered by a queue."""
        found: dict[str, Usage] = defaultdict(Usage)
        for note in self._lines():
            usage = found[note["function"]]
            if note["kind"] == "run":
                usage.ran(note["seconds"], note["processor"], note["messages"], note["bytes"])
            else:
                usage.calls[note["service"], note["operation"]] += 1
                usage.events += note["entries"] if note["service"] == "events" else 0
                usage.add_written(note["written"])
                usage.read += note["read"]
                usage.refused += note["parts"] if note["refused"] else 0
        for function in fed:
            if function in found:
                found[function].fed = True
        return dict(found)

    def _lines(self) -> Iterator[dict[str, Any]]:
        if not self._notes.exists():
            return
        with self._notes.open(encoding="utf-8") as notes:
            notes.seek(self._from)
            yield from map(json.loads, notes)


def add_logs(logs: Any, connection: Connection, usages: Mapping[str, Usage], since: float) -> None:
    """Count the functions' log lines since that time, in seconds since 1970."""
    for function, usage in usages.items():
        group = f"/aws/lambda/{connection.names.of(function)}"
        for line in _logged(logs, group, since):
            if line.startswith(_PLATFORM):
                continue
            usage.log_lines += 1
            usage.log_bytes += len(line.encode())
            if _METRICS in line:
                usage.summaries += 1
                usage.summary_bytes += len(line.encode())


def _logged(logs: Any, group: str, since: float) -> Iterator[str]:
    pages = logs.get_paginator("filter_log_events").paginate(logGroupName=group, startTime=int(since * 1000))
    return (event["message"] for page in pages for event in page["events"])
