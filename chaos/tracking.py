"""Track sent events at each consumer in the ledger, with cheap reads by key."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import ceil
from typing import TYPE_CHECKING

from daybook.contracts import clock
from daybook.operate.registered import KnownConsumers
from daybook.operate.subscriptions import Subscriptions, published_source
from daybook.store.attributes import unpack_item
from daybook.store.ledger import COMMITTED, TRYING, from_item
from daybook.store.ledger_keys import of_event
from daybook.store.limits import BATCH_GET_ITEMS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from chaos.checker.snapshot import Sent
    from daybook.operate.connection import Connection

ADMIT = "admit"
_ORDER_TIME = timedelta(seconds=60)  # after which an order is processed, except for later external events


def percentile(values: Sequence[float], percent: float) -> float | None:
    """The value that this percentage of the values does not exceed (nearest rank); None without values."""
    return sorted(values)[max(ceil(len(values) * percent / 100), 1) - 1] if values else None


@dataclass(frozen=True, slots=True)
class TrackingResult:
    """One result. `latencies` are in seconds, of deliveries that ended since the previous result. `open` is the number
    of deliveries that have not ended, `oldest` the age of the oldest. `order_latency` is the time to process one order.
    """

    latencies: Sequence[float]
    open: int
    oldest: float
    order_latency: float | None


class DeliveryTracker:
    """Tracks events from the moment they are sent."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._subscriptions = Subscriptions.of(connection)
        self._sent: dict[str, datetime] = {}
        self._open: dict[tuple[str, str], datetime] = {}
        self._orders: deque[tuple[str, str, datetime]] = deque()
        self._shipping: deque[str] = deque()

    def track(self, event_id: str, event: Sent, at: datetime) -> None:
        """Track an event that is sent now, unless it was sent before. `event_id` is its id if it is admitted."""
        if event_id in self._sent:
            return
        self._sent[event_id] = at
        consumers = self._subscriptions.consumers(published_source(event.type), event.type)
        self._open |= {(event_id, consumer): at for consumer in (ADMIT, *consumers)}
        if event.type == "OrderPlaced" and event.may_be_admitted and not event.allowed_errors:
            self._orders.append((event_id, event.data["order_id"], at))

    def poll(self) -> TrackingResult:
        """Read the ledger's status of all open deliveries."""
        latencies = []
        for event, consumer, state, at in list(self._rows()):
            if (event, consumer) not in self._open or state == TRYING:
                continue
            sent = self._open.pop((event, consumer))
            if consumer != ADMIT:
                latencies.append((at - sent).total_seconds())
            elif state != COMMITTED:  # rejected, so no other consumer receives it
                self._open = {pair: at for pair, at in self._open.items() if pair[0] != event}
        oldest = min(self._open.values(), default=None)
        waiting = (datetime.now(UTC) - oldest).total_seconds() if oldest else 0.0
        return TrackingResult(latencies, len(self._open), waiting, self._order_latency())

    def shipped(self) -> list[str]:
        """Orders that were placed a minute ago and whose shipment was requested. Each is returned once."""
        orders = list(self._shipping)
        self._shipping.clear()
        keys = [{"stream": f"shipment/{order}", "sequence": 1} for order in orders]
        found: list[str] = []
        for begin in range(0, len(keys), BATCH_GET_ITEMS):
            items = self._connection.items(
                self._connection.names.store, keys[begin : begin + BATCH_GET_ITEMS], ["stream"], consistent=True
            )
            found += [unpack_item(item)["stream"].partition("/")[2] for item in items]
        return sorted(found)

    def _rows(self) -> Iterator[tuple[str, str, str, datetime]]:
        keys = [of_event(event, consumer) for event, consumer in self._open]
        for begin in range(0, len(keys), BATCH_GET_ITEMS):
            batch = keys[begin : begin + BATCH_GET_ITEMS]
            for item in self._connection.items(self._connection.names.ledger, batch, ["key", "state", "at"]):
                row = from_item(item)
                yield row.event, row.consumer, row.state, clock.moment(row.at)

    def _order_latency(self) -> float | None:
        """The time to process the newest order that is old enough; earlier orders are skipped."""
        newest = None
        while self._orders and datetime.now(UTC) - self._orders[0][2] > _ORDER_TIME:
            newest = self._orders.popleft()
            self._shipping.append(newest[1])
        if newest is None:
            return None
        event, _, sent = newest
        waiting, last, known = [event], sent, KnownConsumers.of(self._connection)
        while waiting:
            for entry in known.rows(waiting.pop()):
                last = max(last, clock.moment(entry.at))
                waiting += entry.emitted
        return (last - sent).total_seconds()
