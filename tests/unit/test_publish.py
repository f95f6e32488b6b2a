"""All that is recorded gets onto the event bus; what never can is set aside, and holds nobody up."""

import json
import traceback
from typing import Any

import pytest

from daybook.backbone.bus import NotPublished
from daybook.store.attributes import pack
from tests.unit import faults
from tests.unit.builders import a_change_of_the_store, an_order, goods, metadata_of, order_data, recorded
from tests.unit.world import Context, World, errors


@pytest.fixture
def bus(world: World) -> World:
    """The world, with a bus that someone listens to."""
    world.open_bus()
    return world


def changes(number: int) -> list[dict[str, Any]]:
    return [a_change_of_the_store(recorded(an_order(str(1000 + n)))) for n in range(number)]


def orders_heard(world: World) -> list[str]:
    return [heard["detail"]["data"]["order_id"] for heard in world.heard()]


def taken(*codes: str | None) -> faults.Answer:
    """An answer of PutEvents: what became of each entry."""
    entries = [{"ErrorCode": code, "ErrorMessage": "no"} if code else {"EventId": "e"} for code in codes]
    return 200, {"FailedEntryCount": len([code for code in codes if code]), "Entries": entries}


def counted(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """The metrics in the embedded metric format."""
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith("{")]
    return {name: value for line in lines if "_aws" in line for name, value in line.items() if isinstance(value, list)}


def test_a_recorded_event_is_published_under_its_owners_name(bus: World) -> None:
    event = recorded(goods("mug"))

    bus.publish(a_change_of_the_store(event))

    (heard,) = bus.heard()
    assert (heard["source"], heard["detail-type"]) == ("daybook.inventory", "StockReceived")
    assert heard["detail"] == {"metadata": metadata_of(event), "data": json.loads(event.data)}


def test_events_go_out_in_full_batches_of_ten_and_in_order(bus: World) -> None:
    calls = faults.calls()

    bus.publish(*changes(23))

    assert orders_heard(bus) == [str(1000 + n) for n in range(23)]
    assert calls == ["PutEvents"] * 3


def test_entries_that_were_not_taken_are_sent_again_alone(bus: World) -> None:
    faults.answer("PutEvents", taken(None, "ThrottlingException", None, "InternalFailure"))
    calls = faults.calls()

    bus.publish(*changes(4))

    assert orders_heard(bus) == ["1001", "1003"]  # the others were taken the first time
    assert calls == ["PutEvents"] * 2
    assert bus.dead_letters() == []


def test_entries_that_will_never_be_taken_are_set_aside_and_the_rest_goes_on(
    bus: World, capsys: pytest.CaptureFixture[str]
) -> None:
    records = changes(12)
    faults.answer("PutEvents", taken("MalformedDetail", *["InternalFailure"] * 8, "InvalidArgument"))

    bus.publish(*records)

    assert orders_heard(bus) == [*(str(1001 + n) for n in range(8)), "1010", "1011"]
    assert errors(bus.dead_letters()) == ["InvalidArgument", "MalformedDetail"]
    letter = bus.dead_letters()[0]
    assert json.loads(letter.body) == records[0]["dynamodb"]["NewImage"]
    assert letter.attributes["event_type"] == "OrderPlaced"
    assert sum(counted(capsys)["SetAside"]) == 2


@pytest.mark.parametrize(
    "attributes",
    [
        {"data": None},
        {"hash": None},
        {"id": None},
        {"source": 17},
        {"type": ["x"]},
        {"data": 17},
        {"sequence": "x"},
    ],
    ids=str,
)
def test_an_item_that_is_no_event_is_set_aside_and_the_rest_goes_on(bus: World, attributes: dict[str, Any]) -> None:
    first, last = changes(2)

    bus.publish(first, a_change_of_the_store(recorded(goods()), **attributes), last)

    assert orders_heard(bus) == ["1000", "1001"]
    assert errors(bus.dead_letters()) == ["NotAnEvent"]


def test_an_item_that_is_set_aside_is_one_that_a_queue_can_take(bus: World) -> None:
    # SQS takes neither U+FFFE nor U+FFFF (https://www.w3.org/TR/REC-xml/#charsets); moto takes all, and looks at none.
    bus.publish(a_change_of_the_store(recorded(goods()), hash=None, producer="a\uffffb"))

    (letter,) = bus.dead_letters()
    assert "\uffff" not in letter.body
    assert json.loads(letter.body)["producer"] == pack("a\uffffb")


@pytest.mark.parametrize("name", ["MODIFY", "REMOVE"])
def test_a_change_of_the_past_is_told_and_not_published(
    bus: World, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    bus.publish(a_change_of_the_store(recorded(goods()), name), *changes(1))

    assert orders_heard(bus) == ["1000"]
    metrics = counted(capsys)
    assert (metrics["Tampered"], metrics["Published"]) == ([1], [1])


def test_what_stays_untaken_fails_the_batch_so_that_it_comes_again(
    bus: World, capsys: pytest.CaptureFixture[str]
) -> None:
    faults.answer("PutEvents", *[taken(None, "ThrottlingException")], *[taken("ThrottlingException")] * 50)

    with pytest.raises(NotPublished, match="1 entries"):
        bus.publish(*changes(2), context=Context(seconds=2, less=0.3))

    assert counted(capsys)["Published"] == [1]
    assert bus.dead_letters() == []


def test_a_request_that_fails_fails_the_batch(bus: World) -> None:
    faults.answer("PutEvents", faults.DENIED)

    with pytest.raises(Exception, match="AccessDenied"):
        bus.publish(*changes(1))


def test_nothing_about_a_person_is_in_the_log(bus: World, capsys: pytest.CaptureFixture[str]) -> None:
    bus.publish(*changes(1))

    assert "Ada" not in capsys.readouterr().out


@pytest.mark.parametrize("answer", [faults.DENIED, taken("ThrottlingException")], ids=["refused", "not taken"])
def test_nothing_about_a_person_is_in_the_error_of_a_batch(bus: World, answer: faults.Answer) -> None:
    # Lambda writes it into the log and into the trace.
    faults.always_answer("PutEvents", answer)

    with pytest.raises(Exception, match=r"AccessDenied|did not accept") as error:
        bus.publish(*changes(1), context=Context(seconds=2, less=0.3))

    assert "Ada" not in "".join(traceback.format_exception(error.value))


def test_an_entry_that_makes_the_whole_request_impossible_is_set_aside_and_the_others_go_on(bus: World) -> None:
    refused = [faults.error("ValidationException")] * 2
    faults.answer("PutEvents", *refused, about="")

    bus.publish(*changes(3))

    # The request of all three was refused, and then that of the first alone.
    assert orders_heard(bus) == ["1001", "1002"]
    assert errors(bus.dead_letters()) == ["ValidationException"]


def test_requests_stay_below_the_bytes_that_eventbridge_has_always_taken(bus: World) -> None:
    calls = faults.calls()
    data = [json.dumps({**order_data(str(n)), "note": "x" * 60_000}) for n in range(6)]
    large = [a_change_of_the_store(recorded(an_order(str(n)), data=text)) for n, text in enumerate(data)]

    bus.publish(*large)

    assert calls == ["PutEvents"] * 2
    assert orders_heard(bus) == [str(n) for n in range(6)]
