"""What happens to orders."""

from collections import Counter
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from daybook.contracts.contract import Event, Part
from daybook.contracts.values import LARGEST_AMOUNT, Money
from events.values import (
    Carrier,
    Customer,
    OrderId,
    PaymentId,
    PaymentMethod,
    Quantity,
    RefundId,
    ShipTo,
    Sku,
    TrackingNumber,
)

# How long an order waits for its payment, unless it says otherwise.
PAY_WITHIN = 1_800  # seconds


class OrderLine(Part):
    """So many of one article, at a price."""

    sku: Sku
    quantity: Quantity
    price: Money = Field(description="For one piece.")

    @property
    def total(self) -> Money:
        """What the line costs."""
        return self.price.times(self.quantity)


OrderLines = Annotated[
    tuple[OrderLine, ...], Field(min_length=1, max_length=50, description="At least one, all in one currency.")
]


def total(lines: Iterable[OrderLine]) -> Money:
    """What lines cost together. They are in one currency, and there is at least one."""
    first, *others = (line.total for line in lines)
    return Money(amount=first.amount + sum(other.amount for other in others), currency=first.currency)


class Purchase(Part):
    """Who has ordered what: all that a letter about an order needs to say."""

    customer: Customer
    lines: OrderLines

    @property
    def total(self) -> Money:
        """What it costs."""
        return total(self.lines)


class OrderPlaced(Event, opens="order/{order_id}", sources=("shop.checkout",)):
    """A customer has placed an order. Comes from outside: the shop's checkout sends it."""

    order_id: OrderId
    customer: Customer
    lines: OrderLines
    payment_method: PaymentMethod = ""
    ship_to: ShipTo = None
    pay_within: int = Field(
        default=PAY_WITHIN, ge=1, le=86_400, description="Seconds from recording until an unpaid order expires."
    )

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        if len({line.price.currency for line in self.lines}) > 1:
            msg = "all lines of an order must be in one currency"
            raise ValueError(msg)
        if sum(line.price.amount * line.quantity for line in self.lines) > LARGEST_AMOUNT:
            msg = "the order's total is beyond what an amount of money can be"
            raise ValueError(msg)
        return self

    @property
    def total(self) -> Money:
        """What the order costs."""
        return total(self.lines)

    @property
    def purchase(self) -> Purchase:
        """Who has ordered what."""
        return Purchase(customer=self.customer, lines=self.lines)

    def pay_by(self, recorded_at: datetime) -> datetime:
        """The moment at which the order expires if it is not paid."""
        return recorded_at + timedelta(seconds=self.pay_within)

    def quantities(self) -> dict[str, int]:
        """Pieces by article: two lines of one article are one wish."""
        wanted: Counter[str] = Counter()
        for line in self.lines:
            wanted[line.sku] += line.quantity
        return dict(wanted)

    example = {
        "order_id": "1001",
        "customer": {"name": "Ada Lovelace", "email": "ada@example.com", "language": "en-GB"},
        "lines": [
            {"sku": "mug", "quantity": 2, "price": {"amount": 1250, "currency": "EUR"}},
            {"sku": "poster", "quantity": 1, "price": {"amount": 1900, "currency": "EUR"}},
        ],
        "payment_method": "pm_card_visa",
        "ship_to": {"lines": ["12 St James's Square"], "postal_code": "SW1Y 4JH", "city": "London", "country": "GB"},
    }


_PURCHASE = {name: OrderPlaced.example[name] for name in ("customer", "lines")}


class PaymentWindowEnded(Event, continues="order/{order_id}", timer=True):
    """The time in which an order could be paid is over. Whether it was paid, its row knows."""

    order_id: OrderId

    example = {"order_id": "1001"}


class OrderConfirmed(Event, continues="order/{order_id}"):
    """An order is paid: its goods are the customer's, and can be sent."""

    order_id: OrderId
    purchase: Purchase
    ship_to: ShipTo = None

    example = {"order_id": "1001", "purchase": _PURCHASE, "ship_to": OrderPlaced.example["ship_to"]}


CancelledBecause = Annotated[
    Literal["out_of_stock", "payment_failed", "not_paid_in_time"], Field(description="Why it is cancelled.")
]


class OrderCancelled(Event, continues="order/{order_id}"):
    """An order will not be fulfilled. What was put aside for it is free again; what is paid is paid back."""

    order_id: OrderId
    purchase: Purchase
    because: CancelledBecause
    missing: tuple[Sku, ...] = Field(default=(), description="The articles that were short.")

    example = {"order_id": "1001", "purchase": _PURCHASE, "because": "out_of_stock", "missing": ["mug"]}


class OrderFulfilled(Event, continues="order/{order_id}"):
    """An order's parcel is on its way: for the shop, the order is done."""

    order_id: OrderId
    purchase: Purchase
    carrier: Carrier
    tracking_number: TrackingNumber

    example = {"order_id": "1001", "purchase": _PURCHASE, "carrier": "Royal Mail", "tracking_number": "RM123456789GB"}


class RefundAsked(Event, continues="order/{order_id}", sources=("shop.service-desk",)):
    """The service desk wants part or all of an order's money paid back. Comes from outside."""

    order_id: OrderId
    refund_id: RefundId
    amount: Money = Field(description="At most what was paid and is not paid back yet, in the order's currency.")

    example = {"order_id": "1001", "refund_id": "R-1", "amount": {"amount": 1250, "currency": "EUR"}}


RefundedBecause = Annotated[
    Literal["paid_after_cancellation", "service_desk"], Field(description="Why money is paid back.")
]


class RefundRequested(Event, continues="order/{order_id}"):
    """Money of an order is to be paid back: so much, once for each refund id."""

    order_id: OrderId
    refund_id: RefundId
    payment_id: PaymentId
    amount: Money
    because: RefundedBecause
    customer: Customer

    example = {
        "order_id": "1001",
        "refund_id": "R-1",
        "payment_id": "pi_3MtwBwLkdIwHu7ix28a3tqPa",
        "amount": {"amount": 1250, "currency": "EUR"},
        "because": "service_desk",
        "customer": OrderPlaced.example["customer"],
    }
