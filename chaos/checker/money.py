"""Money is conserved to the minor unit: the provider's book, the events and the orders' rows tell the same.

The provider counts in units of its own. Of the currencies that orders are paid in here, they are the minor units.

What an effect has done, and could not tell since its process died, stands in the book alone, and its event is dead, or
has no end. That is shown where all accounts are looked at, and is no breach here; money that moved twice always is.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from chaos.checker.breach import Breach, Invariant
from chaos.checker.orders import COMMITTED, Order, money, orders, total
from chaos.checker.world import Event, Movement, World

Amount = tuple[int, str]  # minor units, and their currency


def _breaches(world: World) -> Iterator[Breach]:
    paid, paid_back = _by_order(world.paid), _by_order(world.paid_back)
    rows = {row["id"]: row for row in world.tables["orders"]}
    told = {order.id: order for order in orders(world)}
    for name in sorted({*told, *paid, *paid_back, *rows}):
        order = told.get(name)
        if order is None or not order.one("OrderPlaced"):
            yield Breach(f"there is money, or a row, of order {name}, which nobody has placed")
            continue
        yield from _charge(world, order, paid[name])
        yield from _refunds(world, order, paid_back[name])
        yield from _decision(world, order, paid[name], paid_back[name])
        yield from _row(world, order, rows.get(name))


def _by_order(movements: Iterable[Movement]) -> defaultdict[str, list[Amount]]:
    found: defaultdict[str, list[Amount]] = defaultdict(list)
    for moved in movements:
        found[moved.order].append((moved.amount, moved.currency))
    return found


def _unsettled(world: World, causes: Iterable[Event], consumer: str) -> list[Event]:
    """Those that have come to no good end at the consumer: what became of the money is not told by events."""
    return [cause for cause in causes if world.state(cause.id, consumer) != COMMITTED]


def _charge(world: World, order: Order, paid: Sequence[Amount]) -> Iterator[Breach]:
    """What was paid, by the book and by the events."""
    succeeded = [money(event.data["amount"]) for event in order.all("PaymentSucceeded")]
    if len(paid) > 1:
        yield Breach(f"order {order.id} was charged {len(paid)} times")
    if len(succeeded) + len(order.all("PaymentFailed")) > 1:
        yield Breach(f"it was told more than once how the payment of order {order.id} has ended")
    in_doubt = not succeeded and _unsettled(world, order.all("StockReserved"), "charge-order")
    moved = [amount for amount in succeeded if amount[0]]  # what costs nothing moves nothing
    if not in_doubt and sorted(set(paid)) != sorted(set(moved)):
        yield Breach(f"of order {order.id} {_said(moved)} was paid by the events, and {_said(paid)} by the provider")
    for amount in {*succeeded, *paid}:
        if amount != order.total:
            yield Breach(f"order {order.id} costs {_said([order.total])}, and {_said([amount])} was paid")
    if succeeded and not order.one("StockReserved"):
        yield Breach(f"order {order.id} was paid, and nothing was put aside for it")


def _refunds(world: World, order: Order, paid_back: Sequence[Amount]) -> Iterator[Breach]:
    """What was paid back, by the book and by the events, refund by refund."""
    asked, made = (
        Counter((event.data["refund_id"], money(event.data["amount"])) for event in order.all(event_type))
        for event_type in ("RefundRequested", "PaymentRefunded")
    )
    for told in (asked, made):
        several = Counter(refund for refund, _ in told.elements())
        for refund in sorted(refund for refund, times in several.items() if times > 1):
            yield Breach(f"refund {refund} of order {order.id} is told of more than once")
    for refund, amount in sorted(made - asked):
        yield Breach(
            f"refund {refund} of order {order.id}, {_said([amount])}, was paid back, and nobody asked for that"
        )
    unsettled = _unsettled(world, order.all("RefundRequested"), "refund-order")
    by_book, by_events = Counter(paid_back), Counter(amount for _, amount in made.elements())
    perhaps = Counter(money(event.data["amount"]) for event in unsettled)
    if lost := by_events - by_book:
        yield Breach(f"of order {order.id} {_said(lost.elements())} is told to be paid back, and the provider has not")
    if secret := by_book - by_events - perhaps:
        yield Breach(
            f"of order {order.id} {_said(secret.elements())} was paid back by the provider, and no event tells"
        )


def _decision(world: World, order: Order, paid: Sequence[Amount], paid_back: Sequence[Amount]) -> Iterator[Breach]:
    """An order is confirmed and paid, or cancelled and not paid, or paid back."""
    confirmed, cancelled = order.all("OrderConfirmed"), order.all("OrderCancelled")
    if len(confirmed) + len(cancelled) > 1:
        yield Breach(f"order {order.id} was decided about more than once")
    if confirmed and not order.one("PaymentSucceeded"):
        yield Breach(f"order {order.id} is confirmed, and was not paid")
    for currency, left in (_sums(paid) - _sums(paid_back) if cancelled else Counter[str]()).items():
        if not (
            _unsettled(world, order.all("StockReserved"), "charge-order")
            or _unsettled(world, order.all("PaymentSucceeded"), "confirm-order")
            or _unsettled(world, order.all("RefundRequested"), "refund-order")
        ):
            yield Breach(f"order {order.id} is cancelled, and {_said([(left, currency)])} of it was not paid back")
    for currency, more in (_sums(paid_back) - _sums(paid)).items():
        yield Breach(f"{_said([(more, currency)])} more was paid back of order {order.id} than was paid")


def _row(world: World, order: Order, row: Mapping[str, Any] | None) -> Iterator[Breach]:
    """The row that decides about an order, beside what was decided."""
    if row is None:
        if not _unsettled(world, order.all("OrderPlaced"), "place-order"):
            yield Breach(f"order {order.id} has no row")
        return
    stages = {"OrderFulfilled": "fulfilled", "OrderConfirmed": "confirmed", "OrderCancelled": "cancelled"}
    payments = order.all("PaymentSucceeded")
    arrived = (
        0 if _unsettled(world, payments, "confirm-order") else sum(each.data["amount"]["amount"] for each in payments)
    )
    should_be = {
        "stage": next((stage for decided, stage in stages.items() if order.one(decided)), "placed"),
        "total": order.total,
        "paid": arrived,
        "refunds": {each.data["refund_id"]: each.data["amount"]["amount"] for each in order.all("RefundRequested")},
    }
    is_so = {name: row.get(name) for name in should_be} | {"total": total((row.get("purchase") or {}).get("lines", ()))}
    for name, value in should_be.items():
        if is_so[name] != value:
            yield Breach(f"the row of order {order.id} has {name} {is_so[name]}, and by its events it is {value}")


def _sums(amounts: Iterable[Amount]) -> Counter[str]:
    sums: Counter[str] = Counter()
    for amount, currency in amounts:
        sums[currency] += amount
    return sums


def _said(amounts: Iterable[Amount]) -> str:
    return " and ".join(f"{amount} minor units of {currency}" for amount, currency in amounts) or "nothing"


MONEY = Invariant("money is conserved to the minor unit", _breaches)
