"""The checker's recomputation equals the rows of the system's functions, and finds each row that differs."""

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from chaos.checker.views import DEVICES, ORDER_STATUS, TALLIES
from chaos.checker.violation import Invariant
from daybook.consumers.generations import Generations
from daybook.contracts.contract import Event
from events.accounts import TransactionReversed
from functions.equipment import track_equipment
from functions.orders.order_status import (
    order_status_cancelled,
    order_status_confirmed,
    order_status_fulfilled,
    order_status_out_of_stock,
    order_status_placed,
    order_status_refunded,
    order_status_reserved,
)
from tests.unit.bank.test_analytics import HANDLERS as TALLYING
from tests.unit.bank.test_analytics import a_reversal, a_transaction, generated
from tests.unit.chaos.deployed_stage import deploy, happens, hears, looks
from tests.unit.chaos.snapshots import (
    SnapshotBuilder,
    a_bank,
    a_shop,
    a_ward,
    assert_violation_found,
    report,
    violations,
)
from tests.unit.hospital.bedside import BREATH, HEAT, NOON, SPO2, a_report
from tests.unit.shop.builders import (
    a_cancellation,
    a_confirmation,
    a_fulfilment,
    a_refund,
    a_reservation,
    a_shortage,
    an_order,
)
from tests.unit.world import NAMES, Handler, World

STATUS: dict[str, Handler] = {
    "OrderPlaced": order_status_placed,
    "OutOfStock": order_status_out_of_stock,
    "StockReserved": order_status_reserved,
    "OrderConfirmed": order_status_confirmed,
    "OrderCancelled": order_status_cancelled,
    "OrderFulfilled": order_status_fulfilled,
    "PaymentRefunded": order_status_refunded,
}
TRACKING: dict[str, Handler] = {"EquipmentStatusReported": track_equipment.handler}


def orders() -> list[Event]:
    """One order is sent and refunded in two parts; one is cancelled; one waits."""
    first, second, third = (an_order(order, [("mug", 2), ("poster", 1)]) for order in ("1001", "1002", "1003"))
    refunds = [a_refund(cents, refund_id=f"R-{cents}") for cents in (500, 300)]
    sent = [a_reservation("1001"), a_confirmation(first), a_fulfilment(first), *refunds]
    short = a_shortage("1002", ("mug", "poster"))
    return [first, second, third, *sent, short, a_cancellation(second), a_reservation("1003")]


def reports() -> list[Event]:
    """Reports of two devices over more than an hour, with different kinds of readings."""
    chance = random.Random(1)  # noqa: S311 - the same each time
    return [
        a_report(
            NOON + timedelta(seconds=seconds),
            dict(chance.sample([(SPO2, 97), (HEAT, 36.6), (HEAT, 37.000001), (BREATH, 14)], chance.choice([0, 1, 2]))),
            device_id=f"MON-{chance.randrange(2)}",
            battery=chance.choice([None, 0, 80]),
            status=chance.choice(["on", "standby", "fault"]),
        )
        for seconds in sorted(chance.sample(range(4_000), 80))
    ]


def transactions() -> list[Event]:
    """Transactions of several accounts, merchants and currencies; some are reversed."""
    posted = [a_transaction(**details) for details in generated(60, accounts=8)]
    taken_back: list[TransactionReversed] = [a_reversal(transaction) for transaction in posted[:15]]
    return [*posted, *taken_back]


ALL = [
    pytest.param(orders, STATUS, ORDER_STATUS, "order-status", id="orders"),
    pytest.param(reports, TRACKING, DEVICES, "devices", id="devices"),
    pytest.param(reports, TRACKING, DEVICES, "device-history", id="history"),
    pytest.param(transactions, TALLYING, TALLIES, "account-days", id="accounts"),
    pytest.param(transactions, TALLYING, TALLIES, "merchant-days", id="merchants"),
    pytest.param(transactions, TALLYING, TALLIES, "minutes", id="minutes"),
]


@pytest.mark.parametrize("generation", [0, 2])
@pytest.mark.parametrize(("happened", "handlers", "invariant", "table"), ALL)
def test_the_rows_of_the_systems_own_functions_equal_the_recomputation(
    world: World,
    happened: Callable[[], Sequence[Event]],
    handlers: dict[str, Handler],
    invariant: Invariant,
    table: str,
    generation: int,
) -> None:
    deploy(world)
    if generation:
        pointer = Generations(live=generation, last=generation, version=1).part(NAMES.of(table))["Put"]
        world.client.put_item(TableName=pointer["TableName"], Item=pointer["Item"])
    envelopes = happens(world, *happened())
    random.Random(2).shuffle(envelopes)  # noqa: S311 - the same each time
    hears(world, handlers, *envelopes, *envelopes[::3])

    seen = looks()
    rows = [row for row in seen.tables[table] if row["id"] != "@generation"]
    assert rows
    assert all(row["id"].startswith("@2/") == bool(generation) for row in rows)
    assert list(invariant.violations(seen)) == []
    # A row whose sums are all zero equals no row.
    for row in (row for row in rows if any(value for field, value in row.items() if field != "id")):
        without = [other for other in seen.tables[table] if other is not row]
        assert list(invariant.violations(replace(seen, tables={**seen.tables, table: without}))), row["id"]


def test_valid_snapshots_violate_no_invariant_of_views() -> None:
    for builder, invariant in ((a_shop(), ORDER_STATUS), (a_ward(), DEVICES), (a_bank(), TALLIES)):
        assert violations(builder, invariant) == []


@pytest.mark.parametrize("state", ["dead", "trying", "discarded"])
def test_an_event_that_a_view_has_not_committed_does_not_count(state: str) -> None:
    shop, bank = a_shop(), a_bank()
    shop.status(shop.the("OrderFulfilled"), "order-status-fulfilled", state)
    for name in ("carrier", "tracking_number"):
        del shop.tables["order-status"]["1001"][name]
    shop.tables["order-status"]["1001"]["status"] = "confirmed"
    bank.status(bank.the("TransactionPosted", authorisation_id="A-2"), "tally-transaction", state)
    bank.tables["minutes"]["2026-03-01T12:00#1"]["EUR:debited"] -= 700
    bank.tables["minutes"]["2026-03-01T12:00#1"]["EUR:debit_count"] -= 1
    bank.tables["account-days"]["acc-1#2026-03-01"] |= {"EUR:debited": 1000, "EUR:debit_count": 1}
    del bank.tables["merchant-days"]["m-1#2026-03-01#0"]

    assert violations(shop, ORDER_STATUS) == []
    assert violations(bank, TALLIES) == []


def test_only_the_live_generation_counts() -> None:
    shop = a_shop()
    old = shop.tables["order-status"]
    shop.tables["order-status"] = {f"@2/{key}": {**row, "id": f"@2/{key}"} for key, row in old.items()}
    shop.row("order-status", "@generation", live=2, last=3)
    shop.row("order-status", "1001", status="placed")
    shop.row("order-status", "@3/1001", status="placed")
    assert violations(shop, ORDER_STATUS) == []

    shop.tables["order-status"]["@generation"]["live"] = 3
    assert "row 1002 of order-status is missing" in violations(shop, ORDER_STATUS)


def fall_back(shop: SnapshotBuilder) -> None:
    shop.tables["order-status"]["1001"]["status"] = "confirmed"


def refund_twice(shop: SnapshotBuilder) -> None:
    shop.tables["order-status"]["1003"]["refunded"] *= 2


def lose_a_field(shop: SnapshotBuilder) -> None:
    del shop.tables["order-status"]["1001"]["carrier"]


def add_an_unknown_row(shop: SnapshotBuilder) -> None:
    shop.row("order-status", "1009", status="placed")


def show_an_old_value(ward: SnapshotBuilder) -> None:
    ward.tables["devices"]["MON-7"]["59408-5"] = {"value": 80, "unit": "%", "measured_at": "2026-03-01T12:01:01Z"}


def miss_a_report(ward: SnapshotBuilder) -> None:
    report(ward, "2026-03-01T12:02:00.000000Z", 97)


def show_what_came_last(ward: SnapshotBuilder) -> None:
    late = report(ward, "2026-03-01T12:00:30.000000Z", 99)
    ward.tables["devices"]["MON-7"]["measured_at"] = late.data["measured_at"]


def count_a_cent_too_much(bank: SnapshotBuilder) -> None:
    bank.tables["account-days"]["acc-1#2026-03-01"]["EUR:debited"] += 1


def lose_a_shard(bank: SnapshotBuilder) -> None:
    del bank.tables["minutes"]["2026-03-01T12:00#1"]


def count_twice(bank: SnapshotBuilder) -> None:
    bank.tables["merchant-days"]["m-1#2026-03-01#1"] = {
        **bank.tables["merchant-days"]["m-1#2026-03-01#0"],
        "id": "m-1#2026-03-01#1",
    }


def count_what_was_taken_back(bank: SnapshotBuilder) -> None:
    bank.status(bank.the("TransactionReversed"), "tally-reversal", "dead")


@pytest.mark.parametrize(
    ("builder", "break_it", "invariant", "expected"),
    [
        (
            a_shop,
            fall_back,
            ORDER_STATUS,
            "row 1001 of order-status has status confirmed; expected from its events: fulfilled",
        ),
        (
            a_shop,
            refund_twice,
            ORDER_STATUS,
            "row 1003 of order-status has refunded 2500; expected from its events: 1250",
        ),
        (
            a_shop,
            lose_a_field,
            ORDER_STATUS,
            "row 1001 of order-status has carrier None; expected from its events: Post",
        ),
        (a_shop, add_an_unknown_row, ORDER_STATUS, "row 1009 of order-status exists, but no event created it"),
        (a_ward, show_an_old_value, DEVICES, "row MON-7 of devices has 59408-5"),
        (a_ward, miss_a_report, DEVICES, "row MON-7 of devices has measured_at 2026-03-01T12:01:02.000000Z"),
        (a_ward, miss_a_report, DEVICES, "row MON-7#02 of device-history is missing"),
        (a_ward, show_what_came_last, DEVICES, "row MON-7 of devices has measured_at 2026-03-01T12:00:30.000000Z"),
        (
            a_bank,
            count_a_cent_too_much,
            TALLIES,
            "row acc-1#2026-03-01 of account-days has EUR:debited 1701; expected from its events",
        ),
        (
            a_bank,
            lose_a_shard,
            TALLIES,
            "row 2026-03-01T12:00 of minutes has EUR:debited 1000; expected from its events",
        ),
        (
            a_bank,
            count_twice,
            TALLIES,
            "row m-1#2026-03-01 of merchant-days has EUR:debit_count 2; expected from its events",
        ),
        (a_bank, count_what_was_taken_back, TALLIES, "row acc-2#2026-03-01 of account-days is missing"),
    ],
)
def test_a_wrong_row_is_found(
    builder: Callable[[], SnapshotBuilder],
    break_it: Callable[[SnapshotBuilder], None],
    invariant: Invariant,
    expected: str,
) -> None:
    assert_violation_found(builder(), break_it, invariant, expected)
