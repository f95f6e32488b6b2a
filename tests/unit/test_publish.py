"""publish puts all recorded events on the event bus. An event that it cannot publish becomes a dead letter."""

import json
import traceback
from dataclasses import asdict
from typing import Any

import pytest

from daybook.backbone.bus import NotPublished
from daybook.runtime.settings import SHARED, settings
from daybook.store.attributes import pack
from daybook.testing.world import Context, World, errors
from tests.application.builders import a_change_of_the_store, a_loan, loan_data, received_books, recorded
from tests.unit import faults


@pytest.fixture
def bus(world: World) -> World:
    """The world with a bus that a rule listens to."""
    world.open_bus()
    return world


def changes(number: int) -> list[dict[str, Any]]:
    return [a_change_of_the_store(recorded(a_loan(str(1000 + n)))) for n in range(number)]


def published_loans(world: World) -> list[str]:
    return [heard["detail"]["metadata"]["stream"].removeprefix("loan/") for heard in world.heard()]


def accepted(*codes: str | None) -> faults.Answer:
    """A response of PutEvents, with an error code or None for each entry."""
    entries = [{"ErrorCode": code, "ErrorMessage": "no"} if code else {"EventId": "e"} for code in codes]
    return 200, {"FailedEntryCount": len([code for code in codes if code]), "Entries": entries}


def counted(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """The metrics in embedded metric format."""
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith("{")]
    return {name: value for line in lines if "_aws" in line for name, value in line.items() if isinstance(value, list)}


def test_a_recorded_event_is_published_with_its_owner_as_source(bus: World) -> None:
    event = recorded(received_books("emma"))

    bus.publish(a_change_of_the_store(event))

    (heard,) = bus.heard()
    assert (heard["source"], heard["detail-type"]) == ("daybook.books", "BooksReceived")
    assert heard["detail"] == {"metadata": asdict(event.pointer)}


# Guards: the set of shared types.
def test_only_events_of_shared_contracts_carry_their_data(bus: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SHARED, '["BooksReceived"]')
    settings.cache_clear()
    event = recorded(received_books("emma"))

    bus.publish(a_change_of_the_store(event), *changes(1))

    shared, other = [heard["detail"] for heard in bus.heard()]
    assert shared == {"metadata": asdict(event.pointer), "data": json.loads(event.data)}
    assert other.keys() == {"metadata"}


def test_events_are_put_in_order_and_in_full_batches_of_ten(bus: World) -> None:
    calls = faults.calls()

    bus.publish(*changes(23))

    assert published_loans(bus) == [str(1000 + n) for n in range(23)]
    assert calls == ["PutEvents"] * 3


def test_only_rejected_entries_are_sent_again(bus: World) -> None:
    faults.answer("PutEvents", accepted(None, "ThrottlingException", None, "InternalFailure"))
    calls = faults.calls()

    bus.publish(*changes(4))

    assert published_loans(bus) == ["1001", "1003"]  # the others were accepted the first time
    assert calls == ["PutEvents"] * 2
    assert bus.dead_letters() == []


def test_entries_that_will_never_be_accepted_become_dead_letters_and_the_rest_is_published(bus: World) -> None:
    records = changes(12)
    faults.answer("PutEvents", accepted("MalformedDetail", *["InternalFailure"] * 8, "InvalidArgument"))

    bus.publish(*records)

    assert published_loans(bus) == [*(str(1001 + n) for n in range(8)), "1010", "1011"]
    assert errors(bus.dead_letters()) == ["InvalidArgument", "MalformedDetail"]
    dead_letter = bus.dead_letters()[0]
    assert json.loads(dead_letter.body) == records[0]["dynamodb"]["NewImage"]
    assert dead_letter.attributes["event_type"] == "LoanRequested"


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
def test_an_item_that_is_not_an_event_becomes_a_dead_letter_and_the_rest_is_published(
    bus: World, attributes: dict[str, Any]
) -> None:
    first, last = changes(2)

    bus.publish(first, a_change_of_the_store(recorded(received_books()), **attributes), last)

    assert published_loans(bus) == ["1000", "1001"]
    assert errors(bus.dead_letters()) == ["NotAnEvent"]


def test_the_body_of_a_dead_letter_has_only_characters_that_sqs_accepts(bus: World) -> None:
    # SQS accepts neither U+FFFE nor U+FFFF (https://www.w3.org/TR/REC-xml/#charsets); moto accepts all characters.
    bus.publish(a_change_of_the_store(recorded(received_books()), hash=None, producer="a\uffffb"))

    (dead_letter,) = bus.dead_letters()
    assert "\uffff" not in dead_letter.body
    assert json.loads(dead_letter.body)["producer"] == pack("a\uffffb")


@pytest.mark.parametrize("name", ["MODIFY", "REMOVE"])
def test_a_change_of_a_stored_event_is_counted_and_not_published(
    bus: World, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    bus.publish(a_change_of_the_store(recorded(received_books()), name), *changes(1))

    assert published_loans(bus) == ["1000"]
    metrics = counted(capsys)
    assert (metrics["Tampered"], metrics["Published"]) == ([1], [1])


def test_entries_that_stay_rejected_fail_the_batch_so_that_it_is_retried(
    bus: World, capsys: pytest.CaptureFixture[str]
) -> None:
    faults.answer("PutEvents", *[accepted(None, "ThrottlingException")], *[accepted("ThrottlingException")] * 50)

    with pytest.raises(NotPublished, match="1 entries"):
        bus.publish(*changes(2), context=Context(seconds=2, less=0.3))

    assert counted(capsys)["Published"] == [1]
    assert bus.dead_letters() == []


def test_a_request_that_fails_fails_the_batch(bus: World) -> None:
    faults.answer("PutEvents", faults.DENIED)

    with pytest.raises(Exception, match="AccessDenied"):
        bus.publish(*changes(1))


def test_the_log_has_no_personal_data(bus: World, capsys: pytest.CaptureFixture[str]) -> None:
    bus.publish(*changes(1))

    assert "Ada" not in capsys.readouterr().out


@pytest.mark.parametrize("answer", [faults.DENIED, accepted("ThrottlingException")], ids=["refused", "not accepted"])
def test_the_error_of_a_batch_has_no_personal_data(bus: World, answer: faults.Answer) -> None:
    # Lambda writes the error into the log and the X-Ray trace.
    faults.always_answer("PutEvents", answer)

    with pytest.raises(Exception, match=r"AccessDenied|did not accept") as error:
        bus.publish(*changes(1), context=Context(seconds=2, less=0.3))

    assert "Ada" not in "".join(traceback.format_exception(error.value))


def test_an_entry_that_makes_its_request_fail_becomes_a_dead_letter_and_the_others_are_published(bus: World) -> None:
    refused = [faults.error("ValidationException")] * 2
    faults.answer("PutEvents", *refused, about="")

    bus.publish(*changes(3))

    # The request with all three was refused, and then the one with the first alone.
    assert published_loans(bus) == ["1001", "1002"]
    assert errors(bus.dead_letters()) == ["ValidationException"]


def test_requests_stay_below_the_size_limit_of_eventbridge(bus: World) -> None:
    calls = faults.calls()
    data = [json.dumps({**loan_data(str(n)), "note": "x" * 60_000}) for n in range(6)]
    large = [a_change_of_the_store(recorded(a_loan(str(n)), data=text)) for n, text in enumerate(data)]

    bus.publish(*large)

    assert calls == ["PutEvents"] * 2
    assert published_loans(bus) == [str(n) for n in range(6)]
