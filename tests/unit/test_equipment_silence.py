"""A device that is not heard of any more is noticed, by one timer a device, however much it reports."""

from datetime import UTC, datetime, timedelta

import pytest

from daybook.contracts import clock
from events.equipment import EquipmentAlarmRaised, EquipmentFellSilent
from functions.equipment import check_silence, register_device, retire_device
from functions.equipment.watch import MISSED, TOO_OLD, Watch
from tests.unit import faults
from tests.unit.bedside import MONITOR, NOON, SPO2, Bedside, a_registration, a_retirement, at, due, limits, trouble
from tests.unit.builders import from_the_bus, recorded
from tests.unit.test_timers import sweeps
from tests.unit.world import Handler, World

EVERY = 10  # seconds between two reports


def now() -> float:
    """This moment, as the test's times are told: seconds after its noon, which is long ago."""
    return (datetime.now(UTC) - NOON).total_seconds()


def timers_fire(bedside: Bedside) -> None:
    """Sweep, and deliver all that timers of the device have ever said: what was done stays done."""
    sweeps()
    for envelope in bedside.world.stream(bedside.stream):
        if envelope.metadata.type == "SilenceCheckDue":
            assert bedside.world.deliver(check_silence.handler, bedside.message(envelope)) == []


@pytest.fixture
def bedside(world: World) -> Bedside:
    """A device that was registered long ago, and reported last at noon."""
    bedside = Bedside(world)
    bedside.has_limits(limits())
    bedside.is_registered(seconds=-60, reports_every=EVERY)
    bedside.measures(SPO2, (0, 97))
    return bedside


def test_a_device_that_is_silent_for_three_reports_raises_an_alarm(bedside: Bedside) -> None:
    timers_fire(bedside)

    device = {name: MONITOR[name] for name in ("type", "ward")}
    silent = [event for event in bedside.world.events(bedside.stream) if isinstance(event, EquipmentFellSilent)]
    assert silent == [EquipmentFellSilent(device_id="MON-7", **device, since=NOON)]
    (alarm,) = bedside.alarms
    nothing = dict.fromkeys(("code", "value", "unit", "side", "limit"))
    about = trouble(kind="silence", name="silence", since=NOON, **nothing)
    assert bedside.of(alarm) == [EquipmentAlarmRaised(alarm_id=alarm.alarm_id, about=about)]
    assert len(due(bedside.world, "AcknowledgementDue")) == 1


def test_a_device_that_was_registered_and_never_reports_is_silent(world: World) -> None:
    bedside = Bedside(world)
    bedside.is_registered()

    timers_fire(bedside)

    assert [about.kind for about in bedside.raised()] == ["silence"]
    assert bedside.raised()[0].since == NOON


def test_a_silence_is_told_once_however_long_it_lasts(bedside: Bedside) -> None:
    for _ in range(3):
        timers_fire(bedside)
        pull_forward(bedside.world)

    assert bedside.types().count("EquipmentFellSilent") == 1
    assert len(bedside.alarms) == 1


def test_a_device_that_is_heard_again_ends_its_silence_and_the_next_one_is_noticed_too(bedside: Bedside) -> None:
    timers_fire(bedside)
    bedside.reports(100)
    assert bedside.cleared() == ["heard_again"]

    pull_forward(bedside.world)
    timers_fire(bedside)

    assert [about.since for about in bedside.raised()] == [NOON, at(100)]
    assert len({alarm.alarm_id for alarm in bedside.alarms}) == 2


def test_a_device_that_reports_is_not_silent_and_is_looked_at_again_when_it_could_be(bedside: Bedside) -> None:
    heard = now()
    bedside.reports(heard)

    timers_fire(bedside)

    assert bedside.raised() == []
    (timer,) = due(bedside.world)
    assert clock.moment(timer["time"]) == at(heard) + MISSED * timedelta(seconds=EVERY)


# Guards: what does not count is no sign of life.
def test_a_device_whose_clock_has_jumped_back_is_soon_silent(bedside: Bedside) -> None:
    moment = now()
    for seconds in (-25, -15, -5):
        bedside.reports(seconds, arrives=moment + seconds)
    assert bedside.watch.alive == NOON

    timers_fire(bedside)

    assert [about.kind for about in bedside.raised()] == ["silence"]


def test_a_clock_that_has_jumped_back_by_two_minutes_gives_no_sign_of_life_until_it_is_where_it_was(
    bedside: Bedside,
) -> None:
    moment = now()
    bedside.reports(moment - 70)
    for seconds in (60, 40, 20, 0):
        bedside.reports(moment - seconds - 120, arrives=moment - seconds)

    timers_fire(bedside)
    assert [about.kind for about in bedside.raised()] == ["silence"]

    bedside.reports(moment - 69, arrives=moment + 1)
    assert bedside.cleared() == ["heard_again"]


def test_a_clock_that_is_behind_by_more_than_five_minutes_gives_no_sign_of_life(bedside: Bedside) -> None:
    late = TOO_OLD.total_seconds() + 1
    bedside.reports(now() - late, arrives=now())

    timers_fire(bedside)

    assert [about.kind for about in bedside.raised()] == ["silence"]


# Guards: only the timer arms the next one.
def test_a_device_has_one_timer_however_many_reports_it_sends(bedside: Bedside) -> None:
    for number in range(1, 51):
        bedside.reports(number)
    assert len(due(bedside.world)) == 1

    for _ in range(3):
        timers_fire(bedside)
        assert len(due(bedside.world)) == 1
        pull_forward(bedside.world)


def test_a_second_registration_with_the_same_interval_arms_nothing(bedside: Bedside) -> None:
    bedside.is_registered(revision=2, reports_every=EVERY, ward="ICU-3")

    assert len(due(bedside.world)) == 1
    assert (bedside.watch.ward, bedside.watch.round) == ("ICU-3", 1)


# Guards: the round in the timer's event.
def test_a_changed_interval_begins_a_chain_of_timers_and_ends_the_one_before(bedside: Bedside) -> None:
    bedside.is_registered(revision=2, reports_every=86_400, seconds=now())
    assert len(due(bedside.world)) == 2

    timers_fire(bedside)

    (timer,) = due(bedside.world)
    assert '"round":2' in timer["data"]
    assert bedside.raised() == []


def test_the_later_revision_of_a_device_wins_whichever_comes_first(world: World) -> None:
    events = [a_registration(1), a_registration(3, reports_every=30), a_retirement(2)]
    handlers: list[Handler] = [register_device.handler, register_device.handler, retire_device.handler]
    for order in ([0, 1, 2], [2, 1, 0], [1, 0, 2], [2, 0, 1]):
        for number in order:
            assert world.deliver(handlers[number], from_the_bus(recorded(events[number]))) == []
        watch = world.row(Watch, "MON-7")
        assert watch
        assert (watch.stage, watch.revision, watch.reports_every) == ("registered", 3, 30)
        world.clear("watch", "ledger")


def test_a_retired_device_may_be_silent_and_its_chain_of_timers_ends(bedside: Bedside) -> None:
    bedside.is_retired()

    timers_fire(bedside)

    assert bedside.raised() == []
    assert due(bedside.world) == []


def test_a_device_that_is_in_use_again_has_one_chain_of_timers(bedside: Bedside) -> None:
    bedside.is_retired()
    bedside.is_registered(revision=3, reports_every=EVERY, seconds=now())

    timers_fire(bedside)

    assert len(due(bedside.world)) == 1
    assert bedside.raised() == []


def test_a_report_that_comes_while_silence_is_looked_for_is_heard(bedside: Bedside) -> None:
    heard = now()
    faults.meanwhile("TransactWriteItems", lambda: None, lambda: bedside.reports(heard))

    timers_fire(bedside)

    assert bedside.watch.alive == at(heard)
    assert (bedside.raised(), bedside.watch.courses) == ([], {})


def test_a_check_that_is_delivered_twice_arms_one_timer(bedside: Bedside) -> None:
    timers_fire(bedside)
    timers_fire(bedside)

    assert len(due(bedside.world)) == 1
    assert bedside.types().count("EquipmentFellSilent") == 1


def pull_forward(world: World) -> None:
    """Time passes: each timer that waits is due now."""
    for item in due(world):
        key = {"slot": {"S": item["slot"]}, "due": {"S": item["due"]}}
        (raw,) = (
            each for each in world.client.scan(TableName="daybook-test-due")["Items"] if each["due"] == key["due"]
        )
        world.client.delete_item(TableName="daybook-test-due", Key=key)
        moment = clock.now()
        earlier = {"slot": {"S": f"{moment[:16]}#{item['slot'][-1]}"}, "due": {"S": f"{moment}#{item['id']}"}}
        world.client.put_item(TableName="daybook-test-due", Item={**raw, **earlier, "time": {"S": moment}})
