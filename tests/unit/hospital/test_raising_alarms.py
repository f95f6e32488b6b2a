"""When alarms are raised and cleared, by the times of measurement of the reports.

By default the limit is 90 %, values above 92 % are back in range, and there is no delay and no hold.
"""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from daybook.contracts import clock
from daybook.contracts.envelope import Envelope
from daybook.store.transaction import MAX_WRITES
from events.equipment import EquipmentAlarmCleared, EquipmentAlarmRaised, EquipmentStatusReported
from events.vitals import KINDS
from functions.equipment import raise_alarm, set_limits
from functions.equipment.alarm import Alarm
from functions.equipment.limits import BUILT_IN, ScopeLimits, limits_for
from functions.equipment.watch import TOO_OLD, Watch, assess
from tests.unit import faults
from tests.unit.builders import recorded
from tests.unit.hospital.bedside import (
    BREATH,
    DIASTOLIC,
    HEAT,
    PULSE,
    SPO2,
    Bedside,
    a_report,
    at,
    due,
    limits,
    problem,
)
from tests.unit.test_delivery_attempts import later
from tests.unit.world import Context, World

FINE, LOW = 97, 85
SATURATION = KINDS[SPO2].name
LIMITS = {"low": 90, "margin": 2, "delay": 0, "hold": 0, "acknowledge_within": 60}


@pytest.fixture
def bedside(world: World) -> Bedside:
    """A registered device with the default limits of this module."""
    bedside = Bedside(world)
    bedside.has_limits(limits(low=90, margin=2))
    bedside.is_registered()
    return bedside


def with_limits(world: World, **other: Any) -> Bedside:
    bedside = Bedside(world)
    bedside.has_limits(limits(**other))
    bedside.is_registered()
    return bedside


def test_a_reading_at_its_limit_raises_an_alarm_that_names_the_problem(bedside: Bedside) -> None:
    bedside.measures(SPO2, (0, 91), (10, 90))

    (alarm,) = bedside.alarms
    expected = problem(name=SATURATION, value=90, limit=90, since=at(10))
    assert bedside.of(alarm) == [EquipmentAlarmRaised(alarm_id=alarm.alarm_id, problem=expected)]
    assert (alarm.stage, alarm.level, alarm.problem) == ("raised", 1, expected)
    assert alarm.alarm_id == "MON-7:59408-5:3"
    (timer,) = due(bedside.world, "AcknowledgementDue")
    assert alarm.raised_at
    assert clock.moment(timer["time"]) == alarm.raised_at + timedelta(seconds=60)


def test_a_reading_at_the_high_limit_raises_an_alarm(world: World) -> None:
    bedside = with_limits(world, code=PULSE, low=40, high=131, margin=5)

    bedside.measures(PULSE, (0, 130), (10, 131))

    assert bedside.raised() == [
        problem(code=PULSE, name="heart rate", unit="/min", value=131, side="high", limit=131, since=at(10))
    ]


# Guards: two readings in a row in range end a pending condition; no alarm is raised before the delay has passed.
def test_one_noisy_reading_raises_no_alarm(world: World) -> None:
    bedside = with_limits(world, delay=15)

    bedside.measures(SPO2, (0, FINE), (5, LOW), (10, FINE), (15, FINE), (30, LOW), (35, FINE), (40, FINE))

    assert bedside.raised() == []
    assert bedside.watch.conditions == {}


def test_a_reading_that_stays_low_raises_an_alarm_when_the_delay_has_passed(world: World) -> None:
    bedside = with_limits(world, delay=15)

    bedside.measures(SPO2, (0, LOW), (5, LOW), (14.999, LOW))
    assert bedside.raised() == []
    bedside.measures(SPO2, (15, LOW), (20, LOW))

    assert [problem.since for problem in bedside.raised()] == [at(0)]


def test_a_flapping_reading_raises_one_alarm(world: World) -> None:
    bedside = with_limits(world, delay=15, hold=30)

    bedside.measures(SPO2, *[(5 * number, FINE if number % 2 else LOW) for number in range(40)])

    assert [problem.since for problem in bedside.raised()] == [at(0)]
    assert bedside.cleared() == []


def test_a_value_between_the_limit_and_the_margin_ends_no_condition(world: World) -> None:
    bedside = with_limits(world, delay=15, hold=0)

    # Between limit and margin the condition stays pending, so the next low value raises the alarm.
    bedside.measures(SPO2, (0, LOW), (5, 92), (10, 91.5), (60, LOW))
    assert [problem.since for problem in bedside.raised()] == [at(0)]
    # A raised alarm stays raised.
    bedside.measures(SPO2, (70, 91), (80, 92))
    assert bedside.cleared() == []
    bedside.measures(SPO2, (90, 93))
    assert bedside.cleared() == ["back_in_range"]


def test_an_alarm_is_cleared_when_all_readings_of_the_hold_time_were_in_range(world: World) -> None:
    bedside = with_limits(world, hold=30)

    bedside.measures(SPO2, (0, LOW), (10, FINE), (35, FINE), (39.999, 91), (40, FINE), (69.999, FINE))
    assert bedside.cleared() == []
    bedside.measures(SPO2, (70, FINE))

    assert bedside.cleared() == ["back_in_range"]
    (alarm,) = bedside.alarms
    assert alarm.stage == "cleared"
    assert isinstance(bedside.of(alarm)[-1], EquipmentAlarmCleared)


def test_a_problem_that_returns_raises_another_alarm(bedside: Bedside) -> None:
    bedside.measures(SPO2, (0, LOW), (10, FINE), (20, LOW), (30, FINE), (40, LOW))

    assert [problem.since for problem in bedside.raised()] == [at(0), at(20), at(40)]
    assert len({alarm.alarm_id for alarm in bedside.alarms}) == 3
    assert bedside.cleared() == ["back_in_range"] * 2


def test_the_low_and_the_high_limit_have_separate_alarms(world: World) -> None:
    bedside = with_limits(world, code=PULSE, low=40, high=131, margin=5, hold=30)

    bedside.measures(PULSE, (0, 35), (10, 140))

    assert [problem.side for problem in bedside.raised()] == ["low", "high"]


def test_an_alarm_stays_open_when_the_device_stops_measuring_the_code(bedside: Bedside) -> None:
    bedside.measures(SPO2, (0, LOW))
    bedside.measures(PULSE, (10, 70), (600, 70))

    assert bedside.cleared() == []
    assert bedside.watch.open_alarms == [alarm.alarm_id for alarm in bedside.alarms]


@pytest.mark.parametrize(
    ("set_for", "alarms"),
    [
        ({}, False),  # 91 %, built in
        ({"everywhere": 95}, True),
        ({"everywhere": 95, "ward:ICU-2": 85}, False),
        ({"everywhere": 85, "ward:ICU-2": 95}, True),
        ({"everywhere": 95, "ward:ICU-2": 95, "device:MON-7": 85}, False),
        ({"everywhere": 85, "ward:ICU-2": 85, "device:MON-7": 95}, True),
        ({"ward:ICU-3": 95, "device:MON-8": 95}, False),
    ],
)
def test_limits_of_the_device_precede_those_of_the_ward_and_of_everywhere(
    world: World, set_for: dict[str, int], *, alarms: bool
) -> None:
    bedside = Bedside(world)
    bedside.has_limits(*(limits(scope, low=low) for scope, low in set_for.items()))

    bedside.measures(SPO2, (0, 93))

    assert bool(bedside.raised()) is alarms


def test_limits_of_one_code_do_not_change_those_of_another(world: World) -> None:
    bedside = Bedside(world)
    bedside.has_limits(limits("device:MON-7", PULSE, low=60), limits("everywhere", SPO2, low=95))

    bedside.reports(0, readings={SPO2: 95, PULSE: 60, BREATH: 8})
    bedside.reports(15, readings={SPO2: 95, PULSE: 60, BREATH: 8})

    assert {problem.code: str(problem.limit) for problem in bedside.raised()} == {SPO2: "95", PULSE: "60", BREATH: "8"}


def test_changed_limits_apply_from_the_next_report_on(bedside: Bedside) -> None:
    bedside.measures(SPO2, (0, 93))
    bedside.has_limits(limits(revision=2, low=95))
    assert bedside.raised() == []

    bedside.measures(SPO2, (10, 93))
    assert [problem.limit for problem in bedside.raised()] == [95]

    bedside.has_limits(limits(revision=3, low=90))
    bedside.measures(SPO2, (20, 93))
    assert bedside.cleared() == ["back_in_range"]


# Guards: the revision decides, not the order of arrival.
def test_the_highest_revision_of_limits_applies_in_any_order_of_arrival(world: World) -> None:
    newer, older = limits(revision=2, low=95), limits(revision=1, low=80)
    for order in ([newer, older], [older, newer]):
        world.receive(set_limits.handler, *order)
        row = world.row(ScopeLimits, "everywhere")
        assert row
        assert limits_for(SPO2, [row]).low == 95
        world.clear("limits", "ledger")


def test_an_alarm_is_cleared_when_its_device_moves_to_a_ward_without_limits(world: World) -> None:
    bedside = Bedside(world)
    bedside.has_limits(limits("ward:ICU-2", DIASTOLIC, low=50, high=100))
    bedside.measures(DIASTOLIC, (0, 40))

    bedside.reports(10, readings={DIASTOLIC: 40}, ward="ICU-3")
    bedside.reports(40, readings={DIASTOLIC: 40}, ward="ICU-3")

    assert (len(bedside.raised()), bedside.cleared()) == (1, ["back_in_range"])


def test_each_code_raises_an_alarm_of_its_own(world: World) -> None:
    bedside = Bedside(world)
    bad = {SPO2: 80, PULSE: 150, BREATH: 30, HEAT: 40, DIASTOLIC: 10}
    bedside.reports(0, readings=bad)
    bedside.reports(15, readings=bad)

    # NEWS2 has no limits of the diastolic pressure.
    assert {problem.code: str(problem.limit) for problem in bedside.raised()} == {
        SPO2: "91",
        PULSE: "131",
        BREATH: "25",
        HEAT: "39.1",
    }


def test_an_unknown_code_raises_no_alarm(world: World) -> None:
    bedside = Bedside(world)

    bedside.measures("20077-4", (0, 999), (60, 999))

    assert bedside.raised() == []


def test_the_most_alarms_of_one_report_fit_into_one_transaction(world: World) -> None:
    bedside = Bedside(world)
    bedside.has_limits(*(limits(code=code, low=10, high=30, margin=0) for code in KINDS))
    bedside.is_registered(seconds=-60)
    bedside.reports(0, readings=dict.fromkeys(KINDS, 5))

    written = faults.requests("TransactWriteItems")
    bedside.reports(1, readings=dict.fromkeys(KINDS, 40), status="fault")

    assert len(bedside.raised()) == 2 * len(KINDS) + 1
    assert len(bedside.cleared()) == len(KINDS)
    assert (
        len(written[0]["TransactItems"]) + 4 <= MAX_WRITES
    )  # and the end of a silence, and UnregisteredEquipmentReported


def test_a_fault_raises_an_alarm_at_once_that_is_cleared_when_the_device_works(bedside: Bedside) -> None:
    for seconds, status in enumerate(["on", "fault", "fault", "off", "standby", "fault"]):
        bedside.reports(seconds, status=status)

    assert [(problem.kind, problem.since) for problem in bedside.raised()] == [("fault", at(1)), ("fault", at(5))]
    assert bedside.cleared() == ["fault_ended"]


def committed(bedside: Bedside) -> list[str]:
    """The ids of the reports that raise-alarm has committed."""
    rows = bedside.world.items("ledger")
    own = {row["key"].removeprefix("raise-alarm#"): row for row in rows if row["key"].startswith("raise-alarm#")}
    return [event for event, row in own.items() if row.get("state") == "committed"]


# Guards: a report counts only if it was measured later than the last one that counted.
def test_a_report_that_arrives_after_a_newer_one_changes_no_alarm(world: World) -> None:
    bedside = with_limits(world, delay=15)

    bedside.measures(SPO2, (0, FINE), (30, FINE))
    bedside.reports(10, arrives=31, readings={SPO2: LOW})
    bedside.reports(29, arrives=32, readings={SPO2: LOW})
    bedside.reports(30, arrives=33, readings={SPO2: LOW})

    assert bedside.raised() == []
    assert bedside.watch.conditions == {}
    assert bedside.watch.last_seen_at == at(30)
    assert len(committed(bedside)) == 5


# Guards: a report counts only if it is not too old when it is recorded.
@pytest.mark.parametrize(("seconds", "counts"), [(0, True), (0.001, False)])
def test_a_report_that_took_more_than_five_minutes_does_not_count(
    bedside: Bedside, seconds: float, *, counts: bool
) -> None:
    bedside.reports(0, arrives=TOO_OLD.total_seconds() + seconds, readings={SPO2: LOW})

    assert bool(bedside.raised()) is counts
    assert (bedside.watch.last_seen_at != at(0)) is counts


def test_a_late_report_clears_no_alarm(bedside: Bedside) -> None:
    bedside.measures(SPO2, (0, FINE), (600, LOW))
    bedside.reports(599, arrives=601, readings={SPO2: FINE})

    assert (len(bedside.raised()), bedside.cleared()) == (1, [])


def test_an_unregistered_device_is_reported_once_and_raises_alarms(world: World) -> None:
    bedside = Bedside(world)
    bedside.has_limits(limits())

    bedside.measures(SPO2, (0, FINE), (10, LOW), (20, LOW))

    assert bedside.types().count("UnregisteredEquipmentReported") == 1
    assert len(bedside.raised()) == 1
    assert due(world) == []


def test_a_registered_device_is_not_reported_as_unregistered(bedside: Bedside) -> None:
    bedside.measures(SPO2, (0, FINE))

    assert "UnregisteredEquipmentReported" not in bedside.types()


def test_a_retired_device_raises_no_alarm_and_its_alarms_are_cleared(bedside: Bedside) -> None:
    bedside.reports(0, readings={SPO2: LOW}, status="fault")
    bedside.is_retired(seconds=5)
    bedside.measures(SPO2, (10, LOW))

    assert len(bedside.raised()) == 2
    assert bedside.cleared() == ["retired"] * 2
    assert bedside.watch.conditions == {}


def test_a_report_that_is_delivered_three_times_raises_one_alarm(bedside: Bedside) -> None:
    envelope = bedside.reports(0, readings={SPO2: LOW})
    message = bedside.message(envelope)

    assert bedside.world.deliver(raise_alarm.handler, message, message) == []
    assert bedside.world.deliver(raise_alarm.handler, later(message)) == []

    (alarm,) = bedside.alarms
    assert len(bedside.of(alarm)) == 1
    assert len(due(bedside.world, "AcknowledgementDue")) == 1


@pytest.mark.parametrize("when", ["before", "after"])
def test_an_alarm_is_raised_once_when_the_process_dies_at_the_commit(bedside: Bedside, when: str) -> None:
    envelope = bedside.appended(a_report(at(0), {SPO2: LOW}), recorded_at=at(0))
    message = bedside.message(envelope)
    faults.die("TransactWriteItems", when)
    with pytest.raises(faults.Death):
        bedside.world.deliver(raise_alarm.handler, message)

    assert bedside.world.deliver(raise_alarm.handler, later(message)) == []

    (alarm,) = bedside.alarms
    assert len(bedside.of(alarm)) == 1


def test_reports_are_processed_in_the_order_of_their_stream(world: World) -> None:
    bedside = with_limits(world, delay=15, hold=30)
    values = [LOW, LOW, LOW, LOW, FINE, FINE, FINE, FINE]
    envelopes = [
        bedside.appended(a_report(at(10 * number), {SPO2: value}), recorded_at=at(10 * number))
        for number, value in enumerate(values)
    ]

    assert world.deliver(raise_alarm.handler, *map(bedside.message, reversed(envelopes))) == []

    assert [problem.since for problem in bedside.raised()] == [at(0)]
    assert bedside.cleared() == ["back_in_range"]


def test_a_report_costs_one_read_and_one_transaction(bedside: Bedside) -> None:
    envelope = bedside.appended(a_report(at(0), {SPO2: FINE, PULSE: 70, BREATH: 15}), recorded_at=at(0))
    calls = faults.calls()

    assert bedside.world.deliver(raise_alarm.handler, bedside.message(envelope)) == []

    # Every ordered consumer makes the first two calls: it reads its cursor and its stream.
    assert calls == ["BatchGetItem", "GetItem", "Query", "BatchGetItem", "TransactWriteItems"]


def every_tenth_low(number: int) -> float:
    """Every tenth reading raises an alarm, and the next one clears it."""
    return LOW if number % 10 == 0 else FINE


def test_a_hundred_reports_in_one_second_are_processed_once_and_in_order_by_any_wake_up_messages(world: World) -> None:
    bedside = Bedside(world)
    bedside.has_limits(limits())
    envelopes: list[Envelope] = []
    for number in range(100):
        report = a_report(at(number / 100), {SPO2: every_tenth_low(number)})
        last = envelopes[-1] if envelopes else None
        envelopes.append(recorded(report, after=last, now=clock.timestamp(at(number / 100))))
    world.append(*envelopes)

    wake_ups = [bedside.message(envelope) for envelope in (*envelopes[60:70], *envelopes[99:], *envelopes[:20])]
    assert world.deliver(raise_alarm.handler, *wake_ups, context=Context(seconds=900, less=0)) == []

    assert sorted(committed(bedside)) == sorted(envelope.metadata.id for envelope in envelopes)
    assert bedside.watch.last_measured_at == at(0.99)
    assert [problem.since for problem in bedside.raised()] == [at(number / 10) for number in range(10)]
    assert bedside.cleared() == ["back_in_range"] * 10


def test_a_thousand_reports_in_one_second_raise_and_clear_the_alarms_in_order() -> None:
    watch, changes = Watch.blank("MON-7"), []
    rows = [
        ScopeLimits.model_validate({"applies_to": "everywhere", "by_code": {SPO2: {"limits": LIMITS, "revision": 1}}})
    ]
    for number in range(1000):
        report = a_report(at(number / 1000), {SPO2: every_tenth_low(number)})
        assessment = assess(watch, report, rows, sequence=number)
        watch = watch.evolve(
            last_measured_at=report.measured_at,
            judged_at=assessment.judged_at,
            conditions=assessment.conditions,
        )
        changes += [each.problem.since for each in assessment.raised] + list(assessment.cleared)

    assert changes == [each for number in range(0, 1000, 10) for each in (at(number / 1000), f"MON-7:{SPO2}:{number}")]


def test_the_built_in_limits_are_the_red_scores_of_news2() -> None:
    built_in = {KINDS[code].name: f"{limit.low} to {limit.high}" for code, limit in BUILT_IN.items()}

    assert built_in == {
        "respiratory rate": "8 to 25",
        "oxygen saturation by pulse oximetry": "91 to None",
        "systolic blood pressure": "90 to 220",
        "heart rate": "40 to 131",
        "pulse rate by pulse oximetry": "40 to 131",
        "body temperature": "35.0 to 39.1",
    }
    assert {limit.delay for limit in BUILT_IN.values()} == {15}


@pytest.mark.parametrize("digits", ["36.6", "0.1", "-0.000001", "123456.654321", "97"])
def test_a_number_in_a_row_keeps_its_digits_and_its_type(digits: str) -> None:
    alarm = Alarm(alarm_id="MON-7:8310-5:1", problem=problem(value=Decimal(digits)))

    item = alarm.to_item(1)

    assert item["problem"]["M"]["value"] == {"N": digits}
    assert Alarm.from_item(item) == alarm


def test_a_report_is_assessed_without_aws() -> None:
    report: EquipmentStatusReported = a_report(at(0), {SPO2: LOW})

    assessment = assess(Watch.blank("MON-7"), report, [], sequence=7)

    assert (assessment.raised, assessment.cleared) == ([], {})
    assert list(assessment.conditions) == ["59408-5:low"]


# Guards: a code counts as judged only for that code.
def test_two_reports_with_the_same_time_are_both_judged_if_their_codes_differ(bedside: Bedside) -> None:
    bedside.reports(0, readings={PULSE: 72})
    bedside.reports(0, readings={SPO2: LOW})

    assert [problem.code for problem in bedside.raised()] == [SPO2]


def test_a_code_that_arrives_after_a_newer_report_of_other_codes_is_judged(bedside: Bedside) -> None:
    bedside.reports(10, readings={PULSE: 72})
    bedside.reports(5, arrives=11, readings={SPO2: LOW, PULSE: 20})

    assert [problem.code for problem in bedside.raised()] == [SPO2]
    assert bedside.watch.last_measured_at == at(10)


def test_a_late_report_of_another_code_changes_neither_status_nor_place_of_the_device(bedside: Bedside) -> None:
    bedside.reports(10, readings={PULSE: 72}, status="on", ward="ICU-3")
    bedside.reports(5, arrives=11, readings={SPO2: FINE}, status="fault", ward="ICU-2")

    assert bedside.raised() == []
    assert (bedside.watch.ward, bedside.watch.last_seen_at) == ("ICU-3", at(10))


def test_an_odd_reading_does_not_count_as_judged(bedside: Bedside) -> None:
    bedside.reports(0, readings={SPO2: 127})
    bedside.reports(0, readings={SPO2: LOW})

    assert [problem.code for problem in bedside.raised()] == [SPO2]
