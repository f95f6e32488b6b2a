"""What a whole order costs in DynamoDB: the write units by what is written, as docs/benchmarks.md has them."""

from collections import Counter
from typing import Any

import pytest
import time_machine

from bench.recorder.daybook_usage import parts
from daybook.backbone import fire_timers
from daybook.consumers.consumer import Consumer
from daybook.contracts import clock
from daybook.runtime import aws
from daybook.store.timers import DueTable, Watermark, minute
from events.orders import OrderPlaced
from events.shipping import ShipmentDispatched
from functions.inventory import commit_stock, reserve_stock
from functions.inventory.stock import StockItem
from functions.notifications import mail_confirmed, mail_fulfilled
from functions.orders import cancel_expired, complete_order, confirm_order, order_status, place_order
from functions.payments import charge_order
from functions.shipping import prepare_shipment
from tests.unit import faults
from tests.unit.builders import Message, from_the_bus, sent
from tests.unit.shop.payments import Payments
from tests.unit.shop.test_sending_emails import ACCEPTED
from tests.unit.world import NAMES, Context, World

REACTIONS = (cancel_expired, commit_stock, complete_order, confirm_order, place_order, prepare_shipment, reserve_stock)
EFFECTS = (charge_order, mail_confirmed, mail_fulfilled)
CONSUMERS: list[Consumer[Any]] = [
    *(module.handler for module in (*REACTIONS, *EFFECTS)),
    order_status.order_status_placed,
    order_status.order_status_reserved,
    order_status.order_status_confirmed,
    order_status.order_status_fulfilled,
]


class Units:
    """Adds up the write units of all calls, by what is written. `kind` is that of the consumer at work."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.units: Counter[str] = Counter()
        self._monkeypatch = monkeypatch
        events = aws.client("dynamodb").meta.events
        events.register("provide-client-params", self._calling)
        events.register("after-call", self._answered)

    def is_working(self, kind: str) -> None:
        """Take the following calls for those of a consumer of this kind."""
        self._monkeypatch.setenv("DAYBOOK_CONSUMER", f'{{"kind": "{kind}"}}')

    def _calling(self, params: dict[str, Any], model: Any, context: dict[str, Any], **_: Any) -> dict[str, Any]:
        context["params"] = params
        writes = model.name in {"PutItem", "UpdateItem", "DeleteItem", "TransactWriteItems"}
        return params | ({"ReturnConsumedCapacity": "INDEXES"} if writes else {})

    def _answered(self, parsed: dict[str, Any], model: Any, context: dict[str, Any], **_: Any) -> None:
        self.units.update(parts.units(model.name, context["params"], parsed))


class Order:
    """The sample order, from its first event to its last."""

    def __init__(self, payments: Payments, units: Units) -> None:
        self._world = payments.world
        self._units = units
        self._number = payments.order
        self._seen: set[str] = set()
        for line in OrderPlaced.example["lines"]:
            if line.get("sku"):
                self._world.put(StockItem(sku=line["sku"], available=100))

    def runs(self) -> None:
        """The order is placed, paid, confirmed, sent and fulfilled. Then its time to pay ends."""
        self._comes({**OrderPlaced.example, "order_id": self._number}, "OrderPlaced", "shop.checkout")
        (source,) = ShipmentDispatched.contract.sources
        self._comes({**ShipmentDispatched.example, "order_id": self._number}, "ShipmentDispatched", source)
        (timer,) = self._world.items("due")
        due = clock.moment(timer["time"])
        # A run writes the watermark once for all timers. This one need not write it.
        DueTable(self._world.client, NAMES.due).set_watermark(Watermark(minute(due)))
        with time_machine.travel(due, tick=False):
            self._units.is_working("fire-timers")
            fire_timers.handler({}, Context(60, 0.01))
            self._all_are_processed()

    def _comes(self, data: Any, event_type: str, source: str) -> None:
        self._units.is_working("admit")
        assert self._world.admit(sent(data, type=event_type, source=source)) == []
        self._all_are_processed()

    def _all_are_processed(self) -> None:
        while new := [each for each in self._world.recorded() if each.metadata.id not in self._seen]:
            for envelope in new:
                self._seen.add(envelope.metadata.id)
                for consumer in CONSUMERS:
                    if consumer.event_type.contract.type == envelope.metadata.type:
                        self._units.is_working(consumer.kind)
                        assert self._world.deliver(consumer, Message(from_the_bus(envelope))) == []


def test_the_write_units_of_an_order(payments: Payments, monkeypatch: pytest.MonkeyPatch, world: World) -> None:
    faults.always_answer("SendEmail", ACCEPTED)
    payments.order = payments.order[:10]  # as long as the number of an order: rows of events stay below 1 KB
    units = Units(monkeypatch)

    Order(payments, units).runs()

    assert world.dead_letters() == []
    assert dict(units.units) == {
        "ledger rows": 27,  # 16: 11 in a transaction, 4 of views and 1 without anything else
        "event rows": 20,  # 10
        "rows of state": 18,  # 9: the order three times, its reservation twice, two articles twice
        "index journal": 10,
        "index correlation": 5,
        "rows of views": 4,
        "effect records": 4,  # 3, and the note of the payment's id
        "timers": 4,  # set, and deleted when it fires
    }
    assert sum(units.units.values()) == 92
