"""An alarm is acknowledged, goes a level up, or is over, whichever comes first: its row decides."""

from datetime import timedelta

import pytest

from daybook.contracts import clock
from events.equipment import AcknowledgementDue, EquipmentAlarmAcknowledged, EquipmentAlarmEscalated
from functions.equipment import acknowledge_alarm, escalate_alarm
from functions.equipment.alarm import Alarm
from tests.unit import faults
from tests.unit.bedside import SPO2, Bedside, due, limits
from tests.unit.builders import from_the_bus, recorded
from tests.unit.world import World


@pytest.fixture
def bedside(world: World) -> Bedside:
    """A device with an alarm."""
    bedside = Bedside(world)
    bedside.has_limits(limits(acknowledge_within=60))
    bedside.is_registered()
    bedside.measures(SPO2, (0, 85))
    return bedside


def alarm_of(bedside: Bedside) -> Alarm:
    (alarm,) = bedside.alarms
    return alarm


def is_acknowledged(bedside: Bedside, who: str = "S-1024") -> None:
    event = EquipmentAlarmAcknowledged(alarm_id=alarm_of(bedside).alarm_id, who=who)
    bedside.world.receive(acknowledge_alarm.handler, event)


def waits_too_long(bedside: Bedside, level: int) -> None:
    bedside.world.receive(escalate_alarm.handler, AcknowledgementDue(alarm_id=alarm_of(bedside).alarm_id, level=level))


def escalations(bedside: Bedside) -> list[int]:
    """The levels that the alarm has gone up to."""
    return [event.level for event in bedside.of(alarm_of(bedside)) if isinstance(event, EquipmentAlarmEscalated)]


def armed(bedside: Bedside) -> list[str]:
    """What the timers that wait will say."""
    return sorted(item["data"].partition('"level":')[2] for item in due(bedside.world, "AcknowledgementDue"))


def test_an_alarm_that_nobody_acknowledges_goes_up_to_the_highest_level_and_no_further(bedside: Bedside) -> None:
    for level in (2, 3):
        waits_too_long(bedside, level)

    assert escalations(bedside) == [2, 3]
    assert alarm_of(bedside).level == 3
    assert armed(bedside) == ["2}", "3}"]  # each level armed the next but the last


def test_each_level_has_the_same_time(bedside: Bedside) -> None:
    waits_too_long(bedside, 2)

    first, second = sorted(clock.moment(item["time"]) for item in due(bedside.world, "AcknowledgementDue"))
    assert first <= second <= first + timedelta(seconds=5)


def test_an_escalation_says_all_that_the_alarm_said(bedside: Bedside) -> None:
    waits_too_long(bedside, 2)

    about = alarm_of(bedside).about
    assert about
    assert bedside.of(alarm_of(bedside))[-1] == EquipmentAlarmEscalated(
        alarm_id=alarm_of(bedside).alarm_id, about=about, level=2
    )


# Guards: the stage in the alarm's row.
def test_an_alarm_that_is_acknowledged_in_time_goes_no_level_up(bedside: Bedside) -> None:
    is_acknowledged(bedside)
    waits_too_long(bedside, 2)

    assert escalations(bedside) == []
    assert (alarm_of(bedside).stage, alarm_of(bedside).level) == ("acknowledged", 1)


def test_an_alarm_that_is_acknowledged_after_it_went_up_goes_no_further(bedside: Bedside) -> None:
    waits_too_long(bedside, 2)
    is_acknowledged(bedside)
    waits_too_long(bedside, 3)

    assert escalations(bedside) == [2]


def test_an_alarm_that_is_over_before_it_is_due_goes_no_level_up(bedside: Bedside) -> None:
    bedside.measures(SPO2, (10, 97))
    waits_too_long(bedside, 2)

    assert escalations(bedside) == []
    assert bedside.cleared() == ["well_inside"]


def test_an_alarm_that_is_acknowledged_is_over_all_the_same_when_what_it_was_about_is(bedside: Bedside) -> None:
    is_acknowledged(bedside)
    bedside.measures(SPO2, (10, 97))

    alarm = alarm_of(bedside)
    assert (alarm.stage, bedside.cleared()) == ("cleared", ["well_inside"])
    assert alarm.acknowledged_at
    assert alarm.cleared_at


def test_an_alarm_that_is_over_is_not_acknowledged_any_more(bedside: Bedside) -> None:
    bedside.measures(SPO2, (10, 97))
    is_acknowledged(bedside)

    assert alarm_of(bedside).stage == "cleared"


def test_an_alarm_that_is_acknowledged_by_two_was_acknowledged_when_the_first_did(bedside: Bedside) -> None:
    is_acknowledged(bedside)
    first = alarm_of(bedside).acknowledged_at
    is_acknowledged(bedside, "S-2048")

    assert alarm_of(bedside).acknowledged_at == first


def test_who_acknowledges_stands_in_no_row(bedside: Bedside) -> None:
    is_acknowledged(bedside, who="S-4711")

    assert "S-4711" not in str(bedside.world.items("alarms"))


# Guards: the version of the alarm's row.
def test_an_acknowledgement_at_the_last_moment_keeps_the_alarm_from_going_up(bedside: Bedside) -> None:
    faults.meanwhile("TransactWriteItems", lambda: is_acknowledged(bedside))

    waits_too_long(bedside, 2)

    assert escalations(bedside) == []
    assert alarm_of(bedside).stage == "acknowledged"


def test_an_alarm_that_is_acknowledged_as_it_is_over_ends_as_both(bedside: Bedside) -> None:
    faults.meanwhile("TransactWriteItems", lambda: is_acknowledged(bedside))

    bedside.measures(SPO2, (10, 97))

    alarm = alarm_of(bedside)
    assert alarm.stage == "cleared"
    assert alarm.acknowledged_at


def test_a_level_that_is_due_twice_is_reached_once(bedside: Bedside) -> None:
    envelope = recorded(AcknowledgementDue(alarm_id=alarm_of(bedside).alarm_id, level=2))
    for _ in range(2):
        assert bedside.world.deliver(escalate_alarm.handler, from_the_bus(envelope)) == []
    waits_too_long(bedside, 2)

    assert escalations(bedside) == [2]
