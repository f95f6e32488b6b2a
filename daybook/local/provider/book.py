"""What the provider has in its books about us, for tests and the demo to compare with ours."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing import Self

Sums = dict[str, int]
"""Minor units, by currency in lower case."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What all entries have. `order` is the one in the metadata; amounts are in minor units, as Stripe counts them."""

    id: str
    order: str | None
    amount: int
    currency: str
    metadata: Mapping[str, str]
    at: datetime

    @classmethod
    def read(cls, said: Mapping[str, Any]) -> Self:
        """The entry as the stand-in tells it."""
        return cls(**{**said, "at": datetime.fromtimestamp(said["at"], UTC)})


@dataclass(frozen=True, slots=True, kw_only=True)
class Payment(Entry):
    """A payment intent and its status."""

    status: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Charge(Entry):
    """An attempt to take the money of a payment intent: `succeeded`, `failed` with a code, or still `pending`.

    `payment` is the intent's id, `payment_method` the name of the test payment method, `idempotency_key` that of the
    call that attempted it.
    """

    payment: str
    status: str
    failure: str | None
    payment_method: str
    idempotency_key: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Refund(Entry):
    """Money given back. Its metadata are its own on top of the intent's."""

    payment: str
    charge: str
    idempotency_key: str | None


@dataclass(frozen=True, slots=True)
class Book:
    """All entries in the order in which they were made, and how often each operation was called, replays included."""

    payments: tuple[Payment, ...]
    charges: tuple[Charge, ...]
    refunds: tuple[Refund, ...]
    calls: Mapping[str, int]

    @classmethod
    def read(cls, said: Mapping[str, Any]) -> Self:
        """The book as the stand-in tells it."""
        return cls(
            tuple(map(Payment.read, said["payments"])),
            tuple(map(Charge.read, said["charges"])),
            tuple(map(Refund.read, said["refunds"])),
            said["calls"],
        )

    @property
    def orders(self) -> set[str]:
        """Every order that somebody tried to pay."""
        return {payment.order for payment in self.payments if payment.order is not None}

    def taken(self, order: str | None = None) -> Sums:
        """What was taken from customers, for this order or for all, by currency."""
        return _sums(charge for charge in self.charges if charge.status == "succeeded" and _of(charge, order))

    def returned(self, order: str | None = None) -> Sums:
        """What was given back, for this order or for all, by currency."""
        return _sums(refund for refund in self.refunds if _of(refund, order))

    def kept(self, order: str | None = None) -> Sums:
        """What was taken and not given back, for this order or for all, by currency."""
        returned = self.returned(order)
        return {currency: total - returned.get(currency, 0) for currency, total in self.taken(order).items()}


def _of(entry: Entry, order: str | None) -> bool:
    return order is None or entry.order == order


def _sums(entries: Iterable[Entry]) -> Sums:
    sums: Sums = {}
    for entry in entries:
        sums[entry.currency] = sums.get(entry.currency, 0) + entry.amount
    return sums
