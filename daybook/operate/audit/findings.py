"""The differences that the audit finds."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Lock
from typing import Literal

Kind = Literal["chain", "proof", "item", "journal", "ledger", "unpublished", "undelivered", "operation"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A difference, and its place. Fields that do not apply are empty, or 0.

    `chain`: events of a stream are changed or missing. `proof`: an event is not proven by a writer that may record it,
    or a row of the ledger by its consumer.
    `item`: an item is not an event. `journal`: the journal does not find an event. `ledger`: ledger and store
    contradict each other. `unpublished`, `undelivered`: no consumer, or one consumer, has not received an event.
    `operation`: a decision has no record.
    """

    kind: Kind
    text: str
    stream: str = ""
    sequence: int | str = 0
    event: str = ""
    consumer: str = ""

    @property
    def where(self) -> str:
        """The place: `order/1001 #2 (954ee5d5-…) at reserve-stock`."""
        place = f"{self.stream} #{self.sequence}" if self.stream else ""
        event = f"({self.event})" if place and self.event else self.event
        return " ".join(filter(None, [place, event, f"at {self.consumer}" if self.consumer else ""]))


@dataclass(slots=True)
class Findings:
    """Differences and counts. It can be used by several threads; `report` is called with one difference at a time."""

    report: Callable[[Difference], None]
    counts: Counter[str] = field(default_factory=Counter)
    differences: Counter[str] = field(default_factory=Counter)
    _lock: Lock = field(default_factory=Lock)

    def add(self, difference: Difference) -> None:
        """Count and report a difference."""
        with self._lock:
            self.differences[difference.kind] += 1
            self.report(difference)

    def count(self, what: str, number: int = 1) -> None:
        """Add to a count."""
        with self._lock:
            self.counts[what] += number
