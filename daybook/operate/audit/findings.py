"""The differences that the audit finds."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Literal

from daybook.operate.audit.sketch import Sketch

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
    """What one part of the check has found: counts, differences, the ids of `missing` events among these, and which
    events were emitted according to the ledger, and are not in the store, or the reverse.
    """

    counts: Counter[str] = field(default_factory=Counter)
    differences: list[Difference] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    emitted: Sketch = field(default_factory=Sketch)

    def add(self, difference: Difference) -> None:
        """Add a difference."""
        self.differences.append(difference)

    def count(self, what: str, number: int = 1) -> None:
        """Add to a count."""
        self.counts[what] += number


@dataclass(slots=True)
class Summary:
    """The numbers of a check so far: counts, and differences by their kind."""

    counts: Counter[str] = field(default_factory=Counter)
    differences: Counter[str] = field(default_factory=Counter)

    def add(self, findings: Findings) -> None:
        """Add what one part has found."""
        self.counts += findings.counts
        self.differences.update(difference.kind for difference in findings.differences)
