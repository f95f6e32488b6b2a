"""When an alarm is raised, and when it is over: by the times of measurement, report by report.

Limits here alarm at 90 % and below, are well inside above 92 %, and are patient with nothing, unless a test says so.
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
from functions.equipment.limits import BUILT_IN, LimitsRow, in_force
from functions.equipment.watch import TOO_OLD, Watch, judge
from tests.unit import faults
from tests.unit.bedside import (
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
    trouble,
)
from tests.unit.builders import recorded
from tests.unit.test_tries import later
from tests.unit.world import Context, World

FINE, LOW = 97, 85
SATURATION = KINDS[SPO2].name
PATIENT = {"low": 90, "margin": 2, "delay": 0, "hold": 0, "acknowledge_within": 60}


@pytest.fixture
def bedside(world: World) -> Bedside:
    """A registered device, under the limits that the module tells of."""
    bedside = Bedside(world)
    bedside.has_limits(limits(low=90, margin=2))
    bedside.is_registered()
    return bedside


def with_limits(world: World, **other: Any) -> Bedside:
    bedside = Bedside(world)
    bedside.has_limits(limits(**other))
    bedside.is_registered()
    return bedside


def test_a_reading_at_its_limit_raises_an_alarm_that_says_all_that_one_must_know(bedside: Bedside) -> None:
    bedside.measures(SPO2, (0, 91), (10, 90))

    (alarm,) = bedside.alarms
    about = trouble(name=SATURATION, value=90, limit=90, since=at(10))
    assert bedside.of(alarm) == [EquipmentAlarmRaised(alarm_id=alarm.alarm_id, about=about)]
    assert (alarm.stage, alarm.level, alarm.about) == ("raised", 1, about)
    assert alarm.alarm_id == "MON-7:59408-5:3"
    (timer,) = due(bedside.world, "AcknowledgementDue")
    assert alarm.raised_at
    assert clock.moment(timer["time"]) == alarm.raised_at + timedelta(seconds=60)


def test_a_high_limit_alarms_at_its_value_and_above(world: World) -> None:
    bedside = with_limits(world, code=PULSE, low=40, high=131, margin=5)

    bedside.measures(PULSE, (0, 130), (10, 131))

    assert bedside.raised() == [
        trouble(code=PULSE, name="heart rate", unit="/min", value=131, side="high", limit=131, since=at(10))
    ]


# Guards: two readings in a row well inside end what is pending; nothing is raised before its delay.
def test_one_noisy_reading_pages_nobody(world: World) -> None:
    bedside = with_limits(world, delay=15)

    bedside.measures(SPO2, (0, FINE), (5, LOW), (10, FINE), (15, FINE), (30, LOW), (35, FINE), (40, FINE))

    assert bedside.raised() == []
    assert bedside.watch.courses == {}


def test_a_reading_that_stays_low_alarms_once_its_delay_is_over_and_not_before(world: World) -> None:
    bedside = with_limits(world, delay=15)

    bedside.measures(SPO2, (0, LOW), (5, LOW), (14.999, LOW))
    assert bedside.raised() == []
    bedside.measures(SPO2, (15, LOW), (20, LOW))

    assert [about.since for about in bedside.raised()] == [at(0)]


def test_a_flapping_reading_pages_once(world: World) -> None:
    bedside = with_limits(world, delay=15, hold=30)

    bedside.measures(SPO2, *[(5 * number, FINE if number % 2 else LOW) for number in range(40)])

    assert [about.since for about in bedside.raised()] == [at(0)]
    assert bedside.cleared() == []


def test_what_is_neither_alarming_nor_well_inside_ends_nothing(world: World) -> None:
    bedside = with_limits(world, delay=15, hold=0)

    # In between for long, and so still pending: the next low one alarms.
    bedside.measures(SPO2, (0, LOW), (5, 92), (10, 91.5), (60, LOW))
    assert [about.since for about in bedside.raised()] == [at(0)]
    # And an alarm that is raised stays so.
    bedside.measures(SPO2, (70, 91), (80, 92))
    assert bedside.cleared() == []
    bedside.measures(SPO2, (90, 92.000001))
    assert bedside.cleared() == ["well_inside"]


def test_an_alarm_is_over_once_all_readings_of_its_hold_were_well_inside(world: World) -> None:
    bedside = with_limits(world, hold=30)

    bedside.measures(SPO2, (0, LOW), (10, FINE), (35, FINE), (39.999, 91), (40, FINE), (69.999, FINE))
    assert bedside.cleared() == []
    bedside.measures(SPO2, (70, FINE))

    assert bedside.cleared() == ["well_inside"]
    (alarm,) = bedside.alarms
    assert alarm.stage == "cleared"
    assert isinstance(bedside.of(alarm)[-1], EquipmentAlarmCleared)


def test_what_is_wrong_again_after_it_was_over_is_another_alarm(bedside: Bedside) -> None:
    bedside.measures(SPO2, (0, LOW), (10, FINE), (20, LOW), (30, FINE), (40, LOW))

    assert [about.since for about in bedside.raised()] == [at(0), at(20), at(40)]
    assert len({alarm.alarm_id for alarm in bedside.alarms}) == 3
    assert bedside.cleared() == ["well_inside"] * 2


def test_a_pulse_that_was_too_slow_and_is_too_fast_is_in_trouble_anew(world: World) -> None:
    bedside = with_limits(world, code=PULSE, low=40, high=131, margin=5, hold=30)

    bedside.measures(PULSE, (0, 35), (10, 140))

    assert [about.side for about in bedside.raised()] == ["low", "high"]


def test_a_device_that_does_not_measure_a_code_any_more_leaves_its_alarm_open(bedside: Bedside) -> None:
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
def test_the_narrowest_limits_apply(world: World, set_for: dict[str, int], *, alarms: bool) -> None:
    bedside = Bedside(world)
    bedside.has_limits(*(limits(scope, low=low) for scope, low in set_for.items()))

    bedside.measures(SPO2, (0, 93))

    assert bool(bedside.raised()) is alarms


def test_limits_of_one_code_leave_those_of_another_as_they_are(world: World) -> None:
    bedside = Bedside(world)
    bedside.has_limits(limits("device:MON-7", PULSE, low=60), limits("everywhere", SPO2, low=95))

    bedside.reports(0, readings={SPO2: 95, PULSE: 60, BREATH: 8})
    bedside.reports(15, readings={SPO2: 95, PULSE: 60, BREATH: 8})

    assert {about.code: str(about.limit) for about in bedside.raised()} == {SPO2: "95", PULSE: "60", BREATH: "8"}


def test_limits_that_are_changed_apply_from_the_next_report_on(bedside: Bedside) -> None:
    bedside.measures(SPO2, (0, 93))
    bedside.has_limits(limits(revision=2, low=95))
    assert bedside.raised() == []

    bedside.measures(SPO2, (10, 93))
    assert [about.limit for about in bedside.raised()] == [95]

    bedside.has_limits(limits(revision=3, low=90))
    bedside.measures(SPO2, (20, 93))
    assert bedside.cleared() == ["well_inside"]


# Guards: the revision decides, not the order of arrival.
def test_the_later_revision_of_limits_wins_whichever_comes_first(world: World) -> None:
    newer, older = limits(revision=2, low=95), limits(revision=1, low=80)
    for order in ([newer, older], [older, newer]):
        world.receive(set_limits.handler, *order)
        row = world.row(LimitsRow, "everywhere")
        assert row
        assert in_force(SPO2, [row]).low == 95
        world.clear("limits", "ledger")


def test_a_device_that_moves_to_where_no_limits_apply_ends_its_alarm(world: World) -> None:
    bedside = Bedside(world)
    bedside.has_limits(limits("ward:ICU-2", DIASTOLIC, low=50, high=100))
    bedside.measures(DIASTOLIC, (0, 40))

    bedside.reports(10, readings={DIASTOLIC: 40}, ward="ICU-3")
    bedside.reports(40, readings={DIASTOLIC: 40}, ward="ICU-3")

    assert (len(bedside.raised()), bedside.cleared()) == (1, ["well_inside"])


def test_several_codes_at_once_are_an_alarm_each(world: World) -> None:
    bedside = Bedside(world)
    bad = {SPO2: 80, PULSE: 150, BREATH: 30, HEAT: 40, DIASTOLIC: 10}
    bedside.reports(0, readings=bad)
    bedside.reports(15, readings=bad)

    # Of the diastolic pressure NEWS2 says nothing.
    assert {about.code: str(about.limit) for about in bedside.raised()} == {
        SPO2: "91",
        PULSE: "131",
        BREATH: "25",
        HEAT: "39.1",
    }


def test_a_code_that_is_not_known_is_not_judged(world: World) -> None:
    bedside = Bedside(world)

    bedside.measures("20077-4", (0, 999), (60, 999))

    assert bedside.raised() == []


def test_all_that_can_be_wrong_at_once_fits_into_one_transaction(world: World) -> None:
    bedside = Bedside(world)
    bedside.has_limits(*(limits(code=code, low=10, high=30, margin=0) for code in KINDS))
    bedside.is_registered(seconds=-60)
    bedside.reports(0, readings=dict.fromkeys(KINDS, 5))

    written = faults.requests("TransactWriteItems")
    bedside.reports(1, readings=dict.fromkeys(KINDS, 40), status="fault")

    assert len(bedside.raised()) == 2 * len(KINDS) + 1
    assert len(bedside.cleared()) == len(KINDS)
    assert len(written[0]["TransactItems"]) + 4 <= MAX_WRITES  # and its silence, and that nobody knows it


def test_a_fault_alarms_at_once_and_is_over_when_the_device_works_again(bedside: Bedside) -> None:
    for seconds, status in enumerate(["on", "fault", "fault", "off", "standby", "fault"]):
        bedside.reports(seconds, status=status)

    assert [(about.kind, about.since) for about in bedside.raised()] == [("fault", at(1)), ("fault", at(5))]
    assert bedside.cleared() == ["works_again"]


def judged(bedside: Bedside) -> list[str]:
    """The ids of the reports that were judged, or found late: each once."""
    rows = bedside.world.items("ledger")
    return [row["event"] for row in rows if row.get("consumer") == "raise-alarm" and row.get("state") == "committed"]


# Guards: a report counts only if it was measured later than the last one that did.
def test_a_report_that_others_have_overtaken_moves_no_alarm(world: World) -> None:
    bedside = with_limits(world, delay=15)

    bedside.measures(SPO2, (0, FINE), (30, FINE))
    bedside.reports(10, arrives=31, readings={SPO2: LOW})
    bedside.reports(29, arrives=32, readings={SPO2: LOW})
    bedside.reports(30, arrives=33, readings={SPO2: LOW})

    assert bedside.raised() == []
    assert bedside.watch.courses == {}
    assert bedside.watch.alive == at(30)
    assert len(judged(bedside)) == 5


# Guards: a report counts only if it is not too old when it is recorded.
@pytest.mark.parametrize(("seconds", "counts"), [(0, True), (0.001, False)])
def test_a_report_that_took_more_than_five_minutes_says_nothing_of_now(
    bedside: Bedside, seconds: float, *, counts: bool
) -> None:
    bedside.reports(0, arrives=TOO_OLD.total_seconds() + seconds, readings={SPO2: LOW})

    assert bool(bedside.raised()) is counts
    assert (bedside.watch.alive != at(0)) is counts


def test_an_alarm_is_not_ended_by_a_late_report_either(bedside: Bedside) -> None:
    bedside.measures(SPO2, (0, FINE), (600, LOW))
    bedside.reports(599, arrives=601, readings={SPO2: FINE})

    assert (len(bedside.raised()), bedside.cleared()) == (1, [])


def test_a_device_that_is_not_registered_is_told_of_once_and_judged_all_the_same(world: World) -> None:
    bedside = Bedside(world)
    bedside.has_limits(limits())

    bedside.measures(SPO2, (0, FINE), (10, LOW), (20, LOW))

    assert bedside.types().count("UnregisteredEquipmentReported") == 1
    assert len(bedside.raised()) == 1
    assert due(world) == []


def test_a_registered_device_is_not_told_of(bedside: Bedside) -> None:
    bedside.measures(SPO2, (0, FINE))

    assert "UnregisteredEquipmentReported" not in bedside.types()


def test_a_retired_device_is_not_judged_and_its_alarms_are_over(bedside: Bedside) -> None:
    bedside.reports(0, readings={SPO2: LOW}, status="fault")
    bedside.is_retired(seconds=5)
    bedside.measures(SPO2, (10, LOW))

    assert len(bedside.raised()) == 2
    assert bedside.cleared() == ["retired"] * 2
    assert bedside.watch.courses == {}


def test_a_report_that_is_delivered_twice_and_again_is_judged_once(bedside: Bedside) -> None:
    envelope = bedside.reports(0, readings={SPO2: LOW})
    message = bedside.message(envelope)

    assert bedside.world.deliver(raise_alarm.handler, message, message) == []
    assert bedside.world.deliver(raise_alarm.handler, later(message)) == []

    (alarm,) = bedside.alarms
    assert len(bedside.of(alarm)) == 1
    assert len(due(bedside.world, "AcknowledgementDue")) == 1


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_process_that_dies_at_its_commit_raises_once(bedside: Bedside, when: str) -> None:
    envelope = bedside.appended(a_report(at(0), {SPO2: LOW}), recorded_at=at(0))
    message = bedside.message(envelope)
    faults.die("TransactWriteItems", when)
    with pytest.raises(faults.Death):
        bedside.world.deliver(raise_alarm.handler, message)

    assert bedside.world.deliver(raise_alarm.handler, later(message)) == []

    (alarm,) = bedside.alarms
    assert len(bedside.of(alarm)) == 1


def test_reports_are_judged_in_their_streams_order_however_they_are_delivered(world: World) -> None:
    bedside = with_limits(world, delay=15, hold=30)
    values = [LOW, LOW, LOW, LOW, FINE, FINE, FINE, FINE]
    envelopes = [
        bedside.appended(a_report(at(10 * number), {SPO2: value}), recorded_at=at(10 * number))
        for number, value in enumerate(values)
    ]

    assert world.deliver(raise_alarm.handler, *map(bedside.message, reversed(envelopes))) == []

    assert [about.since for about in bedside.raised()] == [at(0)]
    assert bedside.cleared() == ["well_inside"]


def test_a_report_costs_one_read_and_one_transaction(bedside: Bedside) -> None:
    envelope = bedside.appended(a_report(at(0), {SPO2: FINE, PULSE: 70, BREATH: 15}), recorded_at=at(0))
    calls = faults.calls()

    assert bedside.world.deliver(raise_alarm.handler, bedside.message(envelope)) == []

    # The first two are the way of every ordered function: its cursor, and its stream.
    assert calls == ["GetItem", "Query", "BatchGetItem", "TransactWriteItems"]


def low_at_every_tenth(number: int) -> float:
    """Each tenth reading begins an alarm, and the one behind it ends that."""
    return LOW if number % 10 == 0 else FINE


def test_a_hundred_reports_of_one_second_are_judged_each_once_and_in_order_whichever_nudges_come(world: World) -> None:
    bedside = Bedside(world)
    bedside.has_limits(limits())
    envelopes: list[Envelope] = []
    for number in range(100):
        report = a_report(at(number / 100), {SPO2: low_at_every_tenth(number)})
        last = envelopes[-1] if envelopes else None
        envelopes.append(recorded(report, after=last, now=clock.timestamp(at(number / 100))))
    world.append(*envelopes)

    nudges = [bedside.message(envelope) for envelope in (*envelopes[60:70], *envelopes[99:], *envelopes[:20])]
    assert world.deliver(raise_alarm.handler, *nudges, context=Context(seconds=900, less=0)) == []

    assert sorted(judged(bedside)) == sorted(envelope.metadata.id for envelope in envelopes)
    assert bedside.watch.judged == at(0.99)
    assert [about.since for about in bedside.raised()] == [at(number / 10) for number in range(10)]
    assert bedside.cleared() == ["well_inside"] * 10


def test_a_thousand_reports_of_one_second_begin_and_end_each_alarm_in_its_turn() -> None:
    watch, told = Watch.blank("MON-7"), []
    rows = [LimitsRow.model_validate({"applies_to": "everywhere", "of": {SPO2: {"limits": PATIENT, "revision": 1}}})]
    for number in range(1000):
        report = a_report(at(number / 1000), {SPO2: low_at_every_tenth(number)})
        assert watch.counts(report, at(1))
        judgement = judge(watch, report, rows, sequence=number)
        watch = watch.evolve(judged=report.measured_at, courses=judgement.courses)
        told += [each.about.since for each in judgement.raised] + list(judgement.cleared)

    assert told == [each for number in range(0, 1000, 10) for each in (at(number / 1000), f"MON-7:{SPO2}:{number}")]


def test_the_built_in_limits_are_the_red_scores_of_news2() -> None:
    told = {KINDS[code].name: f"{limit.low} to {limit.high}" for code, limit in BUILT_IN.items()}

    assert told == {
        "respiratory rate": "8 to 25",
        "oxygen saturation by pulse oximetry": "91 to None",
        "systolic blood pressure": "90 to 220",
        "heart rate": "40 to 131",
        "pulse rate by pulse oximetry": "40 to 131",
        "body temperature": "35.0 to 39.1",
    }
    assert {limit.delay for limit in BUILT_IN.values()} == {15}


@pytest.mark.parametrize("digits", ["36.6", "0.1", "-0.000001", "123456.654321", "97"])
def test_a_number_in_a_row_keeps_its_digits_and_is_a_number_there(digits: str) -> None:
    alarm = Alarm(alarm_id="MON-7:8310-5:1", about=trouble(value=Decimal(digits)))

    item = alarm.to_item(1)

    assert item["about"]["M"]["value"] == {"N": digits}
    assert Alarm.from_item(item) == alarm


def test_what_a_report_means_is_worked_out_without_any_of_aws() -> None:
    report: EquipmentStatusReported = a_report(at(0), {SPO2: LOW})

    judgement = judge(Watch.blank("MON-7"), report, [], sequence=7)

    assert (judgement.raised, judgement.cleared) == ([], {})
    assert list(judgement.courses) == ["59408-5:low"]
