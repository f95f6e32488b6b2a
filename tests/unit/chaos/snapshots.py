"""Builders of valid snapshots, which a test then changes in one place."""

import itertools
from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any

from chaos.checker.snapshot import Email, Event, Movement, Page, Snapshot
from chaos.checker.violation import Invariant
from daybook.testing.tables import service_tables

ADDRESS = "ada@example.com"


class SnapshotBuilder:
    """Builds a snapshot. `tables` are rows by id. Everything may be changed until `build`."""

    def __init__(self) -> None:
        self.streams: dict[str, list[Event]] = defaultdict(list)
        self.statuses: dict[tuple[str, str], dict[str, Any]] = {}
        self.other_rows: dict[tuple[str, str], dict[str, Any]] = {}
        self.tables: dict[str, dict[str, dict[str, Any]]] = {table: {} for table in service_tables()}
        self.emails: list[Email] = []
        self.pages: list[Page] = []
        self.paid: list[Movement] = []
        self.refunds_made: list[Movement] = []
        self._numbers = itertools.count(1)

    def event(self, event_type: str, stream: str, *handled_by: str, **data: Any) -> Event:
        """Add an event that these consumers have committed."""
        event = Event(
            id=f"event-{next(self._numbers):03}",
            type=event_type,
            stream=stream,
            sequence=len(self.streams[stream]) + 1,
            recorded_at="2026-03-01T12:00:00.000000Z",
            correlation_id="correlation",
            causation_id=None,
            producer="test",
            data=data,
            previous="",
            hash="",
        )
        self.streams[stream].append(event)
        for consumer in handled_by:
            self.status(event, consumer)
        return event

    def status(self, event: Event, consumer: str, state: str = "committed", **details: Any) -> None:
        """Set the status of an event at a consumer."""
        self.statuses[event.id, consumer] = {"state": state, **details}

    def row(self, table: str, key: str, **fields: Any) -> dict[str, Any]:
        """Add a row to a service's table."""
        self.tables[table][key] = {"id": key, **fields}
        return self.tables[table][key]

    def the(self, event_type: str, **data: Any) -> Event:
        """The only event of a type, or the only one with this data."""
        (event,) = (
            event
            for stream in self.streams.values()
            for event in stream
            if event.type == event_type and data.items() <= event.data.items()
        )
        return event

    def change(self, event: Event, **data: Any) -> None:
        """Change the event's data."""
        assert isinstance(event.data, dict)
        event.data.update(data)

    def remove(self, event: Event) -> None:
        """Remove the event from its stream."""
        self.streams[event.stream].remove(event)

    def build(self) -> Snapshot:
        """The snapshot as it is now."""
        return Snapshot(
            streams={stream: events for stream, events in self.streams.items() if events},
            listeners={},
            ordered=frozenset(),
            statuses=self.statuses,
            other_rows=self.other_rows,
            tables={table: list(rows.values()) for table, rows in self.tables.items()},
            emails=self.emails,
            pages=self.pages,
            paid=self.paid,
            refunds_made=self.refunds_made,
        )


def violations(builder: SnapshotBuilder, invariant: Invariant) -> list[str]:
    """The messages of the violations that the invariant finds."""
    return [violation.message for violation in invariant.violations(builder.build())]


def assert_violation_found(
    broken: SnapshotBuilder, break_it: Callable[[SnapshotBuilder], None], invariant: Invariant, expected: str
) -> None:
    """Check that there is no violation before the change, and this one after it."""
    assert violations(broken, invariant) == []

    break_it(broken)

    found = violations(broken, invariant)
    assert any(each.startswith(expected) for each in found), found


def lines(pieces: Mapping[str, int], price: int = 1250) -> list[dict[str, Any]]:
    """Order lines with this price for each piece, in cents."""
    money = {"amount": price, "currency": "EUR"}
    return [{"sku": sku, "quantity": quantity, "price": money} for sku, quantity in pieces.items()]


def euros(cents: int) -> dict[str, Any]:
    return {"amount": cents, "currency": "EUR"}


def a_shop() -> SnapshotBuilder:
    """Ten mugs were received. Of four orders, 1001 is sent, 1002 was out of stock, 1003 was paid after its
    cancellation, and 1004 waits for its payment.
    """
    shop = SnapshotBuilder()
    stock_received(shop, "mug", 6)
    stock_received(shop, "mug", 4)
    shop.row("stock", "mug", available=7, reserved=1)
    for order, pieces in (("1001", 2), ("1002", 50), ("1003", 1), ("1004", 1)):
        place(shop, order, {"mug": pieces})
    for order, pieces in (("1001", 2), ("1003", 1), ("1004", 1)):
        reserve(shop, order, {"mug": pieces})
    pay(shop, "1001", 2500, "OrderConfirmed")
    send(shop, "1001")
    short = {"order_id": "1002", "skus": ["mug"]}
    shop.event("OutOfStock", "reservation/1002", "order-status-out-of-stock", "cancel-unstocked", **short)
    shop.tables["order-status"]["1002"] |= {"missing": ["mug"]}
    cancel(shop, "1002", "out_of_stock")
    cancel(shop, "1003", "not_paid_in_time")
    pay(shop, "1003", 1250, None)
    make_refund(shop, "1003", "cancelled", 1250)
    return shop


def stock_received(shop: SnapshotBuilder, sku: str, quantity: int) -> None:
    """Add StockReceived. It does not change the row of the stock."""
    shop.event("StockReceived", f"stock/{sku}", "receive-stock", sku=sku, quantity=quantity)


def place(shop: SnapshotBuilder, order: str, pieces: Mapping[str, int]) -> None:
    bought = {"customer": {"name": "Ada Lovelace", "email": ADDRESS}, "lines": lines(pieces)}
    handled_by = ("place-order", "reserve-stock", "order-status-placed")
    shop.event("OrderPlaced", f"order/{order}", *handled_by, order_id=order, **bought)
    shop.row("orders", order, stage="placed", purchase=bought, paid=0, refunds={})
    total = sum(line["quantity"] * line["price"]["amount"] for line in lines(pieces))
    status = {"status": "placed", "status@": "0010#event"}
    shop.row("order-status", order, total=total, currency="EUR", **status)


def reserve(shop: SnapshotBuilder, order: str, pieces: Mapping[str, int]) -> None:
    handled_by = ("charge-order", "order-status-reserved")
    shop.event("StockReserved", f"reservation/{order}", *handled_by, order_id=order)
    shop.row("reservations", order, stage="reserved", pieces=dict(pieces))
    shop.tables["order-status"][order]["status"] = "reserved"


def pay(shop: SnapshotBuilder, order: str, cents: int, then: str | None) -> None:
    """Pay the order; `then` is the event that follows, if any."""
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
        send_email(shop, order, "confirmed", f"Your order {order} is confirmed")


def send(shop: SnapshotBuilder, order: str) -> None:
    handled_by = ("mail-fulfilled", "order-status-fulfilled")
    shipment = {"carrier": "Post", "tracking_number": "T-1"}
    shop.event("OrderFulfilled", f"order/{order}", *handled_by, order_id=order, **shipment)
    shop.tables["orders"][order]["stage"] = "fulfilled"
    shop.tables["order-status"][order] |= {"status": "fulfilled", **shipment}
    send_email(shop, order, "fulfilled", f"Your order {order} is on its way")


def cancel(shop: SnapshotBuilder, order: str, reason: str) -> None:
    handled_by = ("release-stock", "mail-cancelled", "order-status-cancelled")
    shop.event("OrderCancelled", f"order/{order}", *handled_by, order_id=order, reason=reason)
    shop.tables["orders"][order]["stage"] = "cancelled"
    shop.tables["order-status"][order] |= {"status": "cancelled", "cancellation_reason": reason}
    pieces = shop.tables["reservations"].get(order, {}).get("pieces", {})
    shop.row("reservations", order, stage="released", pieces=pieces)
    send_email(shop, order, "cancelled", f"Your order {order} is cancelled")


def make_refund(
    shop: SnapshotBuilder, order: str, refund: str, cents: int, reason: str = "paid_after_cancellation"
) -> None:
    details = {"order_id": order, "refund_id": refund, "amount": euros(cents), "reason": reason}
    shop.event("RefundRequested", f"order/{order}", "refund-order", **details)
    shop.event("PaymentRefunded", f"payment/{order}", "mail-refunded", "order-status-refunded", **details)
    shop.refunds_made.append(Movement(order=order, amount=cents, currency="EUR"))
    shop.tables["orders"][order]["refunds"][refund] = cents
    status = shop.tables["order-status"][order]
    status["refunded"] = status.get("refunded", 0) + cents
    text = f"We have refunded {cents} cents."
    send_email(shop, order, f"refunded:{refund}", f"Refund for your order {order}", text)


def send_email(shop: SnapshotBuilder, order: str, kind: str, subject: str, text: str = "Dear Ada") -> None:
    """Add an e-mail and its EmailSent."""
    email_id = f"{order}.{kind}"
    shop.event("EmailSent", f"email/{email_id}", email_id=email_id, order_id=order)
    shop.emails.append(Email(to=(ADDRESS,), subject=subject, text=text))


def a_ward() -> SnapshotBuilder:
    """A device has reported three times in two minutes and raised an alarm, which nobody acknowledged in time."""
    ward = SnapshotBuilder()
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


def report(ward: SnapshotBuilder, at: str, value: int) -> Event:
    readings = [{"code": "59408-5", "unit": "%", "value": value}]
    details = {"device_id": "MON-7", **_how(at), **_WHAT, "readings": readings}
    return ward.event("EquipmentStatusReported", "device/MON-7", "track-equipment", **details)


def page(ward: SnapshotBuilder, alarm: str, level: int, *, recorded: bool = True) -> None:
    """Add a page and its StaffPaged."""
    text = "ICU-2: MON-7 (patient-monitor)\n"
    text += f"Level {level}: nobody has acknowledged it yet.\n" if level > 1 else ""
    ward.pages.append(Page(level=level, text=f"{text}Alarm {alarm}"))
    if recorded:
        ward.event("StaffPaged", f"alarm/{alarm}", alarm_id=alarm, level=level)


def a_bank() -> SnapshotBuilder:
    """Three transactions in one minute: one in cash, one at a merchant, and one that was reversed."""
    bank = SnapshotBuilder()
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
    """The basis of a case."""
    sums = [{"amount": cents, "currency": "EUR"}]
    return {"sums": sums, "count": len(transactions) if count is None else count, "transactions": list(transactions)}
