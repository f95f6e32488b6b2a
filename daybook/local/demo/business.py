"""The interface between the demo and a business."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from rich.table import Table

from daybook.local.cloud import Cloud
from daybook.local.demo.driver import DemoDriver
from daybook.local.demo.samples import Sample
from daybook.local.provider import StandIn
from daybook.operate.connection import Connection


@dataclass(frozen=True, slots=True)
class LocalSystem:
    """What a business can use: the cloud, the deployed stage on it, and the payment provider."""

    cloud: Cloud
    connection: Connection
    provider: StandIn


@dataclass(frozen=True, slots=True)
class Phase:
    """One phase of the demo: `label` is shown while `run` runs, for example `sending orders`."""

    label: str
    run: Callable[[DemoDriver], None]


@dataclass(frozen=True, slots=True)
class Summary:
    """The final state of a business as tables, and one sentence for each problem found in it."""

    tables: Sequence[Table]
    problems: Sequence[str]


@dataclass(frozen=True, slots=True)
class Example:
    """What `make run` suggests to its user: first send the file `sample`, which does `what`; then send an own event
    with this source, type and data. `stream` is the stream to look at afterwards.
    """

    what: str
    sample: str
    source: str
    type: str
    data: Mapping[str, Any]
    stream: str


class Business(ABC):
    """One business in the demo.

    `first` is the sample that must be processed before all others. `samples` are the others, whose traces are shown.
    """

    name: ClassVar[str]
    """The value of `make demo BUSINESS=…`, and the name of its folder of samples."""
    success_message: ClassVar[str]
    """Printed when there are no problems."""
    further_reading: ClassVar[Mapping[str, str]] = {}
    """Files to read next, each with a description."""

    example: ClassVar[Example | None] = None
    """What `make run` suggests; None for all businesses but one."""

    def __init__(self, samples: Sequence[Sample], system: LocalSystem) -> None:
        self.first, *self.samples = samples
        self.system = system

    def send_samples(self, driver: DemoDriver) -> None:
        """Send the `entries` of all samples but the first. With `one_by_one`, send each event when the previous one is
        recorded.
        """
        driver.send(entry for sample in self.samples if not sample.own.get("one_by_one") for entry in sample.entries)
        for sample in self.samples:
            if sample.own.get("one_by_one"):
                driver.send_one_by_one(sample.entries)

    def phases(self) -> tuple[Phase, Phase, Phase]:
        """The three phases of this business: by default its first sample, its other samples, and what follows these.

        All businesses run each phase together. After each phase the demo waits until the system is idle.
        """
        return (
            Phase(f"first events of the {self.name}", lambda driver: driver.send(self.first.entries)),
            Phase(f"events of the {self.name}", self.send_samples),
            Phase(f"last events of the {self.name}", self.send_last_events),
        )

    def send_last_events(self, driver: DemoDriver) -> None:
        """Send the events `then` of all samples but the first."""
        driver.send(entry for sample in self.samples for entry in sample.then)

    @abstractmethod
    def summary(self) -> Summary:
        """The final state, after the last phase."""
