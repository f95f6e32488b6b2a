"""What happens to orders."""

from collections import Counter
from typing import Self

from pydantic import Field, model_validator

from backbone.contract import Event, Part
from events.values import LARGEST_AMOUNT, Customer, Money, OrderId, PaymentMethod, Quantity, Sku


class OrderLine(Part):
    """So many of one article, at a price."""

    sku: Sku
    quantity: Quantity
    price: Money = Field(description="For one piece.")


class OrderPlaced(Event, opens="order/{order_id}", sources=("shop.checkout",)):
    """A customer has placed an order. Comes from outside: the shop's checkout sends it."""

    order_id: OrderId
    customer: Customer
    lines: tuple[OrderLine, ...] = Field(min_length=1, max_length=50, description="At least one, all in one currency.")
    payment_method: PaymentMethod = ""

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
        first, *others = (line.price.times(line.quantity) for line in self.lines)
        return Money(amount=first.amount + sum(other.amount for other in others), currency=first.currency)

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
    }
