"""Reading what a deployed system's functions have used: the recorder's notes, and their logs."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.bill import Usage

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from daybook.operate.connection import Connection

_RECORDER = Path(__file__).with_name("recorder")
_PLATFORM = ("START RequestId: ", "END RequestId: ", "REPORT RequestId: ")


@dataclass(frozen=True, slots=True)
class Metric:
    """A custom metric, as CloudWatch counts them: a name with one value of each of its dimensions."""

    name: str
    dimensions: tuple[tuple[str, str], ...]


class Recording:
    """What functions have used since the last `mark`, of a run that was started with its `environment`."""

    def __init__(self, folder: Path) -> None:
        self._notes = folder.resolve() / "usage.jsonl"
        self._from = 0

    @property
    def environment(self) -> Mapping[str, str]:
        """What the functions' processes need: `up(progress, extra=recording.environment)`."""
        return {"PYTHONPATH": str(_RECORDER), "DAYBOOK_USAGE": str(self._notes)}

    def mark(self) -> None:
        """Forget what was noted so far."""
        self._from = self._notes.stat().st_size if self._notes.exists() else 0

    def usage(self, fed: Iterable[str]) -> dict[str, Usage]:
        """What each function has used; `fed` are those that a queue feeds."""
        found: dict[str, Usage] = defaultdict(Usage)
        for note in self._lines():
            usage = found[note["function"]]
            if note["kind"] == "run":
                usage.ran(note["seconds"], note["processor"], note["messages"], note["bytes"])
            else:
                usage.calls[note["service"], note["operation"]] += 1
                usage.events += note["entries"] if note["service"] == "events" else 0
                usage.written += note["written"]
                usage.indexed += note["indexed"]
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


def add_logs(logs: Any, connection: Connection, usages: Mapping[str, Usage], since: float) -> set[Metric]:
    """Count what the functions have logged since that time, in seconds since 1970. Returns the metrics found in it."""
    metrics: set[Metric] = set()
    for function, usage in usages.items():
        group = f"/aws/lambda/{connection.names.of(function)}"
        for line in _logged(logs, group, since):
            if line.startswith(_PLATFORM):
                continue
            usage.log_lines += 1
            usage.log_bytes += len(line.encode())
            if found := _metrics(line):
                metrics |= found
                usage.summaries += 1
                usage.summary_bytes += len(line.encode())
    return metrics


def _logged(logs: Any, group: str, since: float) -> Iterator[str]:
    pages = logs.get_paginator("filter_log_events").paginate(logGroupName=group, startTime=int(since * 1000))
    return (event["message"] for page in pages for event in page["events"])


def _metrics(line: str) -> set[Metric]:
    """The metrics in a line of the embedded metric format."""
    try:
        said = json.loads(line)
        directives = said["_aws"]["CloudWatchMetrics"]
    except (ValueError, KeyError, TypeError):
        return set()
    return {
        Metric(metric["Name"], tuple(sorted((name, str(said[name])) for name in names)))
        for directive in directives
        for names in directive["Dimensions"]
        for metric in directive["Metrics"]
    }
