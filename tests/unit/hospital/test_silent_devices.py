"""A device that sends no reports raises an alarm. Each device has one timer, for any number of reports."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from daybook.contracts import clock
from daybook.runtime.keyring import keyring
from daybook.store.timers import from_item, to_item
from daybook.testing.world import NAMES
from events.equipment import EquipmentAlarmRaised, EquipmentFellSilent
from functions.equipment import check_silence, register_device, retire_device
from functions.equipment.watch import MISSED_REPORTS, TOO_OLD, Watch
from tests.unit import faults
from tests.unit.builders import from_the_bus, recorded
from tests.unit.hospital.bedside import (
    MONITOR,
    NOON,
    SPO2,
    Bedside,
    a_registration,
    a_retirement,
    at,
    due,
    limits,
    problem,
)
from tests.unit.test_timers import fire_due_timers
from tests.unit.world import Handler, World

EVERY = 10  # seconds between two reports


def now() -> float:
    """The current time in seconds after NOON, which is long ago."""
    return (datetime.now(UTC) - NOON).total_seconds()


def timers_fire(bedside: Bedside) -> None:
    """Fire the timers, and deliver all SilenceCheckDue of the device. Those delivered before are duplicates."""
    fire_due_timers()
    for envelope in bedside.world.stream(bedside.stream):
        if envelope.metadata.type == "SilenceCheckDue":
            assert bedside.world.deliver(check_silence.handler, bedside.message(envelope)) == []


@pytest.fixture
def bedside(world: World) -> Bedside:
    """A device that was registered long ago and sent its last report at NOON."""
    bedside = Bedside(world)
    bedside.has_limits(limits())
    bedside.is_registered(seconds=-60, reports_every=EVERY)
    bedside.measures(SPO2, (0, 97))
    return bedside


def test_a_device_that_misses_three_reports_raises_an_alarm(bedside: Bedside) -> None:
    timers_fire(bedside)

    device = {name: MONITOR[name] for name in ("type", "ward")}
    silent = [event for event in bedside.world.events(bedside.stream) if isinstance(event, EquipmentFellSilent)]
    assert silent == [EquipmentFellSilent(device_id="MON-7", **device, since=NOON)]
    (alarm,) = bedside.alarms
    nothing = dict.fromkeys(("code", "value", "unit", "side", "limit"))
    expected = problem(kind="silence", name="silence", since=NOON, **nothing)
    assert bedside.of(alarm) == [EquipmentAlarmRaised(alarm_id=alarm.alarm_id, problem=expected)]
    assert len(due(bedside.world, "AcknowledgementDue")) == 1


def test_a_registered_device_that_never_reports_is_silent(world: World) -> None:
    bedside = Bedside(world)
    bedside.is_registered()

    timers_fire(bedside)

    assert [problem.kind for problem in bedside.raised()] == ["silence"]
    assert bedside.raised()[0].since == NOON


def test_a_silence_raises_one_alarm_for_any_length_of_time(bedside: Bedside) -> None:
    for _ in range(3):
        timers_fire(bedside)
        pull_forward(bedside.world)

    assert bedside.types().count("EquipmentFellSilent") == 1
    assert len(bedside.alarms) == 1


def test_a_report_ends_a_silence_and_the_next_silence_raises_another_alarm(bedside: Bedside) -> None:
    timers_fire(bedside)
    bedside.reports(100)
    assert bedside.cleared() == ["reports_again"]

    pull_forward(bedside.world)
    timers_fire(bedside)

    assert [problem.since for problem in bedside.raised()] == [NOON, at(100)]
    assert len({alarm.alarm_id for alarm in bedside.alarms}) == 2


def test_a_device_that_reports_is_checked_again_when_it_could_be_silent(bedside: Bedside) -> None:
    reported = now()
    bedside.reports(reported)

    timers_fire(bedside)

    assert bedside.raised() == []
    (timer,) = due(bedside.world)
    assert clock.moment(timer["time"]) == at(reported) + MISSED_REPORTS * timedelta(seconds=EVERY)


# Guards: a report that does not count does not end a silence.
def test_a_device_whose_clock_has_jumped_back_is_soon_silent(bedside: Bedside) -> None:
    moment = now()
    for seconds in (-25, -15, -5):
        bedside.reports(seconds, arrives=moment + seconds)
    assert bedside.watch.last_seen_at == NOON

    timers_fire(bedside)

    assert [problem.kind for problem in bedside.raised()] == ["silence"]


def test_reports_of_a_clock_that_has_jumped_back_count_when_it_is_past_the_last_time_again(
    bedside: Bedside,
) -> None:
    moment = now()
    bedside.reports(moment - 70)
    for seconds in (60, 40, 20, 0):
        bedside.reports(moment - seconds - 120, arrives=moment - seconds)

    timers_fire(bedside)
    assert [problem.kind for problem in bedside.raised()] == ["silence"]

    bedside.reports(moment - 69, arrives=moment + 1)
    assert bedside.cleared() == ["reports_again"]


def test_a_device_whose_clock_is_more_than_five_minutes_behind_is_silent(bedside: Bedside) -> None:
    late = TOO_OLD.total_seconds() + 1
    bedside.reports(now() - late, arrives=now())

    timers_fire(bedside)

    assert [problem.kind for problem in bedside.raised()] == ["silence"]


# Guards: only a timer sets the next timer.
def test_a_device_has_one_timer_for_any_number_of_reports(bedside: Bedside) -> None:
    for number in range(1, 51):
        bedside.reports(number)
    assert len(due(bedside.world)) == 1

    for _ in range(3):
        timers_fire(bedside)
        assert len(due(bedside.world)) == 1
        pull_forward(bedside.world)


def test_a_second_registration_with_the_same_interval_sets_no_timer(bedside: Bedside) -> None:
    bedside.is_registered(revision=2, reports_every=EVERY, ward="ICU-3")

    assert len(due(bedside.world)) == 1
    assert (bedside.watch.ward, bedside.watch.timer_chain) == ("ICU-3", 1)


# Guards: the timer_chain of SilenceCheckDue.
def test_a_changed_interval_starts_a_new_chain_of_timers_and_ends_the_old_one(bedside: Bedside) -> None:
    bedside.is_registered(revision=2, reports_every=86_400, seconds=now())
    assert len(due(bedside.world)) == 2

    timers_fire(bedside)

    (timer,) = due(bedside.world)
    assert '"timer_chain":2' in timer["data"]
    assert bedside.raised() == []


def test_the_highest_revision_of_a_device_counts_in_any_order_of_arrival(world: World) -> None:
    events = [a_registration(1), a_registration(3, reports_every=30), a_retirement(2)]
    handlers: list[Handler] = [register_device.handler, register_device.handler, retire_device.handler]
    for order in ([0, 1, 2], [2, 1, 0], [1, 0, 2], [2, 0, 1]):
        for number in order:
            assert world.deliver(handlers[number], from_the_bus(recorded(events[number]))) == []
        watch = world.row(Watch, "MON-7")
        assert watch
        assert (watch.stage, watch.revision, watch.reports_every) == ("registered", 3, 30)
        world.clear("watch", "ledger")


def test_a_retired_device_raises_no_alarm_and_its_chain_of_timers_ends(bedside: Bedside) -> None:
    bedside.is_retired()

    timers_fire(bedside)

    assert bedside.raised() == []
    assert due(bedside.world) == []


def test_a_device_that_is_registered_again_has_one_chain_of_timers(bedside: Bedside) -> None:
    bedside.is_retired()
    bedside.is_registered(revision=3, reports_every=EVERY, seconds=now())

    timers_fire(bedside)

    assert len(due(bedside.world)) == 1
    assert bedside.raised() == []


def test_a_report_during_the_check_for_silence_counts(bedside: Bedside) -> None:
    reported = now()
    faults.meanwhile("TransactWriteItems", lambda: None, lambda: bedside.reports(reported))

    timers_fire(bedside)

    assert bedside.watch.last_seen_at == at(reported)
    assert (bedside.raised(), bedside.watch.conditions) == ([], {})


def test_a_check_that_is_delivered_twice_sets_one_timer(bedside: Bedside) -> None:
    timers_fire(bedside)
    timers_fire(bedside)

    assert len(due(bedside.world)) == 1
    assert bedside.types().count("EquipmentFellSilent") == 1


def pull_forward(world: World) -> None:
    """Make each timer due now."""
    for raw in world.client.scan(TableName=NAMES.due)["Items"]:
        if raw.get("type") == {"S": "SilenceCheckDue"}:
            world.client.delete_item(TableName=NAMES.due, Key={"slot": raw["slot"], "due": raw["due"]})
            timer = from_item(raw)
            earlier = keyring().prove_timer(replace(timer, draft=replace(timer.draft, time=clock.now())))
            world.client.put_item(TableName=NAMES.due, Item=to_item(earlier))
