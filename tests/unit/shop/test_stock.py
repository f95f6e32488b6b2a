"""Stock: each reserved piece is sent or released once, in any order of events."""

from dataclasses import dataclass
from itertools import count

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from daybook.contracts.contract import Event
from functions.inventory import commit_stock, receive_stock, release_stock, reserve_stock
from functions.inventory.stock import Reservation, StockItem
from tests.unit.builders import Message, from_the_bus, recorded
from tests.unit.shop.builders import a_cancellation, a_confirmation, an_order, received_stock
from tests.unit.world import Handler, World, errors

ORDER = an_order(lines=[("mug", 2), ("poster", 1)])
CONFIRMED, CANCELLED = a_confirmation(ORDER), a_cancellation(ORDER)


@pytest.fixture
def stocked(world: World) -> World:
    """The world, with five mugs and five posters in stock."""
    world.put(StockItem(sku="mug", available=5), StockItem(sku="poster", available=5))
    return world


def pieces(world: World) -> dict[str, tuple[int, int]]:
    """The available and the reserved pieces, by article."""
    rows = [world.row(StockItem, item["id"]) for item in world.items("stock")]
    return {row.sku: (row.available, row.reserved) for row in rows if row}


def stage(world: World) -> str:
    row = world.row(Reservation, "1001")
    return row.stage if row else "none"


def deliver_new(world: World, handler: Handler, event: Event) -> list[Message]:
    """Deliver a new event with this data. The ledger does not know it, as it would know a duplicate."""
    return world.deliver(handler, from_the_bus(recorded(event)))


def test_an_order_whose_cancellation_arrives_first_reserves_nothing(stocked: World) -> None:
    stocked.receive(release_stock.handler, CANCELLED)
    assert stage(stocked) == "released"

    stocked.receive(reserve_stock.handler, ORDER)

    assert (stage(stocked), pieces(stocked)) == ("released", {"mug": (5, 0), "poster": (5, 0)})
    assert stocked.events("reservation/1001") == []


def test_the_pieces_of_a_confirmed_order_leave_the_stock_once(stocked: World) -> None:
    stocked.receive(reserve_stock.handler, ORDER)
    assert pieces(stocked) == {"mug": (3, 2), "poster": (4, 1)}

    stocked.receive(commit_stock.handler, CONFIRMED)
    assert deliver_new(stocked, commit_stock.handler, CONFIRMED) == []

    assert (stage(stocked), pieces(stocked)) == ("committed", {"mug": (3, 0), "poster": (4, 0)})


def test_the_pieces_of_a_cancelled_order_are_released_once(stocked: World) -> None:
    stocked.receive(reserve_stock.handler, ORDER)

    stocked.receive(release_stock.handler, CANCELLED)
    assert deliver_new(stocked, release_stock.handler, CANCELLED) == []

    assert (stage(stocked), pieces(stocked)) == ("released", {"mug": (5, 0), "poster": (5, 0)})


def test_a_confirmation_is_retried_until_the_reservation_is_made(stocked: World) -> None:
    message = Message(from_the_bus(recorded(CONFIRMED)))

    assert stocked.deliver(commit_stock.handler, message) == [message]
    stocked.receive(reserve_stock.handler, ORDER)
    assert stocked.deliver(commit_stock.handler, message) == []

    assert pieces(stocked) == {"mug": (3, 0), "poster": (4, 0)}


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ((release_stock.handler, CANCELLED), (commit_stock.handler, CONFIRMED)),
        ((commit_stock.handler, CONFIRMED), (release_stock.handler, CANCELLED)),
    ],
    ids=["released", "committed"],
)
def test_a_released_reservation_is_not_committed_and_a_committed_one_is_not_released(
    stocked: World, first: tuple[Handler, Event], second: tuple[Handler, Event]
) -> None:
    stocked.receive(reserve_stock.handler, ORDER)
    stocked.receive(*first)
    before = (stage(stocked), pieces(stocked))

    assert deliver_new(stocked, *second) == []

    assert errors(stocked.dead_letters()) == ["NonRetryable"]
    assert (stage(stocked), pieces(stocked)) == before


@dataclass(frozen=True)
class Step:
    """An event in the warehouse, or of one of two orders."""

    what: str
    order: int
    quantity: int


STEPS = st.builds(
    Step, st.sampled_from(["receive", "reserve", "commit", "release"]), st.integers(0, 1), st.integers(1, 4)
)
_runs = count()


# An order arrives once. Its other events may arrive twice, and in any order.
@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(STEPS, min_size=8, max_size=16))
def test_the_number_of_pieces_is_constant_under_any_events_in_any_order(world: World, steps: list[Step]) -> None:
    run = next(_runs)
    sku = f"mug-{run}"
    received = 0
    placed: set[int] = set()
    for step in steps:
        order = an_order(f"{run}-{step.order}", [(sku, step.order + 1)])
        event: Event = order
        handler: Handler
        match step.what:
            case "receive":
                handler, event = receive_stock.handler, received_stock(sku, step.quantity)
                received += step.quantity
            case "reserve" if step.order not in placed:
                placed.add(step.order)
                handler = reserve_stock.handler
            case "commit":
                handler, event = commit_stock.handler, a_confirmation(order)
            case _:
                handler, event = release_stock.handler, a_cancellation(order)
        deliver_new(world, handler, event)

        row = world.row(StockItem, sku) or StockItem(sku=sku)
        rows = {number: world.row(Reservation, f"{run}-{number}") for number in range(2)}
        sent = {number: number + 1 for number, r in rows.items() if r and r.stage == "committed"}
        reserved = sum(number + 1 for number, r in rows.items() if r and r.stage == "reserved")
        assert row.available >= 0
        assert row.reserved == reserved
        assert row.available + row.reserved + sum(sent.values()) == received
