"""Charges and refunds, with the process killed before and after every AWS call."""

import pytest

from tests.unit.shop import test_charge_order, test_refund_order
from tests.unit.shop.payments import Payments
from tests.unit.shop.test_charge_order import CONFIRM, CREATE

before_and_after = pytest.mark.parametrize("after", [False, True], ids=["before", "after"])


@before_and_after
@pytest.mark.parametrize("call", range(1, 9))
@pytest.mark.parametrize("lost", [None, CREATE, CONFIRM])
def test_the_customer_is_charged_once(payments: Payments, call: int, after: bool, lost: str | None) -> None:
    test_charge_order.test_a_killed_process_charges_the_customer_once(payments, call, after, lost)


@before_and_after
@pytest.mark.parametrize("call", range(1, 8))
@pytest.mark.parametrize("lost", [False, True], ids=["answered", "unanswered"])
def test_each_refund_is_made_once(payments: Payments, call: int, after: bool, lost: bool) -> None:
    test_refund_order.test_a_killed_process_makes_each_refund_once(payments, call, after, lost)
