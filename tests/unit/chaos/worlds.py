"""Worlds made by hand: whole ones, in which all that is promised holds, for a test to break in one place."""

import itertools
from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any

from chaos.checker.breach import Invariant
from chaos.checker.world import Event, Mail, Movement, Page, World
from tests.tables import service_tables

ADDRESS = "ada@example.com"


class Making:
    """A world that is being made. `tables` are rows by their ids; all may be changed until it is `made`."""

    def __init__(self) -> None:
        self.streams: dict[str, list[Event]] = defaultdict(list)
        self.accounts: dict[tuple[str, str], dict[str, Any]] = {}
        self.others: dict[tuple[str, str], dict[str, Any]] = {}
        self.tables: dict[str, dict[str, dict[str, Any]]] = {table: {} for table in service_tables()}
        self.mails: list[Mail] = []
        self.pages: list[Page] = []
        self.paid: list[Movement] = []
        self.paid_back: list[Movement] = []
        self._numbers = itertools.count(1)

    def event(self, event_type: str, stream: str, *handled_by: str, **data: Any) -> Event:
        """An event, committed at these consumers."""
        event = Event(
            id=f"event-{next(self._numbers):03}",
            type=event_type,
            stream=stream,
            sequence=len(self.streams[stream]) + 1,
            recorded_at="2026-03-01T12:00:00.000000Z",
            correlation_id="story",
            causation_id=None,
            producer="test",
            data=data,
            previous="",
            hash="",
        )
        self.streams[stream].append(event)
        for consumer in handled_by:
            self.account(event, consumer)
        return event

    def account(self, event: Event, consumer: str, state: str = "committed", **details: Any) -> None:
        """What the ledger says of an event at a consumer."""
        self.accounts[event.id, consumer] = {
            "event": event.id,
            "consumer": consumer,
            "state": state,
            **details,
        }

    def row(self, table: str, key: str, **fields: Any) -> dict[str, Any]:
        """A row of a service's table."""
        self.tables[table][key] = {"id": key, **fields}
        return self.tables[table][key]

    def the(self, event_type: str, **data: Any) -> Event:
        """The one event of a type, or the one that says this."""
        (event,) = (
            event
            for stream in self.streams.values()
            for event in stream
            if event.type == event_type and data.items() <= event.data.items()
        )
        return event

    def instead(self, event: Event, **data: Any) -> None:
        """As if the event had said this."""
        assert isinstance(event.data, dict)
        event.data.update(data)

    def forget(self, event: Event) -> None:
        """As if the event had never been recorded."""
        self.streams[event.stream].remove(event)

    def made(self) -> World:
        """The world as it is now."""
        return World(
            streams={stream: events for stream, events in self.streams.items() if events},
            listeners={},
            ordered=frozenset(),
            accounts=self.accounts,
            others=self.others,
            tables={table: list(rows.values()) for table, rows in self.tables.items()},
            mails=self.mails,
            pages=self.pages,
            paid=self.paid,
            paid_back=self.paid_back,
        )


def breaches(making: Making, invariant: Invariant) -> list[str]:
    """What the invariant finds."""
    return [breach.what for breach in invariant.breaches(making.made())]


def assert_found_out(broken: Making, breaking: Callable[[Making], None], invariant: Invariant, says: str) -> None:
    """Whole, it holds; broken, it does not, and the invariant says this."""
    assert breaches(broken, invariant) == []

    breaking(broken)

    found = breaches(broken, invariant)
    assert any(each.startswith(says) for each in found), found


def lines(pieces: Mapping[str, int], price: int = 1250) -> list[dict[str, Any]]:
    """An order's lines, each piece at so many cents."""
    money = {"amount": price, "currency": "EUR"}
    return [{"sku": sku, "quantity": quantity, "price": money} for sku, quantity in pieces.items()]


def euros(cents: int) -> dict[str, Any]:
    return {"amount": cents, "currency": "EUR"}


def a_shop() -> Making:
    """Ten mugs have come in, and four orders: 1001 is sent, 1002 wanted too much, 1003 was paid after it was cancelled,
    and 1004 waits for its money.
    """
    shop = Making()
    goods(shop, "mug", 6)
    goods(shop, "mug", 4)
    shop.row("stock", "mug", available=7, reserved=1)
    for order, pieces in (("1001", 2), ("1002", 50), ("1003", 1), ("1004", 1)):
        place(shop, order, {"mug": pieces})
    for order, pieces in (("1001", 2), ("1003", 1), ("1004", 1)):
        put_aside(shop, order, {"mug": pieces})
    pay(shop, "1001", 2500, "OrderConfirmed")
    send(shop, "1001")
    short = {"order_id": "1002", "skus": ["mug"]}
    shop.event("OutOfStock", "reservation/1002", "order-status-out-of-stock", "cancel-unstocked", **short)
    shop.tables["order-status"]["1002"] |= {"missing": ["mug"]}
    cancel(shop, "1002", "out_of_stock")
    cancel(shop, "1003", "not_paid_in_time")
    pay(shop, "1003", 1250, None)
    pay_back(shop, "1003", "cancelled", 1250)
    return shop


def goods(shop: Making, sku: str, quantity: int) -> None:
    """Goods that have come in; that they lie on the shelf is another matter."""
    shop.event("StockReceived", f"stock/{sku}", "receive-stock", sku=sku, quantity=quantity)


def place(shop: Making, order: str, pieces: Mapping[str, int]) -> None:
    bought = {"customer": {"name": "Ada Lovelace", "email": ADDRESS}, "lines": lines(pieces)}
    handled_by = ("place-order", "reserve-stock", "order-status-placed")
    shop.event("OrderPlaced", f"order/{order}", *handled_by, order_id=order, **bought)
    shop.row("orders", order, stage="placed", purchase=bought, paid=0, refunds={})
    total = sum(line["quantity"] * line["price"]["amount"] for line in lines(pieces))
    status = {"status": "placed", "status@": "0010#event"}
    shop.row("order-status", order, total=total, currency="EUR", **status)


def put_aside(shop: Making, order: str, pieces: Mapping[str, int]) -> None:
    handled_by = ("charge-order", "order-status-reserved")
    shop.event("StockReserved", f"reservation/{order}", *handled_by, order_id=order)
    shop.row("reservations", order, stage="reserved", pieces=dict(pieces))
    shop.tables["order-status"][order]["status"] = "reserved"


def pay(shop: Making, order: str, cents: int, then: str | None) -> None:
    """The order is paid, and confirmed thereby if `then` says so."""
    paid = {"order_id": order, "payment_id": f"pi_{order}", "amount": euros(cents)}
    shop.event("PaymentSucceeded", f"payment/{order}", "confirm-order", **paid)
    shop.paid.append(Movement(order=order, amount=cents, currency="EUR"))
    shop.tables["orders"][order]["paid"] = cents
    if then:
        handled_by = ("commit-stock", "mail-confirmed", "order-status-confirmed")
        shop.event(then, f"order/{order}", *handled_by, order_id=order)
        shop.tables["orders"][order]["stage"] = "confirmed"
        shop.tables["reservations"][order]["stage"] = "committed"
        shop.tables["order-status"][order]["status"] = "confirmed"
        write(shop, order, "confirmed", f"Your order {order} is confirmed")


def send(shop: Making, order: str) -> None:
    handled_by = ("mail-fulfilled", "order-status-fulfilled")
    parcel = {"carrier": "Post", "tracking_number": "T-1"}
    shop.event("OrderFulfilled", f"order/{order}", *handled_by, order_id=order, **parcel)
    shop.tables["orders"][order]["stage"] = "fulfilled"
    shop.tables["order-status"][order] |= {"status": "fulfilled", **parcel}
    write(shop, order, "fulfilled", f"Your order {order} is on its way")


def cancel(shop: Making, order: str, because: str) -> None:
    handled_by = ("release-stock", "mail-cancelled", "order-status-cancelled")
    shop.event("OrderCancelled", f"order/{order}", *handled_by, order_id=order, because=because)
    shop.tables["orders"][order]["stage"] = "cancelled"
    shop.tables["order-status"][order] |= {"status": "cancelled", "cancelled_because": because}
    pieces = shop.tables["reservations"].get(order, {}).get("pieces", {})
    shop.row("reservations", order, stage="released", pieces=pieces)
    write(shop, order, "cancelled", f"Your order {order} is cancelled")


def pay_back(shop: Making, order: str, refund: str, cents: int, because: str = "paid_after_cancellation") -> None:
    told = {"order_id": order, "refund_id": refund, "amount": euros(cents), "because": because}
    shop.event("RefundRequested", f"order/{order}", "refund-order", **told)
    shop.event("PaymentRefunded", f"payment/{order}", "mail-refunded", "order-status-refunded", **told)
    shop.paid_back.append(Movement(order=order, amount=cents, currency="EUR"))
    shop.tables["orders"][order]["refunds"][refund] = cents
    status = shop.tables["order-status"][order]
    status["refunded"] = status.get("refunded", 0) + cents
    text = f"We have paid back {cents} cents."
    write(shop, order, f"refunded:{refund}", f"Refund for your order {order}", text)


def write(shop: Making, order: str, kind: str, subject: str, text: str = "Dear Ada") -> None:
    """A letter that is sent, and told to be."""
    letter = f"{order}.{kind}"
    shop.event("EmailSent", f"letter/{letter}", letter_id=letter, order_id=order)
    shop.mails.append(Mail(to=(ADDRESS,), subject=subject, text=text))


def a_ward() -> Making:
    """A device has told of itself three times in two minutes, and has alarmed; nobody has acknowledged it in time."""
    ward = Making()
    for second, value in ((1, 97), (61, 80), (62, 79)):
        report(ward, f"2026-03-01T12:{second // 60:02}:{second % 60:02}.000000Z", value)
    last = "2026-03-01T12:01:02.000000Z"
    row = ward.row("devices", "MON-7", **_how(last), **_WHAT)
    row |= {"59408-5": {"value": 79, "unit": "%", "measured_at": last}, "59408-5@": "2026#event"}
    for minute, at, value in (("00", "12:00:01", 97), ("01", "12:01:02", 79)):
        readings = {"59408-5": {"value": value, "unit": "%"}}
        ward.row("device-history", f"MON-7#{minute}", **_how(f"2026-03-01T{at}.000000Z"), readings=readings)
    alarm = "MON-7:59408-5:3"
    ward.event("EquipmentAlarmRaised", f"alarm/{alarm}", "page-staff", alarm_id=alarm)
    page(ward, alarm, 1)
    ward.event("EquipmentAlarmEscalated", f"alarm/{alarm}", "page-escalation", alarm_id=alarm, level=2)
    page(ward, alarm, 2)
    ward.event("EquipmentAlarmCleared", f"alarm/{alarm}", alarm_id=alarm)
    ward.row("alarms", alarm, stage="cleared", level=2)
    return ward


_WHAT = {"type": "patient-monitor", "ward": "ICU-2", "udi": None, "serial": "SN-1"}


def _how(at: str) -> dict[str, Any]:
    return {"status": "on", "battery": 80, "measured_at": at}


def report(ward: Making, at: str, value: int) -> Event:
    readings = [{"code": "59408-5", "unit": "%", "value": value}]
    told = {"device_id": "MON-7", **_how(at), **_WHAT, "readings": readings}
    return ward.event("EquipmentStatusReported", "device/MON-7", "track-equipment", **told)


def page(ward: Making, alarm: str, level: int, *, told: bool = True) -> None:
    """A page that is sent, and told to be."""
    text = "ICU-2: MON-7 (patient-monitor)\n"
    text += f"Level {level}: nobody has acknowledged it yet.\n" if level > 1 else ""
    ward.pages.append(Page(level=level, text=f"{text}Alarm {alarm}"))
    if told:
        ward.event("StaffPaged", f"alarm/{alarm}", alarm_id=alarm, level=level)


def a_bank() -> Making:
    """Three transactions of one minute: one of cash, one at a merchant, and one that was taken back."""
    bank = Making()
    at = "2026-03-01T12:00:30.000000Z"
    cash: dict[str, Any] = {
        "authorisation_id": "A-1",
        "account_id": "acc-1",
        "customer_id": "cus-1",
        "direction": "debit",
    }
    cash |= {"amount": 1000, "currency": "EUR", "channel": "cash", "posted_at": at}
    card = {**cash, "authorisation_id": "A-2", "amount": 700, "channel": "card", "merchant": {"merchant_id": "m-1"}}
    undone = {**cash, "authorisation_id": "A-3", "account_id": "acc-2", "amount": 5, "direction": "credit"}
    for data in (cash, card, undone):
        stream = f"account/{data['account_id']}"
        bank.event("TransactionPosted", stream, "tally-transaction", "screen-transaction", "score-transaction", **data)
    bank.event("TransactionReversed", "account/acc-2", "tally-reversal", "screen-reversal", **undone)
    one, other = ({"EUR:debit_count": 1, "EUR:debited": amount} for amount in (1000, 700))
    nothing = {"EUR:credit_count": 0, "EUR:credited": 0}
    bank.row("minutes", "2026-03-01T12:00#0", **one)
    bank.row("minutes", "2026-03-01T12:00#1", **other, **nothing)
    bank.row("account-days", "acc-1#2026-03-01", **{"EUR:debit_count": 2, "EUR:debited": 1700})
    bank.row("account-days", "acc-2#2026-03-01", **nothing)
    bank.row("merchant-days", "m-1#2026-03-01#0", **other)
    about = ("authorisation_id", "account_id", "customer_id", "amount", "currency", "channel", "posted_at")
    grave = {"score": 70, "threshold": 60, "reasons": [{"weight": 45}, {"weight": 25}]}
    bank.event("FraudSuspected", "suspicion/acc-1", **{name: card[name] for name in about}, **grave)
    first, last = basis("A-1", "A-3", cents=1005), basis("A-1", cents=1000)
    opened = {"case_id": CASE, "rule": "cash_of_one_day", "customer_id": "cus-1"}
    bank.event("ComplianceCaseOpened", f"case/{CASE}", **opened, basis=first)
    bank.event("ComplianceCaseChanged", f"case/{CASE}", **opened, basis=last)
    bank.row("cases", CASE, **opened, basis=last)
    return bank


CASE = "currency:cus-1:debit:EUR:2026-03-01"


def basis(*transactions: str, cents: int, count: int | None = None) -> dict[str, Any]:
    """What a case rests on."""
    sums = [{"amount": cents, "currency": "EUR"}]
    return {"sums": sums, "count": len(transactions) if count is None else count, "transactions": list(transactions)}
