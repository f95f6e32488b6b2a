"""The reconciliation at the end of the demo: stock, money and e-mails are consistent in all systems."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Self, TypeVar

from daybook.local.demo.business import LocalSystem
from daybook.local.mailbox import Mail, mailbox
from daybook.local.provider import Book
from daybook.operate.connection import Connection
from daybook.operate.tables import DeployedTable
from daybook.store.event_store import from_item
from daybook.store.state import State
from events.catalogue import CATALOGUE
from events.notifications import EmailSent
from events.orders import OrderCancelled, OrderConfirmed, OrderFulfilled
from events.payments import PaymentRefunded
from functions.inventory.stock import Reservation, StockItem
from functions.orders.order_status import OrderStatus

R = TypeVar("R", bound=State)

Stock = Mapping[str, StockItem]

# The customer gets one e-mail for each of these events.
_NOTIFIED = (OrderConfirmed, OrderCancelled, OrderFulfilled, PaymentRefunded)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The shop's rows by key, the payment provider's book, the mailbox, and the events about e-mails."""

    stock: Stock
    reservations: Mapping[str, Reservation]
    orders: Mapping[str, OrderStatus]
    provider: Book
    mails: list[Mail]
    notified: Counter[str]
    sent: list[EmailSent]

    @classmethod
    def of(cls, system: LocalSystem) -> Self:
        """The state of the system now."""
        connection = system.connection
        events = list(_events(connection))
        return cls(
            stock=stock(connection),
            reservations=_rows(connection, Reservation),
            orders=_rows(connection, OrderStatus),
            provider=system.provider.book(),
            mails=mailbox(system.cloud),
            notified=Counter(type(event).__name__ for event in events if isinstance(event, _NOTIFIED)),
            sent=[event for event in events if isinstance(event, EmailSent)],
        )

    def sold(self) -> Counter[str]:
        """The pieces of confirmed orders, by article."""
        pieces: Counter[str] = Counter()
        for reservation in self.reservations.values():
            if reservation.stage == "committed":
                pieces.update(reservation.pieces)
        return pieces

    def problems(self, before: Stock) -> Iterator[str]:
        """A line for each inconsistency. `before` is the stock before the first order."""
        yield from self._stock_problems(before)
        yield from self._payment_problems()
        yield from self._email_problems()

    def _stock_problems(self, before: Stock) -> Iterator[str]:
        sold = self.sold()
        for sku, item in before.items():
            pieces = self.stock[sku].available + self.stock[sku].reserved + sold[sku]
            if pieces != item.available:
                yield f"{sku}: {pieces} pieces are available, reserved or sold; expected {item.available}"

    def _payment_problems(self) -> Iterator[str]:
        for order, row in self.orders.items():
            kept = sum(self.provider.kept(order).values())
            expected = row.total - row.refunded if row.status in {"confirmed", "fulfilled"} else 0
            if kept != expected:
                yield f"order {order} is {row.status}: the provider has {kept} of its money; expected {expected}"
            charges = sum(each.order == order and each.status == "succeeded" for each in self.provider.charges)
            if charges > 1:
                yield f"order {order} was charged {charges} times"

    def _email_problems(self) -> Iterator[str]:
        if sorted(mail.id for mail in self.mails) != sorted(event.message_id for event in self.sent):
            yield f"{len(self.mails)} e-mails are in the mailbox, but the event store has {len(self.sent)} EmailSent"
        if repeated := [email for email, times in Counter(event.email_id for event in self.sent).items() if times > 1]:
            yield f"e-mails that were sent more than once: {', '.join(repeated)}"
        if len(self.sent) != self.notified.total():
            yield f"{len(self.sent)} e-mails were sent; expected {self.notified.total()} for {dict(self.notified)}"


def stock(connection: Connection) -> Stock:
    """The stock now, by article."""
    return _rows(connection, StockItem)


def _rows(connection: Connection, state: type[R]) -> dict[str, R]:
    rows = DeployedTable.of_view(connection, state).scan()
    return {row.row_id: row for row in sorted(rows, key=lambda row: row.row_id)}


def _events(connection: Connection) -> Iterator[object]:
    pages = connection.dynamodb.get_paginator("scan").paginate(TableName=connection.names.store, ConsistentRead=True)
    for page in pages:
        for item in page["Items"]:
            event = from_item(item)
            yield CATALOGUE[event.metadata.type].read(event.data, version=event.metadata.version)
