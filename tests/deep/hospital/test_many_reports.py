"""Many reports of one device in one second, through the deployed system."""

from tests.deployed.deployed import Deployed
from tests.deployed.hospital.test_equipment import assert_reports_in_one_second_are_processed_in_order_and_page_once


def test_a_thousand_reports_in_one_second_are_processed_in_order_and_page_once(system: Deployed) -> None:
    assert_reports_in_one_second_are_processed_in_order_and_page_once(system, reports=1000)
