"""What the audit finds."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Lock
from typing import Literal

Kind = Literal["chain", "item", "journal", "ledger", "unpublished", "undelivered", "operation"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Something that is not as it should be: what, and where. What does not apply is empty, or 0.

    `chain`: events of a stream are changed, missing or foreign. `item`: what is no event. `journal`: an event stands
    where the journal does not find it. `ledger`: ledger and store contradict each other. `unpublished`, `undelivered`:
    an event that nobody, or one consumer, has got. `operation`: a decision whose record is not there.
    """

    kind: Kind
    text: str
    stream: str = ""
    sequence: int | str = 0
    event: str = ""
    consumer: str = ""

    @property
    def where(self) -> str:
        """The place in words: `order/1001 #2 (954ee5d5-…) at reserve-stock`."""
        place = f"{self.stream} #{self.sequence}" if self.stream else ""
        event = f"({self.event})" if place and self.event else self.event
        return " ".join(filter(None, [place, event, f"at {self.consumer}" if self.consumer else ""]))


@dataclass(slots=True)
class Findings:
    """All that is found and counted. Several threads may add to it; `report` gets each difference, one at a time."""

    report: Callable[[Difference], None]
    counts: Counter[str] = field(default_factory=Counter)
    differences: Counter[str] = field(default_factory=Counter)
    _lock: Lock = field(default_factory=Lock)

    def add(self, difference: Difference) -> None:
        """One more difference."""
        with self._lock:
            self.differences[difference.kind] += 1
            self.report(difference)

    def count(self, what: str, number: int = 1) -> None:
        """So many more of what was looked at."""
        with self._lock:
            self.counts[what] += number
