"""A business, as the demo knows it."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.table import Table

from local.cloud import Cloud
from local.demo.day import Day
from local.demo.samples import Sample
from local.provider import StandIn
from ops.connection import Connection


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
