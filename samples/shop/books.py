"""Whether all adds up after a day in the shop: goods, money and letters, each by the books of its own keeper."""

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

# Each of these is told to the customer, by one letter.
_TOLD = (OrderConfirmed, OrderCancelled, OrderFulfilled, PaymentRefunded)


@dataclass(frozen=True, slots=True)
class Books:
    """What the shop, the payment provider and the mailbox have at one moment. Rows are by their keys."""

    stock: Stock
    reservations: Mapping[str, Reservation]
    orders: Mapping[str, OrderStatus]
    money: Book
    mails: list[Mail]
    told: Counter[str]
    sent: list[EmailSent]

    @classmethod
    def of(cls, system: LocalSystem) -> Self:
        """The books as they are now."""
        connection = system.connection
        events = list(_events(connection))
        return cls(
            stock=stock(connection),
            reservations=_rows(connection, Reservation),
            orders=_rows(connection, OrderStatus),
            money=system.provider.book(),
            mails=mailbox(system.cloud),
            told=Counter(type(event).__name__ for event in events if isinstance(event, _TOLD)),
            sent=[event for event in events if isinstance(event, EmailSent)],
        )

    def sold(self) -> Counter[str]:
        """Pieces by article that have left the shelf for good."""
        pieces: Counter[str] = Counter()
        for reservation in self.reservations.values():
            if reservation.stage == "committed":
                pieces.update(reservation.pieces)
        return pieces

    def problems(self, before: Stock) -> Iterator[str]:
        """What does not add up, given the shelf as it was before."""
        yield from self._goods(before)
        yield from self._money()
        yield from self._letters()

    def _goods(self, before: Stock) -> Iterator[str]:
        sold = self.sold()
        for sku, was in before.items():
            now = self.stock[sku].available + self.stock[sku].reserved + sold[sku]
            if now != was.available:
                yield f"of {was.available} pieces of {sku} there are {now}, with those that were sold"

    def _money(self) -> Iterator[str]:
        for order, row in self.orders.items():
            kept = sum(self.money.kept(order).values())
            ours = row.total - row.refunded if row.status in {"confirmed", "fulfilled"} else 0
            if kept != ours:
                yield f"order {order} is {row.status}: we should have {ours} of its money, the provider has {kept}"
            charged = [
                charge for charge in self.money.charges if charge.order == order and charge.status == "succeeded"
            ]
            if len(charged) > 1:
                yield f"order {order} was charged {len(charged)} times"

    def _letters(self) -> Iterator[str]:
        if sorted(mail.id for mail in self.mails) != sorted(letter.message_id for letter in self.sent):
            yield f"{len(self.mails)} letters are in the mailbox, {len(self.sent)} in the event store"
        if twice := [letter for letter, times in Counter(each.letter_id for each in self.sent).items() if times > 1]:
            yield f"sent more than once: {', '.join(twice)}"
        if len(self.sent) != self.told.total():
            yield f"{self.told.total()} letters should have been sent ({dict(self.told)}), {len(self.sent)} were"


def stock(connection: Connection) -> Stock:
    """The shelf as it is now, by article."""
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
