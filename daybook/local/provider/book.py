"""The provider's records of our payments, for tests and the demo to compare with ours."""

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
    """The fields of all entries. `order` is the order id in the metadata; amounts are in minor units, as in Stripe."""

    id: str
    order: str | None
    amount: int
    currency: str
    metadata: Mapping[str, str]
    at: datetime

    @classmethod
    def read(cls, fields: Mapping[str, Any]) -> Self:
        """Read an entry from the stand-in's JSON."""
        return cls(**{**fields, "at": datetime.fromtimestamp(fields["at"], UTC)})


@dataclass(frozen=True, slots=True, kw_only=True)
class Payment(Entry):
    """A payment intent and its status."""

    status: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Charge(Entry):
    """An attempt to charge a payment intent: `succeeded`, `failed` with a code, or still `pending`.

    `payment` is the intent's id, `payment_method` the name of the test payment method, `idempotency_key` the key of the
    request.
    """

    payment: str
    status: str
    failure: str | None
    payment_method: str
    idempotency_key: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Refund(Entry):
    """A refund: `succeeded`, still `pending`, or `failed` with a reason. Its metadata includes the intent's."""

    payment: str
    charge: str
    status: str
    failure: str | None
    idempotency_key: str | None


@dataclass(frozen=True, slots=True)
class Book:
    """All entries in order, and the number of calls of each operation, replays included."""

    payments: tuple[Payment, ...]
    charges: tuple[Charge, ...]
    refunds: tuple[Refund, ...]
    calls: Mapping[str, int]

    @classmethod
    def read(cls, fields: Mapping[str, Any]) -> Self:
        """Read the book from the stand-in's JSON."""
        return cls(
            tuple(map(Payment.read, fields["payments"])),
            tuple(map(Charge.read, fields["charges"])),
            tuple(map(Refund.read, fields["refunds"])),
            fields["calls"],
        )

    @property
    def orders(self) -> set[str]:
        """Every order with a payment intent."""
        return {payment.order for payment in self.payments if payment.order is not None}

    def taken(self, order: str | None = None) -> Sums:
        """The sum of successful charges, for this order or for all, by currency."""
        return _sums(charge for charge in self.charges if charge.status == "succeeded" and _of(charge, order))

    def returned(self, order: str | None = None) -> Sums:
        """The sum of refunds that have not failed, for this order or for all, by currency."""
        return _sums(refund for refund in self.refunds if refund.status != "failed" and _of(refund, order))

    def kept(self, order: str | None = None) -> Sums:
        """Charges minus refunds, for this order or for all, by currency."""
        returned = self.returned(order)
        return {currency: total - returned.get(currency, 0) for currency, total in self.taken(order).items()}


def _of(entry: Entry, order: str | None) -> bool:
    return order is None or entry.order == order


def _sums(entries: Iterable[Entry]) -> Sums:
    sums: Sums = {}
    for entry in entries:
        sums[entry.currency] = sums.get(entry.currency, 0) + entry.amount
    return sums
