"""The checker finds cases, suspicions and alarms that are duplicated or have a wrong basis."""

from collections.abc import Callable
from typing import Any

import pytest

from chaos.checker.cases import ALARMS, BANK
from chaos.checker.messages import EMAILS, PAGES
from chaos.checker.money import MONEY
from chaos.checker.stock import STOCK
from chaos.checker.views import DEVICES, ORDER_STATUS, TALLIES
from chaos.checker.violation import Invariant
from tests.unit.chaos.snapshots import (
    CASE,
    SnapshotBuilder,
    a_bank,
    a_shop,
    a_ward,
    assert_violation_found,
    basis,
    violations,
)

ALARM = "MON-7:59408-5:3"


@pytest.mark.parametrize("builder", [a_shop, a_ward, a_bank])
def test_a_valid_snapshot_violates_no_invariant(builder: Callable[[], SnapshotBuilder]) -> None:
    for invariant in (STOCK, MONEY, EMAILS, PAGES, ORDER_STATUS, DEVICES, TALLIES, BANK, ALARMS):
        assert violations(builder(), invariant) == []


def set_basis(bank: SnapshotBuilder, *transactions: str, **details: Any) -> None:
    """Set the basis of the case in its last event and in its row."""
    new = basis(*transactions, **details)
    bank.change(bank.the("ComplianceCaseChanged"), basis=new)
    bank.tables["cases"][CASE]["basis"] = new


def test_a_case_that_lists_only_the_first_transactions_may_have_a_higher_sum() -> None:
    bank = a_bank()
    set_basis(bank, "A-1", cents=99_000, count=51)

    assert violations(bank, BANK) == []


def test_a_reversal_that_is_not_screened_yet_does_not_change_the_case() -> None:
    bank = a_bank()
    bank.status(bank.the("TransactionReversed"), "screen-reversal", "dead")
    set_basis(bank, "A-1", "A-3", cents=1005)

    assert violations(bank, BANK) == []


def test_a_case_about_a_listed_person_keeps_a_reversed_transaction() -> None:
    bank = a_bank()
    set_basis(bank, "A-1", "A-3", cents=1005)
    bank.change(bank.the("ComplianceCaseOpened"), rule="sanctioned_name")

    assert violations(bank, BANK) == []


def test_an_acknowledged_alarm_is_valid() -> None:
    ward = a_ward()
    ward.remove(ward.the("EquipmentAlarmCleared"))
    ward.event("EquipmentAlarmAcknowledged", f"alarm/{ALARM}", "acknowledge-alarm", alarm_id=ALARM, who="S-1")
    ward.tables["alarms"][ALARM]["stage"] = "acknowledged"

    assert violations(ward, ALARMS) == []


def again(event_type: str) -> Callable[[SnapshotBuilder], None]:
    """Duplicate the event."""

    def break_it(builder: SnapshotBuilder) -> None:
        event = builder.the(event_type)
        builder.event(event_type, event.stream, **event.data)

    return break_it


def without(event_type: str) -> Callable[[SnapshotBuilder], None]:
    """Remove the event."""
    return lambda builder: builder.remove(builder.the(event_type))


def suspect_another_amount(bank: SnapshotBuilder) -> None:
    bank.change(bank.the("FraudSuspected"), amount=701)


def suspect_without_reasons(bank: SnapshotBuilder) -> None:
    bank.change(bank.the("FraudSuspected"), reasons=[])


def suspect_below_the_threshold(bank: SnapshotBuilder) -> None:
    bank.change(bank.the("FraudSuspected"), threshold=71)


def suspect_what_was_never_posted(bank: SnapshotBuilder) -> None:
    bank.remove(bank.the("TransactionPosted", authorisation_id="A-2"))


def leave_an_old_row(bank: SnapshotBuilder) -> None:
    bank.tables["cases"][CASE]["basis"] = basis("A-1", "A-3", cents=1005)


def forget_the_reversal(bank: SnapshotBuilder) -> None:
    set_basis(bank, "A-1", "A-3", cents=1005)


def contain_another_customers_transaction(bank: SnapshotBuilder) -> None:
    set_basis(bank, "A-1", "A-9", cents=1000)


def contain_a_transaction_twice(bank: SnapshotBuilder) -> None:
    set_basis(bank, "A-1", "A-1", cents=2000)


def have_a_wrong_sum(bank: SnapshotBuilder) -> None:
    set_basis(bank, "A-1", cents=1001)


def count_too_few(bank: SnapshotBuilder) -> None:
    set_basis(bank, "A-1", cents=1000, count=0)


def skip_a_level(ward: SnapshotBuilder) -> None:
    ward.change(ward.the("EquipmentAlarmEscalated"), level=3)


def go_up_too_far(ward: SnapshotBuilder) -> None:
    for level in (3, 4):
        ward.event("EquipmentAlarmEscalated", f"alarm/{ALARM}", alarm_id=ALARM, level=level)


def leave_the_alarm_on(ward: SnapshotBuilder) -> None:
    ward.tables["alarms"][ALARM]["stage"] = "raised"


def lose_the_alarms_row(ward: SnapshotBuilder) -> None:
    del ward.tables["alarms"][ALARM]


@pytest.mark.parametrize(
    ("builder", "break_it", "invariant", "expected"),
    [
        (a_bank, again("TransactionReversed"), BANK, "transaction A-3 has more than one TransactionReversed"),
        (a_bank, again("FraudSuspected"), BANK, "transaction A-2 has more than one FraudSuspected"),
        (a_bank, suspect_another_amount, BANK, "suspicion event-005 does not match a posted transaction"),
        (a_bank, suspect_what_was_never_posted, BANK, "suspicion event-005 does not match a posted transaction"),
        (a_bank, suspect_without_reasons, BANK, "suspicion event-005 has a score that does not match its reasons"),
        (a_bank, suspect_below_the_threshold, BANK, "suspicion event-005 has a score that does not match its reasons"),
        (a_bank, again("ComplianceCaseOpened"), BANK, f"case {CASE} was opened 2 times"),
        (a_bank, without("ComplianceCaseOpened"), BANK, f"case {CASE} was opened 0 times"),
        (a_bank, leave_an_old_row, BANK, f"the row of case {CASE} has another basis than its last event"),
        (a_bank, forget_the_reversal, BANK, f"case {CASE} contains transaction A-3, which was reversed"),
        (
            a_bank,
            contain_another_customers_transaction,
            BANK,
            f"case {CASE} contains transaction A-9, which is not its customer's",
        ),
        (a_bank, contain_a_transaction_twice, BANK, f"case {CASE} contains transaction A-1 more than once"),
        (a_bank, have_a_wrong_sum, BANK, f"case {CASE} has another sum than its transactions"),
        (a_bank, count_too_few, BANK, f"case {CASE} lists more transactions than its count"),
        (a_ward, again("EquipmentAlarmRaised"), ALARMS, f"alarm {ALARM} was opened 2 times"),
        (a_ward, without("EquipmentAlarmRaised"), ALARMS, f"alarm {ALARM} was opened 0 times"),
        (a_ward, again("EquipmentAlarmEscalated"), ALARMS, f"alarm {ALARM} has the levels [2, 2]"),
        (a_ward, skip_a_level, ALARMS, f"alarm {ALARM} has the levels [3]"),
        (a_ward, go_up_too_far, ALARMS, f"alarm {ALARM} has the levels [2, 3, 4]"),
        (a_ward, again("EquipmentAlarmCleared"), ALARMS, f"alarm {ALARM} was cleared 2 times"),
        (a_ward, without("EquipmentAlarmCleared"), ALARMS, f"the row of alarm {ALARM} is cleared at level 2"),
        (a_ward, leave_the_alarm_on, ALARMS, f"the row of alarm {ALARM} is raised at level 2"),
        (a_ward, lose_the_alarms_row, ALARMS, f"the row of alarm {ALARM} is None at level None"),
    ],
)
def test_a_violation_is_found(
    builder: Callable[[], SnapshotBuilder],
    break_it: Callable[[SnapshotBuilder], None],
    invariant: Invariant,
    expected: str,
) -> None:
    assert_violation_found(builder(), break_it, invariant, expected)
