"""Alarms are acknowledged, escalated and cleared. The alarm's row decides which of these comes first."""

from datetime import timedelta

import pytest

from daybook.contracts import clock
from events.equipment import AcknowledgementDue, EquipmentAlarmAcknowledged, EquipmentAlarmEscalated
from functions.equipment import acknowledge_alarm, escalate_alarm
from functions.equipment.alarm import Alarm
from tests.unit import faults
from tests.unit.builders import from_the_bus, recorded
from tests.unit.hospital.bedside import SPO2, Bedside, due, limits
from tests.unit.world import World


@pytest.fixture
def bedside(world: World) -> Bedside:
    """A device with a raised alarm."""
    bedside = Bedside(world)
    bedside.has_limits(limits(acknowledge_within=60))
    bedside.is_registered()
    bedside.measures(SPO2, (0, 85))
    return bedside


def alarm_of(bedside: Bedside) -> Alarm:
    (alarm,) = bedside.alarms
    return alarm


def is_acknowledged(bedside: Bedside, staff_id: str = "S-1024") -> None:
    event = EquipmentAlarmAcknowledged(alarm_id=alarm_of(bedside).alarm_id, staff_id=staff_id)
    bedside.world.receive(acknowledge_alarm.handler, event)


def acknowledgement_is_due(bedside: Bedside, level: int) -> None:
    bedside.world.receive(escalate_alarm.handler, AcknowledgementDue(alarm_id=alarm_of(bedside).alarm_id, level=level))


def escalations(bedside: Bedside) -> list[int]:
    """The levels to which the alarm was escalated."""
    return [event.level for event in bedside.of(alarm_of(bedside)) if isinstance(event, EquipmentAlarmEscalated)]


def timers(bedside: Bedside) -> list[str]:
    """The ends of the data of the timers that have not fired."""
    return sorted(item["data"].partition('"level":')[2] for item in due(bedside.world, "AcknowledgementDue"))


def test_an_alarm_that_nobody_acknowledges_is_escalated_to_the_highest_level(bedside: Bedside) -> None:
    for level in (2, 3):
        acknowledgement_is_due(bedside, level)

    assert escalations(bedside) == [2, 3]
    assert alarm_of(bedside).level == 3
    assert timers(bedside) == ["2}", "3}"]  # each level but the last sets the next timer


def test_each_level_allows_the_same_time(bedside: Bedside) -> None:
    acknowledgement_is_due(bedside, 2)

    first, second = sorted(clock.moment(item["time"]) for item in due(bedside.world, "AcknowledgementDue"))
    assert first <= second <= first + timedelta(seconds=5)


def test_an_escalation_names_the_problem_of_the_alarm(bedside: Bedside) -> None:
    acknowledgement_is_due(bedside, 2)

    expected = alarm_of(bedside).problem
    assert expected
    assert bedside.of(alarm_of(bedside))[-1] == EquipmentAlarmEscalated(
        alarm_id=alarm_of(bedside).alarm_id, problem=expected, level=2
    )


# Guards: the stage in the alarm's row.
def test_an_alarm_acknowledged_in_time_is_not_escalated(bedside: Bedside) -> None:
    is_acknowledged(bedside)
    acknowledgement_is_due(bedside, 2)

    assert escalations(bedside) == []
    assert (alarm_of(bedside).stage, alarm_of(bedside).level) == ("acknowledged", 1)


def test_an_alarm_acknowledged_after_an_escalation_is_not_escalated_again(bedside: Bedside) -> None:
    acknowledgement_is_due(bedside, 2)
    is_acknowledged(bedside)
    acknowledgement_is_due(bedside, 3)

    assert escalations(bedside) == [2]


def test_a_cleared_alarm_is_not_escalated(bedside: Bedside) -> None:
    bedside.measures(SPO2, (10, 97))
    acknowledgement_is_due(bedside, 2)

    assert escalations(bedside) == []
    assert bedside.cleared() == ["back_in_range"]


def test_an_acknowledged_alarm_is_cleared_when_its_problem_ends(bedside: Bedside) -> None:
    is_acknowledged(bedside)
    bedside.measures(SPO2, (10, 97))

    alarm = alarm_of(bedside)
    assert (alarm.stage, bedside.cleared()) == ("cleared", ["back_in_range"])
    assert alarm.acknowledged_at
    assert alarm.cleared_at


def test_a_cleared_alarm_stays_cleared_when_it_is_acknowledged(bedside: Bedside) -> None:
    bedside.measures(SPO2, (10, 97))
    is_acknowledged(bedside)

    assert alarm_of(bedside).stage == "cleared"


def test_a_second_acknowledgement_keeps_the_time_of_the_first(bedside: Bedside) -> None:
    is_acknowledged(bedside)
    first = alarm_of(bedside).acknowledged_at
    is_acknowledged(bedside, "S-2048")

    assert alarm_of(bedside).acknowledged_at == first


def test_no_row_contains_who_acknowledged_the_alarm(bedside: Bedside) -> None:
    is_acknowledged(bedside, staff_id="S-4711")

    assert "S-4711" not in str(bedside.world.items("alarms"))


# Guards: the version of the alarm's row.
def test_an_acknowledgement_during_the_escalation_prevents_it(bedside: Bedside) -> None:
    faults.meanwhile("TransactWriteItems", lambda: is_acknowledged(bedside))

    acknowledgement_is_due(bedside, 2)

    assert escalations(bedside) == []
    assert alarm_of(bedside).stage == "acknowledged"


def test_an_alarm_acknowledged_while_it_is_cleared_has_both_times(bedside: Bedside) -> None:
    faults.meanwhile("TransactWriteItems", lambda: is_acknowledged(bedside))

    bedside.measures(SPO2, (10, 97))

    alarm = alarm_of(bedside)
    assert alarm.stage == "cleared"
    assert alarm.acknowledged_at


def test_an_alarm_is_escalated_to_a_level_once_when_its_timer_is_delivered_twice(bedside: Bedside) -> None:
    envelope = recorded(AcknowledgementDue(alarm_id=alarm_of(bedside).alarm_id, level=2))
    for _ in range(2):
        assert bedside.world.deliver(escalate_alarm.handler, from_the_bus(envelope)) == []
    acknowledgement_is_due(bedside, 2)

    assert escalations(bedside) == [2]
