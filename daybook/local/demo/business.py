"""A business, as the demo knows it."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from rich.table import Table

from daybook.local.cloud import Cloud
from daybook.local.demo.day import Day
from daybook.local.demo.samples import Sample
from daybook.local.provider import StandIn
from daybook.operate.connection import Connection


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What businesses find on this machine: the cloud, the stage on it, and the things of other people."""

    cloud: Cloud
    connection: Connection
    provider: StandIn


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the day: what is said while it happens (`sending orders`), and what happens."""

    says: str
    happens: Callable[[Day], None]


@dataclass(frozen=True, slots=True)
class Closing:
    """The books in the evening: what they show, and a sentence on each thing in them that does not add up."""

    tables: Sequence[Table]
    complaints: Sequence[str]


@dataclass(frozen=True, slots=True)
class Example:
    """What `make run` tells its user to try: first `sample`, a file of events that does `what`, then an event of his
    own: its source, its type and its data. `stream` is where to look for what came of it.
    """

    what: str
    sample: str
    source: str
    type: str
    data: Mapping[str, Any]
    stream: str


class Business(ABC):
    """One business, on one day.

    `first` is its first sample: what must be there before all else. `samples` are the others, whose journeys are shown.
    """

    name: ClassVar[str]
    """What `make demo BUSINESS=…` calls it, and the folder of its samples."""
    adds_up: ClassVar[str]
    """The sentence that ends a day without complaints."""
    worth_reading: ClassVar[Mapping[str, str]]
    """Files of its own to look at next, and what each is."""

    example: ClassVar[Example | None] = None
    """What to try first, if it is this business that a newcomer should begin with."""

    def __init__(self, samples: Sequence[Sample], surroundings: Surroundings) -> None:
        self.first, *self.samples = samples
        self.surroundings = surroundings

    def send_samples(self, day: Day) -> None:
        """Send what all samples but the first begin with. Of one that says `one_by_one` each event is sent when the one
        before it is recorded.
        """
        day.send(entry for sample in self.samples if not sample.own.get("one_by_one") for entry in sample.entries)
        for sample in self.samples:
            if sample.own.get("one_by_one"):
                day.send_one_by_one(sample.entries)

    @abstractmethod
    def parts(self) -> tuple[Part, Part, Part]:
        """Its morning, its noon and its evening.

        All businesses have each part together, and after each the demo waits until all is quiet.
        """

    @abstractmethod
    def closing(self) -> Closing:
        """Its books, once the day is over."""
