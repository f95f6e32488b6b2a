"""republish: events of a period are published again, from the journal."""

from dataclasses import asdict
from datetime import timedelta
from typing import Any

import pytest

from daybook.backbone import republish
from daybook.backbone.republish import BadRange
from daybook.consumers.consumer import journal_shards
from daybook.contracts import clock
from daybook.contracts.envelope import Envelope
from daybook.store.event_store import to_item
from daybook.testing.world import NAMES, Context, World, errors
from tests.application.builders import NOON, a_loan, received_books, recorded
from tests.unit import faults

EVENING = "2026-03-01T18:00:00.000000Z"


@pytest.fixture
def bus(world: World) -> World:
    """The world with a bus that a rule listens to."""
    world.open_bus()
    return world


def catch_up(since: object = NOON, until: object = EVENING, *, context: Context | None = None) -> Any:
    return republish.handler({"since": since, "until": until}, context or Context(seconds=60, less=0))


def after_noon(**later: float) -> str:
    return clock.timestamp(clock.moment(NOON) + timedelta(**later))


def orders(world: World, number: int, *, apart: float = 60) -> list[Envelope]:
    """Loans that were recorded from noon on, at this distance in seconds."""
    made = [recorded(a_loan(str(1000 + n)), now=after_noon(seconds=n * apart)) for n in range(number)]
    world.append(*made)
    return made


def published(world: World) -> list[str]:
    return [event["detail"]["metadata"]["id"] for event in world.heard()]


def ids(envelopes: list[Envelope]) -> list[str]:
    return [envelope.metadata.id for envelope in envelopes]


def test_all_events_of_the_period_are_published_in_the_order_of_recording(bus: World) -> None:
    made = orders(bus, 30, apart=600)  # over five hours

    assert catch_up() == {"published": 30, "set_aside": 0, "next": None}

    assert published(bus) == ids(made)


def test_all_events_are_published_after_the_number_of_the_journals_shards_has_changed(bus: World) -> None:
    part = bus.shards.announcement(clock.moment(NOON), 64, bus.shards.announced())
    bus.client.transact_write_items(TransactItems=[part])  # type: ignore[list-item]
    journal_shards.cache_clear()  # as a process that starts now
    made = [recorded(a_loan(str(1000 + n)), now=after_noon(minutes=n)) for n in range(200)]
    for envelope in made:
        bus.client.put_item(TableName=NAMES.store, Item=to_item(envelope, 64))

    assert catch_up()["published"] == 200

    assert published(bus) == ids(made)


def test_an_event_is_published_as_it_was_stored(bus: World) -> None:
    (made,) = orders(bus, 1)

    catch_up()

    (event,) = bus.heard()
    assert (event["source"], event["detail-type"]) == ("daybook.loans", "LoanRequested")
    assert event["detail"] == {"metadata": asdict(made.pointer)}


def test_the_start_of_the_period_is_included_and_its_end_is_not(bus: World) -> None:
    made = orders(bus, 5)

    assert catch_up(made[1].metadata.recorded_at, made[3].metadata.recorded_at)["published"] == 2

    assert published(bus) == ids(made[1:3])


def test_each_stream_keeps_its_order_over_the_hour_and_within_one_moment(bus: World) -> None:
    times = [after_noon(minutes=59), after_noon(minutes=59), after_noon(minutes=60), after_noon(minutes=61)]
    stream: list[Envelope] = []
    for time in times:
        stream.append(recorded(received_books("emma"), after=stream[-1] if stream else None, now=time))
    bus.append(*reversed(stream))

    catch_up()

    assert published(bus) == ids(stream)


def test_many_events_are_read_in_several_requests_and_put_in_full_batches(bus: World) -> None:
    made = orders(bus, 230, apart=1)
    calls = faults.calls()

    assert catch_up() == {"published": 230, "set_aside": 0, "next": None}

    assert published(bus) == ids(made)
    assert (calls.count("BatchGetItem"), calls.count("PutEvents")) == (3, 23)


def test_it_stops_before_its_time_is_up_and_returns_where_to_continue(bus: World) -> None:
    made = orders(bus, 230, apart=1)

    answers = [catch_up(context=Context(seconds=5, less=0))]
    while answers[-1]["next"]:
        answers.append(catch_up(answers[-1]["next"], context=Context(seconds=5, less=0)))

    assert [answer["published"] for answer in answers] == [100, 100, 30, 0, 0, 0, 0, 0]
    assert answers[0]["next"] == made[100].metadata.recorded_at
    assert published(bus) == ids(made)


def test_all_events_of_one_moment_are_published_together_so_that_the_next_call_makes_progress(bus: World) -> None:
    orders(bus, 130, apart=0)

    answer = catch_up(context=Context(seconds=5, less=0))

    assert (answer["published"], answer["next"]) == (130, after_noon(hours=1))


def test_keys_that_dynamodb_did_not_process_are_requested_again(bus: World) -> None:
    made = orders(bus, 2)
    key = {name: {"S": made[0].metadata.stream} if name == "stream" else {"N": "1"} for name in ("stream", "sequence")}
    faults.answer("BatchGetItem", (200, {"Responses": {}, "UnprocessedKeys": {NAMES.store: {"Keys": [key]}}}))

    assert catch_up()["published"] == 1

    assert published(bus) == ids(made[:1])


def test_an_event_that_is_in_the_journal_but_not_in_the_store_is_logged_as_tampered(
    bus: World, capsys: pytest.CaptureFixture[str]
) -> None:
    orders(bus, 1)
    faults.answer("BatchGetItem", (200, {"Responses": {NAMES.store: []}}))

    assert catch_up() == {"published": 0, "set_aside": 0, "next": None}

    assert '"message":"tampered"' in capsys.readouterr().out


def test_an_event_that_cannot_be_read_becomes_a_dead_letter_and_the_rest_is_published(bus: World) -> None:
    made = orders(bus, 2)
    broken = recorded(received_books(), now=after_noon(seconds=30))
    bus.append(broken)
    bus.client.update_item(
        TableName=NAMES.store,
        Key={"stream": {"S": broken.metadata.stream}, "sequence": {"N": "1"}},
        UpdateExpression="REMOVE #hash",
        ExpressionAttributeNames={"#hash": "hash"},
    )

    assert catch_up() == {"published": 2, "set_aside": 1, "next": None}

    assert published(bus) == ids(made)
    assert errors(bus.dead_letters()) == ["NotAnEvent"]


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        ({}, "since"),
        ([], "since"),
        ({"since": NOON}, "until"),
        ({"since": NOON, "until": EVENING, "consumer": "reserve-books"}, "the request must be"),
        ({"since": "yesterday", "until": EVENING}, "since must be an RFC 3339 time"),
        ({"since": NOON, "until": None}, "until must be an RFC 3339 time"),
        ({"since": NOON, "until": "2026-03-01T18:00:00"}, "until must be an RFC 3339 time"),
        ({"since": EVENING, "until": NOON}, "before"),
        ({"since": NOON, "until": NOON}, "before"),
        ({"since": NOON, "until": "2999-01-01T00:00:00Z"}, "past"),
    ],
)
def test_arguments_that_are_not_a_period_of_the_past_raise_an_error_and_nothing_is_published(
    bus: World, request_: Any, said: str
) -> None:
    orders(bus, 1)

    with pytest.raises(BadRange, match=said):
        republish.handler(request_, Context())

    assert published(bus) == []
