"""Neither reasons nor logs quote what came in: they are read by many."""

import pytest

from tests.unit.builders import order_data, sent
from tests.unit.contracts import MeterRead
from tests.unit.world import World

MARK = "Zzyzx0815"

MARKED = {
    "order_id": sent(order_data(order_id=MARK + "/")),
    "customer": sent(order_data(customer=MARK)),
    "customer.name": sent(order_data(customer={"name": MARK * 99, "email": "ada@example.com"})),
    "customer.email": sent(order_data(customer={"name": "Ada", "email": MARK})),
    "customer.language": sent(order_data(customer={"name": "A", "email": "a@b.de", "language": MARK})),
    "lines": sent(order_data() | {"lines": MARK}),
    "sku": sent(order_data(lines=[(MARK + " ", 1)])),
    "quantity": sent(order_data() | {"lines": [{"sku": "mug", "quantity": MARK}]}),
    "currency": sent(
        order_data() | {"lines": [{"sku": "mug", "quantity": 1, "price": {"amount": 1, "currency": MARK}}]}
    ),
    "payment_method": sent(order_data(payment_method=MARK + " x")),
    "data": sent(MARK),
    "metadata": sent(metadata=MARK),
    "metadata.id": sent(metadata={"id": MARK * 99}),
    "metadata.time": sent(metadata={"time": MARK}),
    "metadata.version": sent(metadata={"version": MARK}),
    "metadata.correlation_id": sent(metadata={"correlation_id": [MARK]}),
    "detail": sent(detail=MARK),
    "type": sent(type=MARK),
    "source": sent(source=MARK),
    "account": sent(account=[MARK]),
    "time": sent(time=MARK),
    "the whole": MARK,
}


@pytest.mark.parametrize("body", MARKED.values(), ids=MARKED)
def test_neither_reason_nor_log_quotes_what_was_refused(
    world: World, capsys: pytest.CaptureFixture[str], body: str
) -> None:
    world.admit(body)

    (letter,) = world.dead_letters()
    assert MARK in letter.body
    assert not [value for value in letter.attributes.values() if MARK in value]
    output = capsys.readouterr()
    assert "rejected" in output.out
    assert MARK not in output.out + output.err


def test_no_reason_quotes_the_names_in_a_map_of_the_event(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.knows(MeterRead)
    data = {"meter_id": "m1", "at": "2026-03-01T12:00:00Z", "values": {MARK: "many"}}

    world.admit(sent(data, type="MeterRead", source="meters"))

    (letter,) = world.dead_letters()
    assert MARK not in letter.attributes["reason"]
    assert MARK not in capsys.readouterr().out


def test_nothing_about_a_person_is_in_the_log_of_what_was_admitted(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.admit(sent(order_data(customer={"name": MARK, "email": f"{MARK}@example.com"})))

    assert len(world.recorded()) == 1
    assert MARK not in capsys.readouterr().out
