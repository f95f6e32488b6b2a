"""Samples: events to send, and how each must end."""

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

_OF_ALL = ("story", "entries", "then", "ends", "refused", "may_repeat")


# A moment near that at which the sample is read: `{now-90s}`.
_NOW = re.compile(r"\{now([+-]\d+)s\}")


def _moment(near: re.Match[str]) -> str:
    return clock.timestamp(datetime.now(UTC) + timedelta(seconds=int(near[1])))


class Refusal(NamedTuple):
    """An event that must not be admitted, by its producer's id and by ours, and the kind of reason."""

    producer_id: str
    event_id: str
    error: str


@dataclass(frozen=True, slots=True)
class Sample:
    """One file of a business in `samples/`.

    `then` are the events that follow once all that came of the `entries` is done. `ends` maps each stream to the types
    of all events of its story; in whatever order, since services do not wait for each other. `refused` maps the
    producer's id of each event that must not be admitted to the kind of reason. Of the types in `may_repeat` there may
    be more: they come again as time passes, and a slow machine takes longer. `own` is what else the file says: its
    business knows what that means. Where the file says `{now-90s}` stands the time 90 seconds before it is read.
    """

    name: str
    story: str
    entries: tuple[Entry, ...]
    then: tuple[Entry, ...]
    ends: Mapping[str, tuple[str, ...]]
    refused: Mapping[str, str]
    may_repeat: frozenset[str]
    own: Mapping[str, Any]

    @classmethod
    def read(cls, file: Path) -> Self:
        """The sample in a file. Raises NotSendable, and KeyError for one without a story."""
        text = _NOW.sub(_moment, file.read_text(encoding="utf-8"))
        said = json.loads(text)
        return cls(
            name=file.stem,
            story=said["story"],
            entries=tuple(read_entries(text)),
            then=tuple(read_entries(json.dumps(said["then"]))) if "then" in said else (),
            ends={stream: tuple(types) for stream, types in said.get("ends", {}).items()},
            refused=said.get("refused", {}),
            may_repeat=frozenset(said.get("may_repeat", ())),
            own={name: value for name, value in said.items() if name not in _OF_ALL},
        )

    def refusals(self, account: str) -> Iterator[Refusal]:
        """The events that must not be admitted, sent to that account."""
        for entry in (*self.entries, *self.then):
            if (producer_id := entry.producer_id) and (error := self.refused.get(producer_id)):
                yield Refusal(producer_id, admitted_id(account, entry.source, producer_id), error)

    def complaint(self, journey: Trace) -> str | None:
        """What is wrong with the journey of one of its streams; None if it has ended as it must."""
        types = tuple(step.event.metadata.type for step in journey.steps)
        found, meant = Counter(types), Counter(self.ends[journey.what])
        if meant - found or (found - meant).keys() - self.may_repeat:
            return f"{journey.what} went {' → '.join(types)}; it should have gone {' → '.join(self.ends[journey.what])}"
        unfinished = [
            f"{delivery.consumer} of {step.event.metadata.type} is {delivery.state}"
            for step in journey.steps
            for delivery in step.deliveries
            if delivery.state != "committed"
        ]
        return f"{journey.what}: {', '.join(unfinished)}" if unfinished else None


def all_samples(folder: Path) -> list[Sample]:
    """The samples in a folder, in the order of their names. Raises NoSamples, and what reading one raises."""
    files = sorted(folder.glob("*.json"))
    if not files:
        raise NoSamples(folder)
    return [Sample.read(file) for file in files]
