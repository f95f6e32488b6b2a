"""The deployed consumers, and what each is."""

from daybook.operate.consumers import Consumer, consumers
from tests.ops.world import World


def test_consumers_are_read_from_the_environments_of_functions(world: World) -> None:
    tables = world.uses(
        "reserve-stock", "stock", "order-status", service="inventory", event="OrderPlaced", emits=["StockReserved"]
    )
    world.uses(
        "charge-order",
        kind="effect",
        event="OrderConfirmed",
        idempotency_key="charge/{order_id}",
        can_query=True,
        ordered=True,
    )

    found = consumers(world.connection)

    assert list(found) == ["charge-order", "reserve-stock"]
    assert found["reserve-stock"] == Consumer(
        name="reserve-stock",
        service="inventory",
        kind="reaction",
        event="OrderPlaced",
        emits=("StockReserved",),
        timeout=3,  # Lambda's own, since the world names none
        tables={"stock": tables["stock"], "order-status": tables["order-status"]},
    )
    charging = found["charge-order"]
    assert (charging.kind, charging.idempotency_key, charging.can_query, charging.ordered) == (
        "effect",
        "charge/{order_id}",
        True,
        True,
    )


def test_functions_of_the_backbone_and_of_other_stages_are_not_consumers(world: World) -> None:
    world.uses("publish", "stock")
    other = World()
    other.names = type(world.names)("prod")
    other.uses("reserve-stock", event="OrderPlaced")

    assert consumers(world.connection) == {}


def test_all_pages_of_lambdas_answer_are_read(world: World) -> None:
    for number in range(60):
        world.uses(f"consumer-{number:02}", event="OrderPlaced")

    assert len(consumers(world.connection)) == 60
