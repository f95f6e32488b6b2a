"""How consumers, their functions in Lambda and their services are named."""

from tests.application.services.loans import open_loan
from tests.application.services.loans.loan_status import loan_status_requested


def test_a_consumer_has_the_name_of_its_function_so_that_several_can_share_a_module() -> None:
    assert loan_status_requested.name == "loan-status-requested"
    assert loan_status_requested.handler == "tests.application.services.loans.loan_status.loan_status_requested"


def test_a_consumer_whose_function_is_named_handler_has_the_name_of_its_module() -> None:
    assert open_loan.handler.name == "open-loan"
    assert open_loan.handler.handler == "tests.application.services.loans.open_loan.handler"


def test_a_consumer_knows_its_service() -> None:
    assert open_loan.handler.description()["service"] == "loans"
    assert loan_status_requested.description()["service"] == "loans"
