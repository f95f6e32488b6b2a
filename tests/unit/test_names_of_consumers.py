"""How consumers, their functions in Lambda and their services are named."""

from functions.orders import place_order
from functions.orders.order_status import order_status_placed


def test_a_consumer_is_named_as_its_function_is_so_that_several_share_a_module() -> None:
    assert order_status_placed.name == "order-status-placed"
    assert order_status_placed.handler == "functions.orders.order_status.order_status_placed"


def test_a_consumer_whose_function_is_called_handler_is_named_as_its_module_is() -> None:
    assert place_order.handler.name == "place-order"
    assert place_order.handler.handler == "functions.orders.place_order.handler"


def test_a_consumer_says_which_service_it_belongs_to() -> None:
    assert place_order.handler.description()["service"] == "orders"
    assert order_status_placed.description()["service"] == "orders"
