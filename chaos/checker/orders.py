"""Orders, as the store tells of them: what was wanted, what became of the goods, and of the money."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from chaos.checker.world import Event, World

COMMITTED = "committed"


@dataclass(frozen=True, slots=True)
class Order:
    """All events about one order, in whatever streams they stand."""

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
        """The first of them, of which there should be one at most."""
        return next(iter(self.all(event_type)), None)

    @property
    def lines(self) -> Sequence[Mapping[str, Any]]:
        """What was ordered; nothing, if nobody has placed the order."""
        placed = self.one("OrderPlaced")
        return placed.data["lines"] if placed else ()

    @property
    def wanted(self) -> Counter[str]:
        """Pieces by article."""
        wanted: Counter[str] = Counter()
        for line in self.lines:
            wanted[line["sku"]] += line["quantity"]
        return wanted

    @property
    def total(self) -> tuple[int, str]:
        """What it costs: minor units, and their currency."""
        return total(self.lines)


def total(lines: Iterable[Mapping[str, Any]]) -> tuple[int, str]:
    """What lines cost together: minor units, and their currency."""
    several = list(lines)
    amount = sum(line["quantity"] * line["price"]["amount"] for line in several)
    return amount, several[0]["price"]["currency"] if several else ""


def money(said: Mapping[str, Any]) -> tuple[int, str]:
    """An amount of money in an event: minor units, and their currency."""
    return said["amount"], said["currency"]


def orders(world: World) -> Iterator[Order]:
    """All orders that any event tells of."""
    found: dict[str, list[Event]] = {}
    for event in world.events():
        if "order_id" in event.data:
            found.setdefault(event.data["order_id"], []).append(event)
    return (Order(order, events) for order, events in sorted(found.items()))
