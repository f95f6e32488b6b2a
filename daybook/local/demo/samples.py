"""Samples: events to send, and the expected result of each."""

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple, Self

from daybook.contracts import clock
from daybook.contracts.identity import admitted_id
from daybook.local.errors import NoSamples
from daybook.local.project import ROOT
from daybook.operate.send.entries import Entry, read_entries
from daybook.operate.trace.trace import Trace

FOLDER = ROOT / "samples"

_COMMON_KEYS = ("description", "entries", "then", "ends", "rejected", "may_repeat")


# A time relative to when the sample is read: `{now-90s}`.
_NOW = re.compile(r"\{now([+-]\d+)s\}")


def _time(match: re.Match[str]) -> str:
    return clock.timestamp(datetime.now(UTC) + timedelta(seconds=int(match[1])))


class Rejection(NamedTuple):
    """An event that admit must reject: the producer's id, the event's id, and the expected error."""

    producer_id: str
    event_id: str
    error: str


@dataclass(frozen=True, slots=True)
class Sample:
    """One file of a business in `samples/`.

    `then`: events to send when the `entries` and all that follows from them are processed. `ends`: for each stream, the
    types of all events of its correlation, in any order, since services do not wait for each other. `rejected`: for
    each event that must be rejected, the producer's id and the error. Types in `may_repeat` may occur more often: they
    repeat as time passes, and a slow machine takes longer. `own`: the other keys of the file, which only its business
    knows. The file may contain times such as `{now-90s}`: 90 seconds before it is read.
    """

    name: str
    description: str
    entries: tuple[Entry, ...]
    then: tuple[Entry, ...]
    ends: Mapping[str, tuple[str, ...]]
    rejected: Mapping[str, str]
    may_repeat: frozenset[str]
    own: Mapping[str, Any]

    @classmethod
    def read(cls, file: Path) -> Self:
        """Read the sample in a file. Raises InvalidEntries, and KeyError if there is no description."""
        text = _NOW.sub(_time, file.read_text(encoding="utf-8"))
        content = json.loads(text)
        return cls(
            name=file.stem,
            description=content["description"],
            entries=tuple(read_entries(text)),
            then=tuple(read_entries(json.dumps(content["then"]))) if "then" in content else (),
            ends={stream: tuple(types) for stream, types in content.get("ends", {}).items()},
            rejected=content.get("rejected", {}),
            may_repeat=frozenset(content.get("may_repeat", ())),
            own={name: value for name, value in content.items() if name not in _COMMON_KEYS},
        )

    def rejections(self, account: str) -> Iterator[Rejection]:
        """The events that must be rejected, with their ids in this AWS account."""
        for entry in (*self.entries, *self.then):
            if (producer_id := entry.producer_id) and (error := self.rejected.get(producer_id)):
                yield Rejection(producer_id, admitted_id(account, entry.source, producer_id), error)

    def problem(self, trace: Trace) -> str | None:
        """What is wrong with the trace of one of its streams; None if it is as expected."""
        types = tuple(step.event.metadata.type for step in trace.steps)
        found, expected = Counter(types), Counter(self.ends[trace.what])
        if expected - found or (found - expected).keys() - self.may_repeat:
            return f"{trace.what} went {' → '.join(types)}; it should have gone {' → '.join(self.ends[trace.what])}"
        unfinished = [
            f"{delivery.consumer} of {step.event.metadata.type} is {delivery.state}"
            for step in trace.steps
            for delivery in step.deliveries
            if delivery.state != "committed"
        ]
        return f"{trace.what}: {', '.join(unfinished)}" if unfinished else None


def all_samples(folder: Path) -> list[Sample]:
    """The samples in a folder, sorted by name. Raises NoSamples, and whatever reading a file raises."""
    files = sorted(folder.glob("*.json"))
    if not files:
        raise NoSamples(folder)
    return [Sample.read(file) for file in files]
