"""Many reports of one device at once, through the whole deployed system."""

from tests.deployed.deployed import Deployed
from tests.deployed.test_equipment import assert_all_are_judged_in_order_and_page_once


def test_a_thousand_reports_of_one_second_are_all_judged_in_order_and_page_once(system: Deployed) -> None:
    assert_all_are_judged_in_order_and_page_once(system, reports=1000)
