"""Money: the provider's records, the events and the rows of orders agree to the minor unit.

The provider's own units are minor units in the currencies of these orders.

If an effect's process died before it could record its result, only the provider has a record, and the event is dead or
not finished. Other invariants report that; it is not a violation here. Money that moved twice always is.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from chaos.checker.orders import COMMITTED, Order, money, orders, total
from chaos.checker.snapshot import Event, Movement, Snapshot
from chaos.checker.violation import Invariant, Violation

Amount = tuple[int, str]  # minor units, and their currency


def _violations(snapshot: Snapshot) -> Iterator[Violation]:
    paid, refunds_made = _by_order(snapshot.paid), _by_order(snapshot.refunds_made)
    rows = {row["id"]: row for row in snapshot.tables["orders"]}
    by_id = {order.id: order for order in orders(snapshot)}
    for name in sorted({*by_id, *paid, *refunds_made, *rows}):
        order = by_id.get(name)
        if order is None or not order.one("OrderPlaced"):
            yield Violation(f"there is a payment or a row for order {name}, which was never placed")
            continue
        yield from _charge(snapshot, order, paid[name])
        yield from _refunds(snapshot, order, refunds_made[name])
        yield from _decision(snapshot, order, paid[name], refunds_made[name])
        yield from _row(snapshot, order, rows.get(name))


def _by_order(movements: Iterable[Movement]) -> defaultdict[str, list[Amount]]:
    found: defaultdict[str, list[Amount]] = defaultdict(list)
    for moved in movements:
        found[moved.order].append((moved.amount, moved.currency))
    return found


def _unsettled(snapshot: Snapshot, causes: Iterable[Event], consumer: str) -> list[Event]:
    """The events that the consumer has not committed: events do not say what happened to the money."""
    return [cause for cause in causes if snapshot.state(cause.id, consumer) != COMMITTED]


def _charge(snapshot: Snapshot, order: Order, paid: Sequence[Amount]) -> Iterator[Violation]:
    """Compare the charge of the provider with the events."""
    succeeded = [money(event.data["amount"]) for event in order.all("PaymentSucceeded")]
    if len(paid) > 1:
        yield Violation(f"order {order.id} was charged {len(paid)} times")
    if len(succeeded) + len(order.all("PaymentFailed")) > 1:
        yield Violation(f"there is more than one result of the payment of order {order.id}")
    outcome_unknown = not succeeded and _unsettled(snapshot, order.all("StockReserved"), "charge-order")
    moved = [amount for amount in succeeded if amount[0]]  # an order of 0 needs no payment
    if not outcome_unknown and sorted(set(paid)) != sorted(set(moved)):
        yield Violation(
            f"order {order.id}: {_text(moved)} paid according to the events, {_text(paid)} according to the provider"
        )
    for amount in {*succeeded, *paid}:
        if amount != order.total:
            yield Violation(f"order {order.id} costs {_text([order.total])}, but {_text([amount])} was paid")
    if succeeded and not order.one("StockReserved"):
        yield Violation(f"order {order.id} was paid, but no stock was reserved")


def _refunds(snapshot: Snapshot, order: Order, refunds_made: Sequence[Amount]) -> Iterator[Violation]:
    """Compare the refunds of the provider with the events."""
    requested, made = (
        Counter((event.data["refund_id"], money(event.data["amount"])) for event in order.all(event_type))
        for event_type in ("RefundRequested", "PaymentRefunded")
    )
    for refunds in (requested, made):
        several = Counter(refund for refund, _ in refunds.elements())
        for refund in sorted(refund for refund, times in several.items() if times > 1):
            yield Violation(f"refund {refund} of order {order.id} has more than one event")
    for refund, amount in sorted(made - requested):
        yield Violation(f"refund {refund} of order {order.id}, {_text([amount])}, was made, but not requested")
    unsettled = _unsettled(snapshot, order.all("RefundRequested"), "refund-order")
    by_book, by_events = Counter(refunds_made), Counter(amount for _, amount in made.elements())
    perhaps = Counter(money(event.data["amount"]) for event in unsettled)
    if missing := by_events - by_book:
        yield Violation(
            f"order {order.id}: the events say that {_text(missing.elements())} was refunded, but not the provider"
        )
    if unrecorded := by_book - by_events - perhaps:
        yield Violation(
            f"order {order.id}: the provider has refunded {_text(unrecorded.elements())}, but there is no event"
        )


def _decision(
    snapshot: Snapshot, order: Order, paid: Sequence[Amount], refunds_made: Sequence[Amount]
) -> Iterator[Violation]:
    """An order is confirmed and paid, or cancelled and not paid or refunded."""
    confirmed, cancelled = order.all("OrderConfirmed"), order.all("OrderCancelled")
    if len(confirmed) + len(cancelled) > 1:
        yield Violation(f"order {order.id} was confirmed or cancelled more than once")
    if confirmed and not order.one("PaymentSucceeded"):
        yield Violation(f"order {order.id} is confirmed, but was not paid")
    for currency, left in (_sums(paid) - _sums(refunds_made) if cancelled else Counter[str]()).items():
        if not (
            _unsettled(snapshot, order.all("StockReserved"), "charge-order")
            or _unsettled(snapshot, order.all("PaymentSucceeded"), "confirm-order")
            or _unsettled(snapshot, order.all("RefundRequested"), "refund-order")
        ):
            yield Violation(f"order {order.id} is cancelled, but {_text([(left, currency)])} was not refunded")
    for currency, more in (_sums(refunds_made) - _sums(paid)).items():
        yield Violation(f"order {order.id}: {_text([(more, currency)])} more was refunded than was paid")


def _row(snapshot: Snapshot, order: Order, row: Mapping[str, Any] | None) -> Iterator[Violation]:
    """Compare the row of the order with its events."""
    if row is None:
        if not _unsettled(snapshot, order.all("OrderPlaced"), "place-order"):
            yield Violation(f"order {order.id} has no row")
        return
    stages = {"OrderFulfilled": "fulfilled", "OrderConfirmed": "confirmed", "OrderCancelled": "cancelled"}
    payments = order.all("PaymentSucceeded")
    arrived = (
        0
        if _unsettled(snapshot, payments, "confirm-order")
        else sum(each.data["amount"]["amount"] for each in payments)
    )
    expected = {
        "stage": next((stage for decided, stage in stages.items() if order.one(decided)), "placed"),
        "total": order.total,
        "paid": arrived,
        "refunds": {each.data["refund_id"]: each.data["amount"]["amount"] for each in order.all("RefundRequested")},
    }
    actual = {name: row.get(name) for name in expected} | {"total": total((row.get("purchase") or {}).get("lines", ()))}
    for name, value in expected.items():
        if actual[name] != value:
            yield Violation(f"the row of order {order.id} has {name} {actual[name]}; expected from its events: {value}")


def _sums(amounts: Iterable[Amount]) -> Counter[str]:
    sums: Counter[str] = Counter()
    for amount, currency in amounts:
        sums[currency] += amount
    return sums


def _text(amounts: Iterable[Amount]) -> str:
    return " and ".join(f"{amount} minor units of {currency}" for amount, currency in amounts) or "nothing"


MONEY = Invariant("money is conserved to the minor unit", _violations)
