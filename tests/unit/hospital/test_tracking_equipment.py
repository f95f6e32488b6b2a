"""The view of devices: the same rows for any order and any number of deliveries of the reports."""

import random
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from daybook.consumers.consumer import backbone
from daybook.consumers.generations import Generations
from daybook.consumers.view import Projection, row_changes
from daybook.consumers.work import LEDGER
from daybook.contracts import clock
from daybook.contracts.envelope import Metadata
from events.equipment import MAX_READINGS, EquipmentStatusReported
from functions.equipment import track_equipment
from functions.equipment.tracking import DeviceMinute, DeviceStatus
from tests.unit.builders import from_the_bus, recorded
from tests.unit.hospital.bedside import BREATH, HEAT, MONITOR, NOON, PULSE, SPO2, a_report, at, tracked
from tests.unit.world import World

# Limits of an expression (https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ServiceQuotas.html).
MAX_EXPRESSION_BYTES = 4096
MAX_OPERATORS = 300


def device(world: World) -> dict[str, object]:
    (row,) = world.items("devices")
    return {name: value for name, value in row.items() if not name.endswith("@")}


def test_a_row_has_the_last_status_of_a_device_and_the_last_value_of_each_code(world: World) -> None:
    tracked(
        world,
        [
            a_report(at(0), {SPO2: 97, HEAT: 36.6}, battery=80),
            a_report(at(10), {SPO2: 96}, status="fault", battery=None, ward="ICU-3"),
        ],
    )

    first, second = (clock.timestamp(at(seconds)) for seconds in (0, 10))
    assert device(world) == {
        "id": "MON-7",
        **MONITOR,
        "ward": "ICU-3",
        "status": "fault",
        "battery": None,
        "measured_at": second,
        SPO2: {"value": 96, "unit": "%", "measured_at": second},
        HEAT: {"value": Decimal("36.6"), "unit": "Cel", "measured_at": first},
    }


# Guards: the condition on the time of measurement.
def test_a_late_report_overwrites_no_newer_value_and_adds_values_of_other_codes(world: World) -> None:
    tracked(world, [a_report(at(60), {SPO2: 96}), a_report(at(50), {SPO2: 80, PULSE: 70}, status="off")])

    row = device(world)
    assert (row["status"], row["measured_at"]) == ("on", clock.timestamp(at(60)))
    assert row[SPO2] == {"value": 96, "unit": "%", "measured_at": clock.timestamp(at(60))}
    assert row[PULSE] == {"value": 70, "unit": "/min", "measured_at": clock.timestamp(at(50))}


def test_the_history_has_the_last_report_of_each_minute_of_the_last_hour(world: World) -> None:
    tracked(world, [a_report(NOON + timedelta(seconds=45 * n), {SPO2: 90 + n % 10}) for n in range(160)])

    rows = world.items("device-history")
    assert [row["id"] for row in rows] == [f"MON-7#{minute:02d}" for minute in range(60)]
    moments = sorted(clock.moment(row["measured_at"]) for row in rows)
    assert len({moment.replace(second=0) for moment in moments}) == 60
    last = NOON + timedelta(seconds=45 * 159)
    assert moments[-1] == last
    assert last - moments[0] < timedelta(hours=1)


def test_a_report_does_not_overwrite_the_row_of_the_same_minute_one_hour_later(world: World) -> None:
    tracked(world, [a_report(at(3600), {SPO2: 96}), a_report(at(0), {SPO2: 80})])

    row = world.row(DeviceMinute, "MON-7#00")
    assert row
    assert row.readings == {SPO2: {"value": 96, "unit": "%"}}


def test_a_report_that_is_an_hour_late_fills_a_minute_without_a_newer_report(world: World) -> None:
    tracked(world, [a_report(at(3600)), a_report(at(60), {SPO2: 80})])

    assert [row["id"] for row in world.items("device-history")] == ["MON-7#00", "MON-7#01"]


reports = st.builds(
    a_report,
    st.integers(0, 7200).map(at),
    st.dictionaries(st.sampled_from([SPO2, PULSE, BREATH]), st.integers(1, 99), max_size=3),
    status=st.sampled_from(["on", "standby", "fault"]),
    battery=st.integers(0, 100) | st.none(),
)


@given(st.lists(reports, min_size=2, max_size=6), st.randoms(use_true_random=False))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_order_and_any_duplicate_of_reports_gives_the_same_rows(
    world: World, reported: list[EquipmentStatusReported], rng: random.Random
) -> None:
    envelopes = [recorded(event, id=f"e{number}") for number, event in enumerate(reported)]
    shuffled = [*envelopes, rng.choice(envelopes)]
    rng.shuffle(shuffled)
    found = []
    for deliveries in (envelopes, shuffled):
        for envelope in deliveries:
            assert world.deliver(track_equipment.handler, from_the_bus(envelope)) == []
        found.append([world.items(table) for table in ("devices", "device-history")])
        world.clear("devices", "device-history", "ledger")

    assert found[0] == found[1]


def test_the_largest_report_is_within_the_limits_of_an_expression(world: World) -> None:
    report = a_report(NOON, {f"{n:08d}-0": 1 for n in range(MAX_READINGS)})
    metadata: Metadata = recorded(report).metadata
    rows = row_changes(track_equipment.handler.body(report), metadata.id)
    first = {row.table: Generations() for row in rows}
    parts = Projection(backbone(), "track-equipment", metadata, rows, first).parts()

    for part in [part for name, part in parts.items() if name != LEDGER]:
        for name in ("UpdateExpression", "ConditionExpression"):
            expression = part["Update"][name]
            assert len(expression) <= MAX_EXPRESSION_BYTES
            assert sum(expression.count(sign) for sign in ("=", "<", "OR", "AND", "not_exists")) <= MAX_OPERATORS
    world.receive(track_equipment.handler, report)
    assert len(device(world)) == len(DeviceStatus.model_fields.keys() - {"readings"}) + MAX_READINGS


@pytest.mark.parametrize("second", [1, 59])
def test_the_first_and_the_last_second_of_a_minute_share_a_row(world: World, second: int) -> None:
    tracked(world, [a_report(at(59 * 60 + second))])

    assert [row["id"] for row in world.items("device-history")] == ["MON-7#59"]
