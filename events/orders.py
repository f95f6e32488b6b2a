"""Events of orders."""

from collections import Counter
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Discriminator, Field, Tag

from daybook.contracts.contract import Event, Part
from daybook.contracts.values import MAX_AMOUNT, Money, PlainText, SignedMoney
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

# The time to pay for an order that does not set its own.
PAY_WITHIN = 1_800  # seconds


LineName = Annotated[PlainText, Field(max_length=160, description="What the customer reads: Mug, blue.")]


class _Line(Part):
    """What the lines of all kinds have."""

    name: LineName = ""
    price: SignedMoney

    @property
    def cost(self) -> int:
        """What the line adds to the total of the order, in minor units."""
        return self.price.amount


class ArticleLine(_Line):
    """An article with its quantity and price. Stock is reserved for it."""

    kind: Literal["article"] = "article"
    sku: Sku
    quantity: Quantity
    price: Money = Field(description="The price of one piece.")

    @property
    def cost(self) -> int:
        """The price of all pieces, in minor units."""
        return self.price.amount * self.quantity


class ShippingLine(_Line):
    """The price of the shipment."""

    kind: Literal["shipping"]
    price: Money


class FeeLine(_Line):
    """Anything else that costs money and has no stock: gift wrap, a deposit, a service."""

    kind: Literal["fee"]
    price: Money


def _check_discount(price: SignedMoney) -> SignedMoney:
    if price.amount > 0:
        msg = f"the amount of a discount is at most 0, not {price.amount}: write {-price.amount}"
        raise ValueError(msg)
    return price


class DiscountLine(_Line):
    """A discount, as a negative price."""

    kind: Literal["discount"]
    price: Annotated[SignedMoney, AfterValidator(_check_discount)] = Field(
        description="An amount of at most 0: -500 EUR makes the order 5.00 EUR cheaper."
    )


class TaxLine(_Line):
    """A tax. It is added to the total, unless the prices include it. It may be negative: the tax on a discount."""

    kind: Literal["tax"]
    included: bool = Field(default=False, description="The prices include the tax: it is shown, and not added.")

    @property
    def cost(self) -> int:
        """What the line adds to the total of the order, in minor units: 0 if the prices include it."""
        return 0 if self.included else self.price.amount


def _kind(line: Any) -> str:
    """The kind of a line; a line without one is about an article."""
    return str(line.get("kind", "article") if isinstance(line, dict) else getattr(line, "kind", ""))


OrderLine = Annotated[
    Annotated[ArticleLine, Tag("article")]
    | Annotated[ShippingLine, Tag("shipping")]
    | Annotated[FeeLine, Tag("fee")]
    | Annotated[DiscountLine, Tag("discount")]
    | Annotated[TaxLine, Tag("tax")],
    Discriminator(
        _kind,
        custom_error_type="kind_of_line",
        custom_error_message="kind must be one of article (the default), shipping, fee, discount, tax",
    ),
]

# Each article is one more row in the transaction that reserves the stock.
_MOST_ARTICLES = 50


def _check_lines(lines: tuple[OrderLine, ...]) -> tuple[OrderLine, ...]:
    if len(currencies := sorted({line.price.currency for line in lines})) > 1:
        msg = f"all lines of an order must be in one currency, not in {' and '.join(currencies)}"
        raise ValueError(msg)
    if not 1 <= (articles := sum(line.kind == "article" for line in lines)) <= _MOST_ARTICLES:
        msg = f"an order needs 1 to {_MOST_ARTICLES} lines of the kind article, not {articles}"
        raise ValueError(msg)
    if (cost := sum(line.cost for line in lines)) < 0:
        msg = f"the total of the order is {cost} minor units of {currencies[0]}: lower the discounts by {-cost}"
        raise ValueError(msg)
    if cost > MAX_AMOUNT:
        msg = "the total of the order is above the largest amount of money"
        raise ValueError(msg)
    return lines


OrderLines = Annotated[
    tuple[OrderLine, ...],
    Field(
        min_length=1,
        max_length=60,
        description="Articles, at least one, and shipping, fees, discounts and taxes, in one currency. The total is at "
        "least 0.",
    ),
    AfterValidator(_check_lines),
]


def total(lines: Iterable[OrderLine]) -> Money:
    """The sum of at least one order line. All are in one currency."""
    first, *others = lines
    return Money(amount=first.cost + sum(other.cost for other in others), currency=first.price.currency)


def articles(lines: Iterable[OrderLine]) -> tuple[ArticleLine, ...]:
    """The lines that are about articles."""
    return tuple(line for line in lines if isinstance(line, ArticleLine))


class Purchase(Part):
    """Who ordered what: the content of each e-mail about the order."""

    customer: Customer
    lines: OrderLines

    @property
    def total(self) -> Money:
        """The sum of the order lines."""
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

    @property
    def total(self) -> Money:
        """The sum of the order lines."""
        return total(self.lines)

    @property
    def purchase(self) -> Purchase:
        """Who ordered what."""
        return Purchase(customer=self.customer, lines=self.lines)

    def pay_by(self, recorded_at: datetime) -> datetime:
        """When the order expires if it is not paid."""
        return recorded_at + timedelta(seconds=self.pay_within)

    def quantities(self) -> dict[str, int]:
        """Pieces by article. Order lines with the same article are summed."""
        pieces: Counter[str] = Counter()
        for line in articles(self.lines):
            pieces[line.sku] += line.quantity
        return dict(pieces)

    example = {
        "order_id": "1001",
        "customer": {"name": "Ada Lovelace", "email": "ada@example.com", "language": "en-GB"},
        "lines": [
            {
                "kind": "article",
                "sku": "mug",
                "name": "Mug, blue",
                "quantity": 2,
                "price": {"amount": 1250, "currency": "EUR"},
            },
            {
                "kind": "article",
                "sku": "poster",
                "name": "Poster",
                "quantity": 1,
                "price": {"amount": 1900, "currency": "EUR"},
            },
        ],
        "payment_method": "pm_card_visa",
        "ship_to": {"lines": ["12 St James's Square"], "postal_code": "SW1Y 4JH", "city": "London", "country": "GB"},
    }


_PURCHASE = {name: OrderPlaced.example[name] for name in ("customer", "lines")}


class PaymentWindowEnded(Event, continues="order/{order_id}", timer=True):
    """The time to pay for an order is over. The order may be paid or not: its row in `orders` decides."""

    order_id: OrderId

    example = {"order_id": "1001"}


class OrderConfirmed(Event, continues="order/{order_id}"):
    """An order is paid and can be sent."""

    order_id: OrderId
    purchase: Purchase
    ship_to: ShipTo = None

    example = {"order_id": "1001", "purchase": _PURCHASE, "ship_to": OrderPlaced.example["ship_to"]}


CancellationReason = Annotated[
    Literal["out_of_stock", "payment_failed", "not_paid_in_time"], Field(description="Why the order was cancelled.")
]


class OrderCancelled(Event, continues="order/{order_id}"):
    """An order will not be fulfilled. Its reserved stock is released, and a payment that still arrives is refunded."""

    order_id: OrderId
    purchase: Purchase
    reason: CancellationReason
    missing: tuple[Sku, ...] = Field(default=(), description="The articles that are out of stock.")

    example = {"order_id": "1001", "purchase": _PURCHASE, "reason": "out_of_stock", "missing": ["mug"]}


class OrderFulfilled(Event, continues="order/{order_id}"):
    """The shipment of an order was dispatched: the order is complete."""

    order_id: OrderId
    purchase: Purchase
    carrier: Carrier
    tracking_number: TrackingNumber

    example = {"order_id": "1001", "purchase": _PURCHASE, "carrier": "Royal Mail", "tracking_number": "RM123456789GB"}


class RefundClaimed(Event, continues="order/{order_id}", sources=("shop.service-desk",)):
    """A customer claims a refund of part or all of an order. Comes from outside: the service desk sends it."""

    order_id: OrderId
    refund_id: RefundId
    amount: Money = Field(description="At most what was paid and not refunded yet, in the currency of the order.")

    example = {"order_id": "1001", "refund_id": "R-1", "amount": {"amount": 1250, "currency": "EUR"}}


RefundReason = Annotated[
    Literal["paid_after_cancellation", "service_desk"], Field(description="Why the money is refunded.")
]


class RefundRequested(Event, continues="order/{order_id}"):
    """An amount is to be refunded, once for each refund id."""

    order_id: OrderId
    refund_id: RefundId
    payment_id: PaymentId
    amount: Money
    reason: RefundReason
    customer: Customer

    example = {
        "order_id": "1001",
        "refund_id": "R-1",
        "payment_id": "pi_3MtwBwLkdIwHu7ix28a3tqPa",
        "amount": {"amount": 1250, "currency": "EUR"},
        "reason": "service_desk",
        "customer": OrderPlaced.example["customer"],
    }
