"""The checker sees it when a case, a suspicion or an alarm is told of twice, or rests on nothing."""

from collections.abc import Callable
from typing import Any

import pytest

from chaos.checker.breach import Invariant
from chaos.checker.cases import ALARMS, BANK
from chaos.checker.letters import LETTERS, PAGES
from chaos.checker.money import MONEY
from chaos.checker.stock import STOCK
from chaos.checker.views import DEVICES, ORDER_STATUS, TALLIES
from tests.unit.chaos.worlds import CASE, Making, a_bank, a_shop, a_ward, assert_found_out, basis, breaches

ALARM = "MON-7:59408-5:3"


@pytest.mark.parametrize("making", [a_shop, a_ward, a_bank])
def test_a_world_in_which_all_holds_breaks_none_of_these_promises(making: Callable[[], Making]) -> None:
    for promise in (STOCK, MONEY, LETTERS, PAGES, ORDER_STATUS, DEVICES, TALLIES, BANK, ALARMS):
        assert breaches(making(), promise) == []


def rests_on(bank: Making, *transactions: str, **told: Any) -> None:
    """The case rests on these, by its last event and by its row."""
    said = basis(*transactions, **told)
    bank.instead(bank.the("ComplianceCaseChanged"), basis=said)
    bank.tables["cases"][CASE]["basis"] = said


def test_a_case_that_names_the_first_of_many_transactions_may_come_to_more() -> None:
    bank = a_bank()
    rests_on(bank, "A-1", cents=99_000, count=51)

    assert breaches(bank, BANK) == []


def test_a_reversal_that_is_not_screened_yet_leaves_the_case() -> None:
    bank = a_bank()
    bank.account(bank.the("TransactionReversed"), "screen-reversal", "dead")
    rests_on(bank, "A-1", "A-3", cents=1005)

    assert breaches(bank, BANK) == []


def test_that_somebody_dealt_with_one_who_is_listed_stays_so_when_it_is_taken_back() -> None:
    bank = a_bank()
    rests_on(bank, "A-1", "A-3", cents=1005)
    bank.instead(bank.the("ComplianceCaseOpened"), rule="sanctioned_name")

    assert breaches(bank, BANK) == []


def test_an_alarm_that_somebody_sees_to_is_acknowledged() -> None:
    ward = a_ward()
    ward.forget(ward.the("EquipmentAlarmCleared"))
    ward.event("EquipmentAlarmAcknowledged", f"alarm/{ALARM}", "acknowledge-alarm", alarm_id=ALARM, who="S-1")
    ward.tables["alarms"][ALARM]["stage"] = "acknowledged"

    assert breaches(ward, ALARMS) == []


def again(event_type: str) -> Callable[[Making], None]:
    """The event is there twice."""

    def breaking(making: Making) -> None:
        event = making.the(event_type)
        making.event(event_type, event.stream, **event.data)

    return breaking


def without(event_type: str) -> Callable[[Making], None]:
    """The event is gone."""
    return lambda making: making.forget(making.the(event_type))


def suspect_another_amount(bank: Making) -> None:
    bank.instead(bank.the("FraudSuspected"), amount=701)


def suspect_for_nothing(bank: Making) -> None:
    bank.instead(bank.the("FraudSuspected"), reasons=[])


def suspect_too_soon(bank: Making) -> None:
    bank.instead(bank.the("FraudSuspected"), threshold=71)


def suspect_what_was_never_posted(bank: Making) -> None:
    bank.forget(bank.the("TransactionPosted", authorisation_id="A-2"))


def let_the_row_lag(bank: Making) -> None:
    bank.tables["cases"][CASE]["basis"] = basis("A-1", "A-3", cents=1005)


def forget_the_reversal(bank: Making) -> None:
    rests_on(bank, "A-1", "A-3", cents=1005)


def rest_on_a_stranger(bank: Making) -> None:
    rests_on(bank, "A-1", "A-9", cents=1000)


def rest_on_one_twice(bank: Making) -> None:
    rests_on(bank, "A-1", "A-1", cents=2000)


def come_to_a_cent_more(bank: Making) -> None:
    rests_on(bank, "A-1", cents=1001)


def count_too_few(bank: Making) -> None:
    rests_on(bank, "A-1", cents=1000, count=0)


def skip_a_level(ward: Making) -> None:
    ward.instead(ward.the("EquipmentAlarmEscalated"), level=3)


def go_up_too_far(ward: Making) -> None:
    for level in (3, 4):
        ward.event("EquipmentAlarmEscalated", f"alarm/{ALARM}", alarm_id=ALARM, level=level)


def leave_the_alarm_on(ward: Making) -> None:
    ward.tables["alarms"][ALARM]["stage"] = "raised"


def lose_the_alarms_row(ward: Making) -> None:
    del ward.tables["alarms"][ALARM]


@pytest.mark.parametrize(
    ("making", "breaking", "invariant", "says"),
    [
        (a_bank, again("TransactionReversed"), BANK, "of transaction A-3 there is more than one TransactionReversed"),
        (a_bank, again("FraudSuspected"), BANK, "of transaction A-2 there is more than one FraudSuspected"),
        (a_bank, suspect_another_amount, BANK, "suspicion event-005 is about a transaction that was not posted, or no"),
        (a_bank, suspect_what_was_never_posted, BANK, "suspicion event-005 is about a transaction that was not posted"),
        (a_bank, suspect_for_nothing, BANK, "suspicion event-005 has another score than its reasons, or less than is"),
        (a_bank, suspect_too_soon, BANK, "suspicion event-005 has another score than its reasons, or less than is"),
        (a_bank, again("ComplianceCaseOpened"), BANK, f"case {CASE} was opened 2 times"),
        (a_bank, without("ComplianceCaseOpened"), BANK, f"case {CASE} was opened 0 times"),
        (a_bank, let_the_row_lag, BANK, f"the row of case {CASE} rests on something else"),
        (a_bank, forget_the_reversal, BANK, f"case {CASE} rests on transaction A-3, which was taken back"),
        (a_bank, rest_on_a_stranger, BANK, f"case {CASE} rests on transaction A-9, which is none of its customer's"),
        (a_bank, rest_on_one_twice, BANK, f"case {CASE} rests on transaction A-1 more than once"),
        (a_bank, come_to_a_cent_more, BANK, f"case {CASE} comes to something else than the transactions"),
        (a_bank, count_too_few, BANK, f"case {CASE} names more transactions than it counts"),
        (a_ward, again("EquipmentAlarmRaised"), ALARMS, f"alarm {ALARM} was opened 2 times"),
        (a_ward, without("EquipmentAlarmRaised"), ALARMS, f"alarm {ALARM} was opened 0 times"),
        (a_ward, again("EquipmentAlarmEscalated"), ALARMS, f"alarm {ALARM} went up to the levels [2, 2]"),
        (a_ward, skip_a_level, ALARMS, f"alarm {ALARM} went up to the levels [3]"),
        (a_ward, go_up_too_far, ALARMS, f"alarm {ALARM} went up to the levels [2, 3, 4]"),
        (a_ward, again("EquipmentAlarmCleared"), ALARMS, f"alarm {ALARM} was cleared 2 times"),
        (a_ward, without("EquipmentAlarmCleared"), ALARMS, f"the row of alarm {ALARM} says cleared at level 2"),
        (a_ward, leave_the_alarm_on, ALARMS, f"the row of alarm {ALARM} says raised at level 2"),
        (a_ward, lose_the_alarms_row, ALARMS, f"the row of alarm {ALARM} says None at level None"),
    ],
)
def test_a_world_that_breaks_the_promise_is_found_out(
    making: Callable[[], Making], breaking: Callable[[Making], None], invariant: Invariant, says: str
) -> None:
    assert_found_out(making(), breaking, invariant, says)
