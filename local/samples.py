"""Samples: events to send, and how each must end."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from local.project import ROOT
from local.provider.fault import Where
from ops.entries import Entry, read_entries
from ops.journey import Journey

FOLDER = ROOT / "samples" / "shop"


@dataclass(frozen=True, slots=True)
class Sample:
    """One file of a business in `samples/`.

    `then` are the events that follow once all that came of the `entries` is done. `outside` are calls that the payment
    provider fails, as `local.provider.Where` names them. `late` says that the order's time to pay is to run out, and
    `settles` names orders whose bank pays only after that.

    `ends` maps each stream to the types of all events of its story; in whatever order, since services do not wait for
    each other. `refused` maps the producer's id of each event that must not be admitted to the kind of reason.
    """

    name: str
    story: str
    entries: tuple[Entry, ...]
    then: tuple[Entry, ...]
    outside: tuple[Where, ...]
    late: bool
    settles: tuple[str, ...]
    ends: Mapping[str, tuple[str, ...]]
    refused: Mapping[str, str]

    @classmethod
    def read(cls, file: Path) -> Self:
        """The sample in a file. Raises NotSendable, and KeyError for one without a story."""
        text = file.read_text(encoding="utf-8")
        said = json.loads(text)
        return cls(
            name=file.stem,
            story=said["story"],
            entries=tuple(read_entries(text)),
            then=tuple(read_entries(json.dumps(said["then"]))) if "then" in said else (),
            outside=tuple(said.get("outside", ())),
            late=said.get("late", False),
            settles=tuple(said.get("settles", ())),
            ends={stream: tuple(types) for stream, types in said.get("ends", {}).items()},
            refused=said.get("refused", {}),
        )

    def complaint(self, journey: Journey) -> str | None:
        """What is wrong with the journey of one of its streams; None if it has ended as it must."""
        types = tuple(step.event.metadata.type for step in journey.steps)
        if sorted(types) != sorted(self.ends[journey.what]):
            return f"{journey.what} went {' → '.join(types)}; it should have gone {' → '.join(self.ends[journey.what])}"
        unfinished = [
            f"{delivery.consumer} of {step.event.metadata.type} is {delivery.state}"
            for step in journey.steps
            for delivery in step.deliveries
            if delivery.state != "committed"
        ]
        return f"{journey.what}: {', '.join(unfinished)}" if unfinished else None


def all_samples(folder: Path = FOLDER) -> list[Sample]:
    """The samples in the order of their names. Goods come first: there must be something to order."""
    return [Sample.read(file) for file in sorted(folder.glob("*.json"))]
