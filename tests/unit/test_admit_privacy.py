"""Reasons and logs do not quote events, because many people read them."""

import pytest

from daybook.testing.world import World
from tests.application.builders import loan_data, sent
from tests.unit.contracts import MeterRead

MARK = "Zzyzx0815"

MARKED = {
    "loan_id": sent(loan_data(loan_id=MARK + "/")),
    "reader": sent(loan_data(reader=MARK)),
    "reader.name": sent(loan_data(reader={"name": MARK * 99, "email": "ada@example.com"})),
    "reader.email": sent(loan_data(reader={"name": "Ada", "email": MARK})),
    "reader.language": sent(loan_data(reader={"name": "A", "email": "a@b.de", "language": MARK})),
    "books": sent(loan_data() | {"books": MARK}),
    "isbn": sent(loan_data(books=[(MARK + " ", 1)])),
    "copies": sent(loan_data() | {"books": [{"isbn": "emma", "copies": MARK}]}),
    "card": sent(loan_data(card=MARK + " x")),
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
def test_reason_and_log_do_not_quote_a_rejected_event(
    world: World, capsys: pytest.CaptureFixture[str], body: str
) -> None:
    world.admit(body)

    (dead_letter,) = world.dead_letters()
    assert MARK in dead_letter.body
    assert not [value for value in dead_letter.attributes.values() if MARK in value]
    output = capsys.readouterr()
    assert "rejected" in output.out
    assert MARK not in output.out + output.err


def test_the_reason_does_not_quote_the_keys_of_a_map_in_the_event(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.knows(MeterRead)
    data = {"meter_id": "m1", "at": "2026-03-01T12:00:00Z", "values": {MARK: "many"}}

    world.admit(sent(data, type="MeterRead", source="meters"))

    (dead_letter,) = world.dead_letters()
    assert MARK not in dead_letter.attributes["reason"]
    assert MARK not in capsys.readouterr().out


def test_the_log_of_an_admitted_event_has_no_personal_data(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.admit(sent(loan_data(reader={"name": MARK, "email": f"{MARK}@example.com"})))

    assert len(world.recorded()) == 1
    assert MARK not in capsys.readouterr().out
