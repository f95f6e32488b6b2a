"""Generate events of external systems: orders and stock, reports of devices, transactions. Reproducible by its seed.

Only times follow the clock: readings must be recent, or they raise no alarm.
"""

from __future__ import annotations

import json
import random
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from chaos.checker.snapshot import Sent
from daybook.store.limits import PUT_EVENTS_ENTRIES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from daybook.local.cloud import Cloud

INGRESS = "daybook-local-ingress"
_RETRY_WINDOW = 180.0  # seconds

ARTICLES = tuple(f"article-{number:02d}" for number in range(20))
SCARCE = ARTICLES[:4]  # orders want more of them than there are
_PRICES = {sku: 450 + 275 * place for place, sku in enumerate(ARTICLES)}  # minor units
_METHODS = ("pm_card_visa",) * 17 + ("pm_card_visa_chargeDeclined", "pm_card_chargeDeclinedExpiredCard", None)
_CURRENCIES = ("EUR", "USD", "JPY", "KWD")
_WARDS = ("ICU-1", "ICU-2", "ICU-3")
_SECOND = frozenset({"StreamAlreadyOpen"})
_A_CITY = {"country": "AT", "city": "Wien", "latitude": 48.2082, "longitude": 16.3738}


def entry(sent: Sent) -> dict[str, str]:
    """The PutEvents entry of an event."""
    detail = {"metadata": {"id": sent.producer_id}, "data": sent.data}
    return {
        "EventBusName": INGRESS,
        "Source": sent.source,
        "DetailType": sent.type,
        "Detail": json.dumps(detail, ensure_ascii=False),
    }


class Producer:
    """Puts events on the ingress bus, and retries calls without an answer. `sent` are all events it has sent."""

    def __init__(self, cloud: Cloud) -> None:
        self._events = cloud.client("events", config=Config(read_timeout=10, retries={"total_max_attempts": 1}))
        self.sent: list[Sent] = []

    def send(self, events: Iterable[Sent]) -> None:
        """Send all events in order. A call whose answer was lost is retried, so an event may be sent twice."""
        several = list(events)
        self.sent += several
        for begin in range(0, len(several), PUT_EVENTS_ENTRIES):
            self.put([entry(sent) for sent in several[begin : begin + PUT_EVENTS_ENTRIES]])

    def put(self, entries: Sequence[dict[str, str]]) -> None:
        """Put at most ten entries, which are not added to `sent`. Raises botocore's errors after three minutes."""
        deadline = time.monotonic() + _RETRY_WINDOW
        waiting = list(entries)
        while waiting:
            try:
                answer = self._events.put_events(Entries=waiting)
            except (BotoCoreError, ClientError):
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.5)
                continue
            results = zip(waiting, answer["Entries"], strict=True)
            waiting = [one for one, result in results if "ErrorCode" in result]


@dataclass
class Traffic:
    """Events of external systems. `scale` is the number of orders, of readings and of transactions."""

    seed: int
    scale: int

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)  # noqa: S311 - reproducible
        self._devices = tuple(f"MON-{number}" for number in range(max(self.scale // 20, 4)))
        self._accounts = tuple(f"acc-{number:04x}" for number in range(max(self.scale // 10, 4)))
        self._clock = dict.fromkeys(self._devices, 0)
        self._began = datetime.now(UTC)

    def initial_events(self) -> Iterator[Sent]:
        """What the other events need: stock, registered devices, thresholds."""
        for number, sku in enumerate(ARTICLES):
            quantity = max(self.scale // 20, 1) if sku in SCARCE else self.scale
            for part in (quantity // 2, quantity - quantity // 2):
                if part:
                    yield self._goods(sku, part, f"{number}-{part}-{self._random.randrange(10**6)}")
        for device in self._devices:
            yield self._registration(device, 1)
        for currency in _CURRENCIES:
            yield self._threshold(currency, 1)
        yield self._rate()

    def occasional_events(self, turn: int) -> Iterator[Sent]:
        """Rare events: more stock, new registrations of devices, new thresholds."""
        yield from self.restocking()
        yield from (self._registration(device, turn + 1) for device in self._devices[turn % 3 :: 3])
        yield from (self._threshold(currency, turn + 1) for currency in _CURRENCIES)

    def restocking(self, articles: Sequence[str] = ARTICLES[len(SCARCE) :]) -> Iterator[Sent]:
        """More stock of each of these articles; by default of all that are not scarce."""
        for sku in articles:
            yield self._goods(sku, 5, f"{sku}-more-{self._random.randrange(10**6)}")

    def restock(self, turn: int) -> Iterator[Sent]:
        """Stock for the next hundred orders: enough of most articles, too little of the scarce ones."""
        for sku in ARTICLES:
            yield self._goods(sku, 6 if sku in SCARCE else 30, f"{sku}-turn-{turn}")

    def batch(self, begin: int, end: int) -> Iterator[Sent]:
        """Orders, readings and transactions with these numbers, mixed; some sent twice, some invalid."""
        for number in range(begin, end):
            opened_twice = number % 25 == 7
            order = replace(self.order(number), allowed_errors=_SECOND if opened_twice else frozenset())
            yield order
            if number % 10 == 3:
                yield order  # the checkout sends it again
            if opened_twice:
                yield self._second_opening(order, number)
            yield self._reading(number)
            transaction = self._transaction(number)
            yield transaction
            if number % 10 == 5:
                yield transaction
            if number % 20 == 11:
                yield self._reversal(transaction)
            if number % 50 == 13:
                yield self._broken(number)

    def order(self, number: int, **overrides: Any) -> Sent:
        """An order of one to three articles; every sixth order has a scarce one."""
        several = self._random.sample(ARTICLES[len(SCARCE) :], self._random.randint(1, 3))
        if number % 6 == 0:
            several[0] = self._random.choice(SCARCE)
        method = self._random.choice(_METHODS)
        data = {
            "order_id": f"o-{number}",
            "customer": {"name": f"Customer {number}", "email": f"customer-{number}@example.com"},
            "lines": [
                {
                    "sku": sku,
                    "quantity": self._random.randint(1, 3),
                    "price": {"amount": _PRICES[sku], "currency": "EUR"},
                }
                for sku in several
            ],
            **({"payment_method": method} if method else {}),
            **overrides,
        }
        return Sent(type="OrderPlaced", source="shop.checkout", producer_id=f"checkout-{number}", data=data)

    def shipments(self, orders: Iterable[str]) -> Iterator[Sent]:
        """The shipments of orders are dispatched."""
        for order in orders:
            data = {"order_id": order, "carrier": "Post", "tracking_number": f"T-{order}"}
            yield Sent(
                type="ShipmentDispatched", source="warehouse.dispatch", producer_id=f"shipment-{order}", data=data
            )

    def refunds(self, orders: Iterable[str]) -> Iterator[Sent]:
        """The service desk refunds one euro."""
        for order in orders:
            data = {"order_id": order, "refund_id": f"R-{order}", "amount": {"amount": 100, "currency": "EUR"}}
            yield Sent(type="RefundClaimed", source="shop.service-desk", producer_id=f"refund-{order}", data=data)

    def _registration(self, device: str, revision: int) -> Sent:
        place = self._devices.index(device)
        data = {
            "device_id": device,
            "serial": f"SN-{place}",
            "type": "patient-monitor",
            "ward": _WARDS[place % len(_WARDS)],
            "reports_every": 600,
            "revision": revision,
        }
        return self._registered(data)

    @staticmethod
    def _registered(data: dict[str, Any]) -> Sent:
        name = f"registered-{data['device_id']}-{data['revision']}"
        return Sent(type="EquipmentRegistered", source="hospital.assets", producer_id=name, data=data)

    def _threshold(self, currency: str, revision: int) -> Sent:
        data = {"currency": currency, "valid_from": "2020-01-01", "amount": 1_000_000}
        data |= {"margin": 100_000, "days": 7, "revision": revision}
        name = f"threshold-{currency}-{revision}"
        return Sent(type="ReportingThresholdSet", source="bank.compliance", producer_id=name, data=data)

    @staticmethod
    def _rate() -> Sent:
        """A rate of one currency; there is none of the others."""
        data = {"currency": "EUR", "valid_from": "2020-01-01", "rate": "1.0843", "revision": 1}
        return Sent(type="ExchangeRateSet", source="bank.compliance", producer_id="rate-EUR-1", data=data)

    def _goods(self, sku: str, quantity: int, name: str) -> Sent:
        data = {"sku": sku, "quantity": quantity, "delivery_id": f"D-{name}"}
        return Sent(type="StockReceived", source="warehouse.receiving", producer_id=f"goods-{name}", data=data)

    def order_twice(self, number: int) -> tuple[Sent, Sent]:
        """Two orders with the same number. Whichever is admitted first, the other is rejected."""
        order = replace(self.order(number), allowed_errors=_SECOND)
        return order, self._second_opening(order, number)

    def device(self, name: str, *, reports: int) -> Iterator[Sent]:
        """A new device is registered and reports this many times that it is on."""
        at = datetime.now(UTC)
        about = {"device_id": name, "serial": f"SN-{name}", "type": "patient-monitor", "ward": _WARDS[0]}
        yield self._registered({**about, "reports_every": 600, "revision": 1})
        for number in range(reports):
            yield self._reported(f"{name}-{number}", about, "on", at + timedelta(microseconds=number))

    def _second_opening(self, order: Sent, number: int) -> Sent:
        """Another order with the same number. Whichever is admitted first, the other is rejected."""
        data = {**order.data, "customer": {"name": "Somebody Else", "email": f"else-{number}@example.com"}}
        return Sent(
            type=order.type,
            source=order.source,
            producer_id=f"{order.producer_id}-again",
            data=data,
            allowed_errors=_SECOND,
        )

    def _broken(self, number: int) -> Sent:
        data = {**self.order(number).data, "order_id": f"broken-{number}", "lines": []}
        return Sent(
            type="OrderPlaced",
            source="shop.checkout",
            producer_id=f"broken-{number}",
            data=data,
            may_be_admitted=False,
            allowed_errors=frozenset({"ContractBroken"}),
        )

    def _reading(self, number: int) -> Sent:
        """A device report. Sometimes a device reports a fault for several readings, which raises an alarm at once."""
        place = number % len(self._devices)
        device = self._devices[place]
        self._clock[device] += 1
        turn = self._clock[device]
        broken = (turn + place) % 8 in {3, 4, 5}
        # Each is later than the previous one, and at most a minute old.
        at = max(self._began + timedelta(seconds=turn), datetime.now(UTC) - timedelta(seconds=60))
        at = min(at, datetime.now(UTC))
        ward = _WARDS[place % len(_WARDS)]
        about = {"device_id": device, "serial": f"SN-{place}", "type": "patient-monitor", "ward": ward}
        return self._reported(str(number), about, "fault" if broken else "on", at)

    def _reported(self, name: str, about: dict[str, Any], status: str, at: datetime) -> Sent:
        data = {
            **about,
            "status": status,
            "readings": [{"code": "59408-5", "unit": "%", "value": self._random.randint(95, 99)}],
            "battery": 80,
            "measured_at": at.isoformat(timespec="microseconds").replace("+00:00", "Z"),
        }
        return Sent(type="EquipmentStatusReported", source="hospital.devices", producer_id=f"reading-{name}", data=data)

    def _transaction(self, number: int) -> Sent:
        account = self._random.choice(self._accounts)
        at = self._began - timedelta(minutes=self._random.randrange(2_000))
        cash = number % 9 == 0
        data: dict[str, Any] = {
            "authorisation_id": f"A-{number}",
            "account_id": account,
            "customer_id": f"cus-{account}",
            "opened_on": "2019-04-01",
            "direction": "credit" if number % 7 == 0 else "debit",
            "amount": self._random.randrange(1, 2_000_000),
            "currency": self._random.choice(_CURRENCIES),
            "channel": "cash" if cash else "card",
            "posted_at": at.isoformat(timespec="microseconds").replace("+00:00", "Z"),
        }
        if cash:
            data["place"] = _A_CITY
            if number % 2:
                data["conducted_by"] = f"cus-{self._accounts[number % 3]}"
        else:
            merchant = f"m-{self._random.randrange(12)}"
            data["merchant"] = {"merchant_id": merchant, "mcc": "5411", "place": _A_CITY}
        # Transactions are identified by a field of their data, not by their metadata.
        name = f"TransactionPosted/{data['authorisation_id']}"
        return Sent(type="TransactionPosted", source="bank.core", producer_id=name, data=data)

    def _reversal(self, transaction: Sent) -> Sent:
        at = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        return Sent(
            type="TransactionReversed",
            source=transaction.source,
            producer_id=f"TransactionReversed/{transaction.data['authorisation_id']}",
            data={**transaction.data, "reversed_at": at},
        )
