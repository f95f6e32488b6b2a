"""Views: each equals a recomputation from the processed events."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from chaos.checker.orders import COMMITTED, total
from chaos.checker.snapshot import Event, Row, Snapshot
from chaos.checker.violation import Invariant, Violation

Rows = Mapping[str, Mapping[str, Any]]

# A later milestone has priority: the function that records it, its event, and the status.
_MILESTONES = (
    ("order-status-placed", "OrderPlaced", "placed"),
    ("order-status-out-of-stock", "OutOfStock", "out of stock"),
    ("order-status-reserved", "StockReserved", "reserved"),
    ("order-status-confirmed", "OrderConfirmed", "confirmed"),
    ("order-status-cancelled", "OrderCancelled", "cancelled"),
    ("order-status-fulfilled", "OrderFulfilled", "fulfilled"),
)
_DAY, _MINUTE = len("2026-03-01"), len("2026-03-01T12:00")


def _order_status(snapshot: Snapshot) -> Iterator[Violation]:
    rows: dict[str, dict[str, Any]] = defaultdict(dict)
    for consumer, event_type, status in _MILESTONES:
        for event in sorted(_handled(snapshot, event_type, consumer), key=lambda event: event.id):
            rows[event.data["order_id"]] |= {"status": status, **_facts(event)}
    for refund in _handled(snapshot, "PaymentRefunded", "order-status-refunded"):
        row = rows[refund.data["order_id"]]
        row["refunded"] = row.get("refunded", 0) + refund.data["amount"]["amount"]
    yield from _compare("order-status", rows, live(snapshot.tables["order-status"]))


def _facts(event: Event) -> dict[str, Any]:
    """What a milestone adds besides the status."""
    if event.type == "OrderPlaced":
        amount, currency = total(event.data["lines"])
        return {"total": amount, "currency": currency}
    if event.type == "OutOfStock":
        return {"missing": event.data["skus"]}
    if event.type == "OrderCancelled":
        return {"cancellation_reason": event.data["reason"]}
    if event.type == "OrderFulfilled":
        return {name: event.data[name] for name in ("carrier", "tracking_number")}
    return {}


def _devices(snapshot: Snapshot) -> Iterator[Violation]:
    devices: dict[str, dict[str, Any]] = defaultdict(dict)
    minutes: dict[str, dict[str, Any]] = {}
    reports = _handled(snapshot, "EquipmentStatusReported", "track-equipment")
    for report in sorted(reports, key=lambda event: (event.data["measured_at"], event.id)):
        data, at = report.data, report.data["measured_at"]
        how = {"status": data["status"], "battery": data.get("battery"), "measured_at": at}
        values = {each["code"]: {"value": each["value"], "unit": each["unit"]} for each in data["readings"]}
        device = {name: data.get(name) for name in ("type", "ward", "udi", "serial")}
        latest = {code: {**value, "measured_at": at} for code, value in values.items()}
        devices[data["device_id"]] |= {**how, **device, **latest}
        minutes[f"{data['device_id']}#{at[_MINUTE - 2 : _MINUTE]}"] = {**how, "readings": values}
    yield from _compare("devices", devices, live(snapshot.tables["devices"]))
    yield from _compare("device-history", minutes, live(snapshot.tables["device-history"]))


def _tallies(snapshot: Snapshot) -> Iterator[Violation]:
    sums: dict[str, dict[str, Counter[str]]] = {table: defaultdict(Counter) for table in _SHARDED}
    for event_type, consumer, times in (
        ("TransactionPosted", "tally-transaction", 1),
        ("TransactionReversed", "tally-reversal", -1),
    ):
        for event in _handled(snapshot, event_type, consumer):
            for table, key in _counted_at(event.data):
                row, data = sums[table][key], event.data
                count, amount = {"debit": ("debit_count", "debited"), "credit": ("credit_count", "credited")}[
                    data["direction"]
                ]
                row[f"{data['currency']}:{count}"] += times
                row[f"{data['currency']}:{amount}"] += times * data["amount"]
    for table, recomputed in sums.items():
        there: dict[str, Counter[str]] = defaultdict(Counter)
        for key, shard in live(snapshot.tables[table]).items():
            there[key.rpartition("#")[0] if _SHARDED[table] else key].update(shard)
        yield from _compare(table, _without_zeros(recomputed), _without_zeros(there))


# Whether a row of the table is split into shards, whose sum counts: `m-881#2026-03-01#4`.
_SHARDED = {"account-days": False, "merchant-days": True, "minutes": True}


def _counted_at(transaction: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The tables and rows in which a transaction counts."""
    at = datetime.fromisoformat(transaction["posted_at"]).astimezone(UTC).isoformat()
    yield "account-days", f"{transaction['account_id']}#{at[:_DAY]}"
    yield "minutes", at[:_MINUTE]
    if transaction.get("merchant"):
        yield "merchant-days", f"{transaction['merchant']['merchant_id']}#{at[:_DAY]}"


def _without_zeros(rows: Mapping[str, Counter[str]]) -> Rows:
    """Remove zeros: a sum of zero is the same as no row."""
    left = {key: {name: number for name, number in row.items() if number} for key, row in rows.items()}
    return {key: row for key, row in left.items() if row}


def _handled(snapshot: Snapshot, event_type: str, consumer: str) -> list[Event]:
    """The events that a view's function has committed. For others, the ledger has the reason."""
    return [event for event in snapshot.events(event_type) if snapshot.state(event.id, consumer) == COMMITTED]


def live(rows: Iterable[Row]) -> Rows:
    """The rows of a view's live generation by key, with only the fields of the view.

    The row `@generation` says which generation is live. Without it, the first one is, whose rows have plain keys. The
    rows of other generations have keys such as `@2/<key>`.
    """
    by_id = {row["id"]: row for row in rows}
    generation = by_id.get("@generation", {}).get("live", 0)
    prefix = f"@{generation}/" if generation else ""
    return {
        name.removeprefix(prefix): {
            field: value for field, value in row.items() if field != "id" and not field.endswith("@")
        }
        for name, row in by_id.items()
        if (name.startswith(prefix) if prefix else not name.startswith("@"))
    }


def _compare(table: str, recomputed: Rows, there: Rows) -> Iterator[Violation]:
    for key in sorted({*recomputed, *there}):
        expected, actual = recomputed.get(key), there.get(key)
        if expected is None or actual is None:
            what = "is missing" if actual is None else "exists, but no event created it"
            yield Violation(f"row {key} of {table} {what}")
            continue
        for name in sorted({*expected, *actual}):
            value, right = actual.get(name), expected.get(name)
            if (name in expected, right) != (name in actual, value):
                yield Violation(f"row {key} of {table} has {name} {value}; expected from its events: {right}")


ORDER_STATUS = Invariant("the view of orders equals a recomputation from the events", _order_status)
DEVICES = Invariant("the views of devices equal a recomputation from the events", _devices)
TALLIES = Invariant("the views of transactions equal a recomputation from the events", _tallies)
