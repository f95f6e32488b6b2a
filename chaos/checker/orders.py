"""Orders: all events about an order, with its lines and its total."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from chaos.checker.snapshot import Event, Snapshot

COMMITTED = "committed"


@dataclass(frozen=True, slots=True)
class Order:
    """All events about one order, in all streams."""

    id: str
    events: Sequence[Event]
    types: Mapping[str, Sequence[Event]] = field(init=False)

    def __post_init__(self) -> None:
        types: dict[str, list[Event]] = {}
        for event in self.events:
            types.setdefault(event.type, []).append(event)
        object.__setattr__(self, "types", types)

    def all(self, event_type: str) -> Sequence[Event]:
        """Its events of a type."""
        return self.types.get(event_type, ())

    def one(self, event_type: str) -> Event | None:
        """The first event of a type, of which there should be at most one."""
        return next(iter(self.all(event_type)), None)

    @property
    def lines(self) -> Sequence[Mapping[str, Any]]:
        """The order lines; empty if the order was never placed."""
        placed = self.one("OrderPlaced")
        return placed.data["lines"] if placed else ()

    @property
    def wanted(self) -> Counter[str]:
        """Ordered pieces by SKU."""
        wanted: Counter[str] = Counter()
        for line in self.lines:
            wanted[line["sku"]] += line["quantity"]
        return wanted

    @property
    def total(self) -> tuple[int, str]:
        """The total: minor units and currency."""
        return total(self.lines)


def total(lines: Iterable[Mapping[str, Any]]) -> tuple[int, str]:
    """The total of lines: minor units and currency."""
    several = list(lines)
    amount = sum(line["quantity"] * line["price"]["amount"] for line in several)
    return amount, several[0]["price"]["currency"] if several else ""


def money(amount: Mapping[str, Any]) -> tuple[int, str]:
    """An amount of money in an event: minor units and currency."""
    return amount["amount"], amount["currency"]


def orders(snapshot: Snapshot) -> Iterator[Order]:
    """All orders that have an event."""
    found: dict[str, list[Event]] = {}
    for event in snapshot.events():
        if "order_id" in event.data:
            found.setdefault(event.data["order_id"], []).append(event)
    return (Order(order, events) for order, events in sorted(found.items()))
