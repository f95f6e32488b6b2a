"""An event that breaks its contract becomes a dead letter, unchanged and with a reason. It delays no other event."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from daybook.backbone.examination import CLOCK_SKEW, Rejection, examine
from daybook.backbone.origins import Origins
from daybook.contracts import clock
from daybook.contracts.contract import Event
from daybook.contracts.envelope import MAX_EVENT_BYTES
from daybook.testing.world import ACCOUNT, REGION, Context, World, errors
from tests.application.builders import Message, a_loan, loan_data, sent
from tests.application.catalogue import CATALOGUE
from tests.unit import faults
from tests.unit.contracts import MeterRead


def in_minutes(minutes: float) -> str:
    return clock.timestamp(datetime.now(UTC) + timedelta(minutes=minutes))


def a_loan_with_a_note(note: str) -> dict[str, Any]:
    """Loan data with a field that the contract does not know."""
    return loan_data(note=note)


def nested(depth: int) -> str:
    """An event with an unknown field that contains nested lists."""
    return sent(loan_data(note="HERE")).replace('"HERE"', "[" * depth + "]" * depth)


INVALID = {
    "a field is missing": ("ContractBroken", sent({"loan_id": "1001"})),
    "a field is of another type": ("ContractBroken", sent(loan_data() | {"loan_id": 1001})),
    "data that are not an object": ("ContractBroken", sent([1])),
    "data are null": ("ContractBroken", sent(detail={"data": None})),
    "larger than 64 KiB": ("EventTooLarge", sent(a_loan_with_a_note("x" * MAX_EVENT_BYTES))),
    "larger than 64 KiB in bytes": ("EventTooLarge", sent(a_loan_with_a_note("🦉" * (MAX_EVENT_BYTES // 4)))),
    "in the future": ("BadTime", sent(metadata={"time": "2100-01-01T00:00:00Z"})),
    "in another unit": ("BadTime", sent(metadata={"time": "1970-01-21T12:00:00Z"})),
    "before the first year": ("BadTime", sent(metadata={"time": "0001-01-01T00:00:00+14:00"})),
    "after the last year": ("BadTime", sent(metadata={"time": "9999-12-31T23:59:59-14:00"})),
    "without a time zone": ("BadTime", sent(metadata={"time": "2026-03-01T12:00:00"})),
    "not a time": ("BadTime", sent(metadata={"time": "noon"})),
    "an envelope whose time is not a time": ("BadTime", sent(time="noon")),
    "a time that is a number": ("BadMetadata", sent(metadata={"time": 1772366400})),
    "from a source that may not send it": ("SourceNotAllowed", sent(source="shop.marketing")),
    "from this system itself": ("SourceNotAllowed", sent(source="daybook.loans")),
    "an event that only functions emit": ("SourceNotAllowed", sent(type="BooksUnavailable", source="daybook.books")),
    "of an unknown type": ("UnknownType", sent(type="OrderPlacedd")),
    "of a type in lower case": ("UnknownType", sent(type="loanrequested")),
    "an empty type": ("UnknownType", sent(type="")),
    "of a newer version": ("UnknownVersion", sent(metadata={"version": 2})),
    "of a version before the first": ("UnknownVersion", sent(metadata={"version": 0})),
    "a version that is a text": ("BadMetadata", sent(metadata={"version": "1"})),
    "a version that is a boolean": ("BadMetadata", sent(metadata={"version": True})),
    "a version that is a fraction": ("BadMetadata", sent(metadata={"version": 1.0})),
    "metadata that are a list": ("BadMetadata", sent(metadata=[])),
    "metadata that are a text": ("BadMetadata", sent(metadata="x")),
    "metadata that are a number": ("BadMetadata", sent(metadata=0)),
    "an id that is a number": ("BadMetadata", sent(metadata={"id": 17})),
    "an empty id": ("BadMetadata", sent(metadata={"id": ""})),
    "an id that is too long": ("BadMetadata", sent(metadata={"id": "x" * 257})),
    "a correlation id that is a list": ("BadMetadata", sent(metadata={"correlation_id": ["x"]})),
    "an empty correlation id": ("BadMetadata", sent(metadata={"correlation_id": ""})),
    "a causation id that is too long": ("BadMetadata", sent(metadata={"causation_id": "x" * 257})),
    "no data": ("NoData", sent(detail={"metadata": {}})),
    "a detail that is a list": ("BadMetadata", sent(detail=[])),
    "a detail that is a text": ("BadMetadata", sent(detail="x")),
    "not JSON": ("NotJson", "a loan, please"),
    "nothing": ("NotJson", " "),
    "a key that occurs twice": ("DuplicateKey", sent().replace('"loan_id"', '"loan_id": "2", "loan_id"')),
    "a key that occurs twice, once escaped": (
        "DuplicateKey",
        sent().replace('"loan_id"', '"loan_id": "2", "\\u006coan_id"'),
    ),
    "a key of the envelope that occurs twice": ("DuplicateKey", sent()[:-1] + ', "source": "x"}'),
    "a correlation id with a space": ("BadMetadata", sent(metadata={"correlation_id": "basket 7"})),
    "a correlation id that is too long": ("BadMetadata", sent(metadata={"correlation_id": "x" * 65})),
    "a correlation id that is not ASCII": ("BadMetadata", sent(metadata={"correlation_id": "käse"})),
    "a correlation id with a line break": ("BadMetadata", sent(metadata={"correlation_id": "basket\n"})),
    "a causation id with a slash": ("BadMetadata", sent(metadata={"causation_id": "order/1"})),
    "an id with a zero-width space": ("BadMetadata", sent(metadata={"id": "p-1\u200b"})),
    "an id with NUL": ("BadMetadata", sent(metadata={"id": "p-1\x00"})),
    "an id with an override of the direction": ("BadMetadata", sent(metadata={"id": "p-\u202e1"})),
    "half of JSON": ("NotJson", sent()[:-1]),
    "JSON with a byte order mark": ("NotJson", "\ufeff" + sent()),
    "JSON that is a list": ("NotAnEvent", "[]"),
    "an envelope's id with half a character": ("NotAnEvent", sent(id="\ud800")),
    "an envelope's id that is too long": ("NotAnEvent", sent(id="x" * 500_000)),
    "JSON that is a number": ("NotAnEvent", "17"),
    "JSON that is null": ("NotAnEvent", "null"),
    "JSON that is not an event": ("NotAnEvent", "{}"),
    "an event without a source": ("NotAnEvent", json.dumps({**json.loads(sent()), "source": None})),
    "an event whose account is a number": ("NotAnEvent", sent(account=123456789012)),
    "not a number": ("NotJson", sent(loan_data(note=float("nan")))),
    "an infinity": ("NotJson", sent(loan_data(note=float("inf")))),
    "a number that is too large": ("NotJson", sent(loan_data(note="HERE")).replace('"HERE"', "1e999")),
    "a number of many digits": ("NotJson", sent(loan_data(note="HERE")).replace('"HERE"', "9" * 5000)),
    "half a character": ("NotJson", sent(a_loan_with_a_note("\ud800"))),
    "half a character in a name": ("NotJson", sent(loan_data() | {"\ud800": 1})),
    "half a character in a known field": ("NotJson", sent(loan_data(card="\udfff"))),
    "nested too deeply": ("NotJson", "[" * 100_000),
    "data nested too deeply": ("NotJson", nested(100_000)),
}


@pytest.mark.parametrize(("error", "body"), INVALID.values(), ids=INVALID)
def test_an_invalid_event_is_rejected(world: World, error: str, body: str) -> None:
    good = sent(loan_data("1002"))

    assert world.admit(body, good) == []

    assert [event.metadata.stream for event in world.recorded()] == ["loan/1002"]
    (dead_letter,) = world.dead_letters()
    assert dead_letter.body == body
    assert dead_letter.error == error
    assert dead_letter.attributes["consumer"] == "admit"
    assert dead_letter.attributes["reason"]


def test_an_event_that_is_too_large_only_with_its_metadata_is_rejected(world: World) -> None:
    world.knows(MeterRead)
    data = {"meter_id": "m1", "at": "2026-03-01T12:00:00Z", "values": {"x" * (MAX_EVENT_BYTES - 200): 1}}

    world.admit(sent(data, type="MeterRead", source="meters"))

    assert errors(world.dead_letters()) == ["EventTooLarge"]


@pytest.mark.parametrize("name", ["id", "time", "correlation_id", "causation_id"])
def test_half_a_character_in_the_metadata_is_rejected_and_delays_no_event_of_its_stream(
    world: World, name: str
) -> None:
    data = {"isbn": "emma", "copies": 1, "delivery_id": "D-1"}
    bad = sent(data, type="BooksReceived", source="library.receiving", metadata={name: "\ud800"})
    good = sent(data, type="BooksReceived", source="library.receiving")

    assert world.admit(bad, good) == []

    assert len(world.stream("book/emma")) == 1
    assert [dead_letter.body for dead_letter in world.dead_letters()] == [bad]


@pytest.mark.parametrize("depths", [range(1, 400, 7), range(400, 900, 7), range(900, 1010)], ids=str)
def test_an_event_of_any_nesting_depth_is_examined_or_rejected(depths: range) -> None:
    # Any other error would fail the whole batch again and again.
    for depth in depths:
        try:
            examine(nested(depth), CATALOGUE, Origins({"": f"{ACCOUNT}/{REGION}"}))
        except Rejection as rejection:
            assert rejection.code in {"NotJson", "ContractBroken"}  # noqa: PT017 - either one is right, or no rejection


def test_a_limit_of_the_contract_is_the_reason(world: World) -> None:
    world.admit(sent(loan_data(books=[("emma", 0)])))

    (dead_letter,) = world.dead_letters()
    assert (
        "LoanRequested: books.0.copies: Input should be greater than or equal to 1" in dead_letter.attributes["reason"]
    )
    assert dead_letter.attributes["event_type"] == "LoanRequested"
    assert dead_letter.attributes["event_id"]


def test_the_clock_of_a_producer_may_be_a_little_ahead(world: World) -> None:
    skew = CLOCK_SKEW.seconds / 60
    a_little, more = (sent(metadata={"time": in_minutes(ahead)}) for ahead in (skew - 1, skew + 1))

    world.admit(a_little, more)

    assert len(world.recorded()) == 1
    assert [dead_letter.body for dead_letter in world.dead_letters()] == [more]


@pytest.mark.parametrize("contract", CATALOGUE.values(), ids=CATALOGUE)
def test_an_external_event_with_this_systems_own_source_is_rejected(world: World, contract: type[Event]) -> None:
    name = contract.contract
    world.admit(sent(dict(contract.example), type=name.type, source=name.published_source))

    assert world.recorded() == []
    assert errors(world.dead_letters()) == ["SourceNotAllowed"]


# Guards: the hash of the content in the ledger.
def test_the_same_id_with_other_content_is_rejected(world: World) -> None:
    world.admit(sent(loan_data(books=[("emma", 1)]), metadata={"id": "p-1"}))
    other = sent(loan_data(books=[("emma", 2)]), metadata={"id": "p-1"})

    assert world.admit(other) == []

    assert world.events("loan/1001") == [a_loan(books=[("emma", 1)])]
    assert [(dead_letter.error, dead_letter.body) for dead_letter in world.dead_letters()] == [("IdReused", other)]


def test_the_same_id_for_another_stream_is_rejected(world: World) -> None:
    world.admit(sent(loan_data("1001"), metadata={"id": "p-1"}), sent(loan_data("1002"), metadata={"id": "p-1"}))

    assert [event.metadata.stream for event in world.recorded()] == ["loan/1001"]
    assert errors(world.dead_letters()) == ["IdReused"]


def test_the_same_id_with_other_content_in_one_batch_is_rejected(world: World) -> None:
    other = sent(loan_data(books=[("emma", 2)]), metadata={"id": "p-1"})

    assert world.admit(sent(metadata={"id": "p-1"}), other) == []

    assert world.events("loan/1001") == [a_loan()]
    assert [(dead_letter.error, dead_letter.body) for dead_letter in world.dead_letters()] == [("IdReused", other)]


@pytest.mark.parametrize("order", [(0, 1), (1, 0)], ids=["in order", "in reverse order"])
def test_an_event_of_a_batch_that_was_retried_is_either_admitted_or_rejected(
    world: World, order: tuple[int, int]
) -> None:
    batch = [Message(sent(loan_data(books=[("emma", n)]), metadata={"id": "p-1"})) for n in (1, 2)]
    faults.answer("TransactWriteItems", faults.CONFLICT)

    again = world.admit(*batch, context=Context(seconds=0.9))
    world.admit(*(batch[place] for place in order if batch[place] in again))

    (event,) = world.stream("loan/1001")
    data = json.loads(event.data)
    admitted = [message.body for message in batch if json.loads(message.body)["detail"]["data"] == data]
    assert sorted([dead_letter.body for dead_letter in world.dead_letters()] + admitted) == sorted(
        m.body for m in batch
    )


def test_a_dead_letter_queue_that_does_not_answer_returns_only_the_rejected_messages(world: World) -> None:
    bad, good = Message("not JSON"), Message(sent())
    faults.always_answer("SendMessage", faults.DENIED)

    assert world.admit(bad, good) == [bad]

    assert len(world.recorded()) == 1


@pytest.mark.parametrize(
    ("at", "error"),
    [
        ("2100-01-01T00:00:00Z", "the time is more than 5 minutes in the future; check the producer's clock"),
        ("1970-01-01T00:00:07Z", "the time is before 2000; check its unit"),
    ],
    ids=["in the future", "of a clock that was never set"],
)
def test_the_time_in_the_data_of_an_event_must_be_plausible(world: World, at: str, error: str) -> None:
    world.knows(MeterRead)

    world.admit(a_reading(at, metadata={"time": in_minutes(0)}))

    assert world.recorded() == []
    assert [dead_letter.attributes["reason"] for dead_letter in world.dead_letters()] == [error]


def test_the_time_in_the_data_of_an_event_is_stored_as_its_time(world: World) -> None:
    world.knows(MeterRead)

    world.admit(a_reading("2026-03-01T12:00:00+02:00", metadata={"time": in_minutes(0)}))

    assert [event.metadata.time for event in world.recorded()] == ["2026-03-01T10:00:00.000000Z"]


def a_reading(at: str, **other: Any) -> str:
    return sent({"meter_id": "m1", "at": at}, type="MeterRead", source="meters", **other)


def test_an_invalid_time_in_the_data_delays_no_other_event(world: World) -> None:
    world.knows(MeterRead)
    data = {"meter_id": "m1", "at": "0001-01-01T00:00:00+14:00"}

    assert world.admit(sent(data, type="MeterRead", source="meters"), sent()) == []

    assert [event.metadata.stream for event in world.recorded()] == ["loan/1001"]
    assert errors(world.dead_letters()) == ["ContractBroken"]
