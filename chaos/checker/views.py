"""Every view equals a plain recomputation: sort the events that were handled, and fold them."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from chaos.checker.breach import Breach, Invariant
from chaos.checker.orders import COMMITTED, total
from chaos.checker.world import Event, Row, World

Rows = Mapping[str, Mapping[str, Any]]

# A later milestone of an order wins: the function that notes it, its event, and the status.
_MILESTONES = (
    ("order-status-placed", "OrderPlaced", "placed"),
    ("order-status-out-of-stock", "OutOfStock", "out of stock"),
    ("order-status-reserved", "StockReserved", "reserved"),
    ("order-status-confirmed", "OrderConfirmed", "confirmed"),
    ("order-status-cancelled", "OrderCancelled", "cancelled"),
    ("order-status-fulfilled", "OrderFulfilled", "fulfilled"),
)
_DAY, _MINUTE = len("2026-03-01"), len("2026-03-01T12:00")


def _order_status(world: World) -> Iterator[Breach]:
    rows: dict[str, dict[str, Any]] = defaultdict(dict)
    for consumer, event_type, status in _MILESTONES:
        for event in sorted(_handled(world, event_type, consumer), key=lambda event: event.id):
            rows[event.data["order_id"]] |= {"status": status, **_facts(event)}
    for refund in _handled(world, "PaymentRefunded", "order-status-refunded"):
        row = rows[refund.data["order_id"]]
        row["refunded"] = row.get("refunded", 0) + refund.data["amount"]["amount"]
    yield from _compare("order-status", rows, live(world.tables["order-status"]))


def _facts(event: Event) -> dict[str, Any]:
    """What a milestone tells beside the status."""
    if event.type == "OrderPlaced":
        amount, currency = total(event.data["lines"])
        return {"total": amount, "currency": currency}
    if event.type == "OutOfStock":
        return {"missing": event.data["skus"]}
    if event.type == "OrderCancelled":
        return {"cancelled_because": event.data["because"]}
    if event.type == "OrderFulfilled":
        return {name: event.data[name] for name in ("carrier", "tracking_number")}
    return {}


def _devices(world: World) -> Iterator[Breach]:
    devices: dict[str, dict[str, Any]] = defaultdict(dict)
    minutes: dict[str, dict[str, Any]] = {}
    reports = _handled(world, "EquipmentStatusReported", "track-equipment")
    for report in sorted(reports, key=lambda event: (event.data["measured_at"], event.id)):
        told, at = report.data, report.data["measured_at"]
        how = {"status": told["status"], "battery": told.get("battery"), "measured_at": at}
        values = {each["code"]: {"value": each["value"], "unit": each["unit"]} for each in told["readings"]}
        device = {name: told.get(name) for name in ("type", "ward", "udi", "serial")}
        latest = {code: {**value, "measured_at": at} for code, value in values.items()}
        devices[told["device_id"]] |= {**how, **device, **latest}
        minutes[f"{told['device_id']}#{at[_MINUTE - 2 : _MINUTE]}"] = {**how, "readings": values}
    yield from _compare("devices", devices, live(world.tables["devices"]))
    yield from _compare("device-history", minutes, live(world.tables["device-history"]))


def _tallies(world: World) -> Iterator[Breach]:
    sums: dict[str, dict[str, Counter[str]]] = {table: defaultdict(Counter) for table in _SHARDED}
    for event_type, consumer, times in (
        ("TransactionPosted", "tally-transaction", 1),
        ("TransactionReversed", "tally-reversal", -1),
    ):
        for event in _handled(world, event_type, consumer):
            for table, key in _counted_at(event.data):
                row, told = sums[table][key], event.data
                count, amount = {"debit": ("debit_count", "debited"), "credit": ("credit_count", "credited")}[
                    told["direction"]
                ]
                row[f"{told['currency']}:{count}"] += times
                row[f"{told['currency']}:{amount}"] += times * told["amount"]
    for table, recomputed in sums.items():
        there: dict[str, Counter[str]] = defaultdict(Counter)
        for key, shard in live(world.tables[table]).items():
            there[key.rpartition("#")[0] if _SHARDED[table] else key].update(shard)
        yield from _compare(table, _without_zeros(recomputed), _without_zeros(there))


# Whether a row of the table stands in several shards, whose sum counts: `m-881#2026-03-01#4`.
_SHARDED = {"account-days": False, "merchant-days": True, "minutes": True}


def _counted_at(transaction: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The tables and rows that a transaction counts in."""
    at = transaction["posted_at"]
    yield "account-days", f"{transaction['account_id']}#{at[:_DAY]}"
    yield "minutes", at[:_MINUTE]
    if transaction.get("merchant"):
        yield "merchant-days", f"{transaction['merchant']['merchant_id']}#{at[:_DAY]}"


def _without_zeros(rows: Mapping[str, Counter[str]]) -> Rows:
    """What comes to nothing is the same as what was never counted."""
    left = {key: {name: number for name, number in row.items() if number} for key, row in rows.items()}
    return {key: row for key, row in left.items() if row}


def _handled(world: World, event_type: str, consumer: str) -> list[Event]:
    """The events that a view's function has done with. Of others the ledger tells why."""
    return [event for event in world.events(event_type) if world.state(event.id, consumer) == COMMITTED]


def live(rows: Iterable[Row]) -> Rows:
    """The rows of a view's live generation by their keys, without what the system notes beside the fields.

    A row `@generation` says which one is live. Without it, it is the first, whose rows have their plain keys; others
    stand under `@2/<key>`.
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


def _compare(table: str, recomputed: Rows, there: Rows) -> Iterator[Breach]:
    for key in sorted({*recomputed, *there}):
        should_be, is_so = recomputed.get(key), there.get(key)
        if should_be is None or is_so is None:
            what = "is missing" if is_so is None else "is there, and no event has made it"
            yield Breach(f"row {key} of {table} {what}")
            continue
        for name in sorted({*should_be, *is_so}):
            if (name in should_be, should_be.get(name)) != (name in is_so, is_so.get(name)):
                yield Breach(
                    f"row {key} of {table} has {name} {is_so.get(name)}, and by its events it is {should_be.get(name)}"
                )


ORDER_STATUS = Invariant("where each order is, a plain recomputation says too", _order_status)
DEVICES = Invariant("how each device is, a plain recomputation says too", _devices)
TALLIES = Invariant("what has moved on accounts, a plain recomputation sums up to the same", _tallies)
