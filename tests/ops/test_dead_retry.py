"""`daybook dead retry`: dead letters are processed again, none is lost, and each has a result."""

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from typer.testing import CliRunner

from daybook.contracts import clock
from daybook.contracts.card_numbers import REMOVED
from daybook.contracts.contract import Place
from daybook.contracts.operations import DeadLettersRetried
from daybook.operate.connection import Connection, new_session
from daybook.operate.dead_letters.discard import DiscardOperation
from daybook.operate.dead_letters.index import Selection, dead_letters
from daybook.operate.dead_letters.results import (
    DEAD_AGAIN,
    DONE,
    IN_PROGRESS,
    NO_LONGER_DEAD,
    NOT_SENT,
    SKIPPED,
    WAS_DISCARDED,
    Result,
)
from daybook.operate.dead_letters.retry import RetryOperation
from daybook.operate.program import app
from daybook.store.attributes import as_json, unpack_item
from daybook.store.event_store import Draft
from daybook.store.event_store import to_item as event_item
from daybook.store.ledger import COMMITTED, DEAD, LedgerEntry
from daybook.store.timers import Timer, from_item, to_item
from daybook.testing.keys import writer
from tests.ops.killed_commands import Moment, killed_at
from tests.ops.world import World, ms
from tests.unit.faults import Death

TO, OTHER = "confirm-order", "reserve-stock"


class Time:
    """A clock that advances when it waits; then `happens` runs."""

    def __init__(self, happens: Callable[[], object] = lambda: None) -> None:
        self.seconds = 0.0
        self.backoff: list[float] = []
        self._happens = happens

    def pause(self, seconds: float) -> None:
        self.seconds += seconds
        self.backoff.append(seconds)
        self._happens()

    def now(self) -> float:
        return self.seconds


@pytest.fixture
def stage(world: World) -> World:
    """A stage with two consumers."""
    for consumer in (TO, OTHER):
        world.listens(consumer, "OrderPlaced")
        world.uses(consumer, kind="reaction", event="OrderPlaced")
    return world


def arrived(world: World, *consumers: str) -> list[str]:
    """The ids of the new events in the consumers' queues."""
    return [body["id"] for consumer in consumers or (TO,) for body in world.arrived(consumer)]


def work(world: World, *consumers: str, seen: list[str] | None = None) -> Callable[[], None]:
    """The consumers commit all messages in their queues."""

    def commit_all() -> None:
        for consumer in consumers:
            for body in world.arrived(consumer):
                commit(world, body["id"], consumer)
                if seen is not None:
                    seen.append(f"{body['id']}@{consumer}")

    return commit_all


def commit(world: World, event: str, consumer: str, *emitted: str) -> None:
    entry = LedgerEntry(event, consumer, COMMITTED, clock.now(), emitted=emitted)
    # The condition fails for a duplicate.
    with suppress(world.connection.dynamodb.exceptions.TransactionCanceledException):
        world.writes(entry)


def body_of(event: str) -> str:
    return json.dumps({"id": event, "detail": {}})


def died(world: World, *events: str, consumer: str = TO, **details: Any) -> list[str]:
    return [world.died(event, consumer, body=body_of(event), after=n, **details) for n, event in enumerate(events)]


def retried(
    connection: Connection, selection: Selection | None = None, *, time: Time | None = None, **options: Any
) -> list[Result]:
    time = time or Time()
    operation = RetryOperation(connection, pause=time.pause, now=time.now, **options)
    return list(operation.run(dead_letters(connection, selection or Selection())))


def by_id(outcomes: list[Result]) -> dict[str, str]:
    return {outcome.dead_letter.id: outcome.result for outcome in outcomes}


def recorded(world: World) -> list[DeadLettersRetried]:
    """All recorded retries."""
    items = world.connection.dynamodb.scan(TableName=world.names.store)["Items"]
    found = [unpack_item(item) for item in items]
    return [
        DeadLettersRetried.read(item["data"], version=1)
        for item in found
        if item["type"] == DeadLettersRetried.__name__
    ]


def retry(*arguments: str) -> Any:
    return CliRunner().invoke(app, ["dead", "retry", *arguments])


# --- the consumer's queue --------------------------------------------------------------------------------------------


def test_each_message_is_sent_to_its_consumer_again_until_it_is_done(stage: World) -> None:
    names = [*died(stage, "e-1", "e-2"), *died(stage, "e-1", consumer=OTHER)]
    seen: list[str] = []

    outcomes = retried(stage.connection, time=Time(work(stage, TO, OTHER, seen=seen)))

    assert sorted(seen) == sorted(names)
    assert by_id(outcomes) == dict.fromkeys(names, DONE)
    assert list(dead_letters(stage.connection, Selection())) == []


def test_a_message_without_its_card_numbers_is_replaced_by_the_event_in_the_store_or_skipped(stage: World) -> None:
    event = stage.recorded("OrderPlaced", "order/1001")
    inside = stage.died(event, TO, body=json.dumps({"id": "x", "detail": REMOVED}))
    outside = stage.died("e-1", TO, body=json.dumps({"id": "e-1", "detail": REMOVED}))
    seen: list[str] = []

    outcomes = retried(stage.connection, time=Time(work(stage, TO, seen=seen)))

    assert seen == [inside]
    assert by_id(outcomes) == {inside: DONE, outside: SKIPPED}
    (reason,) = [outcome.reason for outcome in outcomes if outcome.result == SKIPPED]
    assert reason.startswith("card numbers were removed from its message, which is not sent again without them")


def test_a_retry_is_recorded_and_noted_on_the_rows(stage: World) -> None:
    died(stage, "e-1", "e-2")
    time = Time()
    operation = RetryOperation(stage.connection, reason="the bank is back", wait=0, pause=time.pause, now=time.now)

    list(operation.run(dead_letters(stage.connection, Selection())))

    (event,) = recorded(stage)
    assert event.reason == "the bank is back"
    assert sorted(dead_letter.event for dead_letter in event.dead_letters) == ["e-1", "e-2"]
    row = stage.connection.ledger.find("e-1", TO)
    assert row is not None
    assert (row.state, row.details["retried"], row.details["body"]) == (DEAD, operation.operation_id, body_of("e-1"))


def test_a_dead_letter_that_is_dead_again_is_reported_with_its_new_error(stage: World) -> None:
    died(stage, "e-1", "e-2")

    def die_again() -> None:
        for event in arrived(stage):
            stage.connection.ledger.record_dead(
                LedgerEntry(
                    event, TO, DEAD, clock.now(), details={"error": "Worse", "reason": "r", "body": body_of(event)}
                )
            )

    outcomes = retried(stage.connection, Selection(consumer=TO), time=Time(die_again))
    again = retried(stage.connection, Selection(consumer=TO), time=Time(die_again))

    for found in (outcomes, again):
        assert {(outcome.dead_letter.event, outcome.result, outcome.error) for outcome in found} == {
            ("e-1", DEAD_AGAIN, "Worse"),
            ("e-2", DEAD_AGAIN, "Worse"),
        }


def test_a_dead_letter_that_dies_again_during_the_run_is_not_retried_twice(stage: World) -> None:
    died(stage, *(f"e-{number}" for number in range(60)))
    sent: list[str] = []

    def die_again(**_: Any) -> None:
        for event in arrived(stage):
            sent.append(event)
            stage.died(event, TO, body=body_of(event), after=10_000)

    stage.connection.sqs.meta.events.register("after-call.sqs.SendMessageBatch", die_again)
    everything = [*dead_letters(stage.connection, Selection()), *dead_letters(stage.connection, Selection())]
    time = Time()
    outcomes = list(RetryOperation(stage.connection, pause=time.pause, now=time.now).run(everything))

    assert len(sent) == 60
    assert by_id(outcomes) == {f"e-{number}@{TO}": DEAD_AGAIN for number in range(60)}


def test_changes_by_others_during_the_run_are_reported_and_kept(stage: World) -> None:
    died(stage, "e-1", "e-2", "e-3")
    known = list(dead_letters(stage.connection, Selection()))
    commit(stage, "e-1", TO)

    def discard() -> None:
        list(DiscardOperation(stage.connection, "a test").run(each for each in known if each.event == "e-2"))

    time = Time(discard)
    outcomes = list(RetryOperation(stage.connection, wait=1, pause=time.pause, now=time.now).run(known))

    assert by_id(outcomes) == {
        f"e-1@{TO}": NO_LONGER_DEAD,
        f"e-2@{TO}": WAS_DISCARDED,
        f"e-3@{TO}": IN_PROGRESS,
    }
    assert sorted(arrived(stage)) == ["e-2", "e-3"]


def test_an_event_that_is_committed_before_the_transaction_is_left_out(stage: World) -> None:
    died(stage, "e-1", "e-2", "e-3")
    waiting = iter([1])

    def commit_one(**_: Any) -> None:
        for _each in waiting:
            commit(stage, "e-2", TO)

    connection = Connection("dev")
    connection.dynamodb.meta.events.register("before-call.dynamodb.TransactWriteItems", commit_one)
    outcomes = retried(connection, wait=0)

    assert by_id(outcomes) == {f"e-1@{TO}": IN_PROGRESS, f"e-2@{TO}": NO_LONGER_DEAD, f"e-3@{TO}": IN_PROGRESS}
    assert sorted(arrived(stage)) == ["e-1", "e-3"]
    (event,) = recorded(stage)
    assert sorted(dead_letter.event for dead_letter in event.dead_letters) == ["e-1", "e-3"]


def test_no_more_are_sent_while_the_maximum_number_is_in_progress(stage: World) -> None:
    died(stage, *(f"e-{number}" for number in range(120)))

    outcomes = retried(stage.connection, Selection(consumer=TO), wait=30, most=50)

    assert len(arrived(stage)) == 50
    found = [outcome.result for outcome in outcomes]
    assert (found.count(IN_PROGRESS), found.count(NOT_SENT), len(found)) == (50, 50, 100)


def test_any_number_is_retried_as_long_as_there_are_results(stage: World) -> None:
    died(stage, *(f"e-{number}" for number in range(120)))

    outcomes = retried(stage.connection, Selection(consumer=TO), time=Time(work(stage, TO)), most=50)

    assert [outcome.result for outcome in outcomes] == [DONE] * 120


def test_the_rate_limit_is_not_exceeded(stage: World) -> None:
    died(stage, *(f"e-{number}" for number in range(7)))
    time, sent = Time(), []
    stage.connection.sqs.meta.events.register(
        "before-call.sqs.SendMessageBatch",
        lambda params, **_: sent.append((time.seconds, len(json.loads(params["body"])["Entries"]))),
    )

    retried(stage.connection, Selection(consumer=TO), time=time, rate=2, wait=0)

    assert sent == [(0, 2), (1, 2), (2, 2), (3, 1)]


def test_polls_back_off_until_the_time_to_wait_is_over(stage: World) -> None:
    died(stage, "e-1")
    time = Time()

    retried(stage.connection, time=time, wait=20)

    assert time.backoff[:5] == [0.2, 0.4, 0.8, 1.6, 3.2]
    assert max(time.backoff) == 5.0
    assert time.seconds == pytest.approx(20)


# --- errors of SQS ---------------------------------------------------------------------------------------------------


def answer(*answers: Mapping[str, Any]) -> Callable[..., Any]:
    waiting = iter(answers)

    def give(params: Mapping[str, Any], **_: Any) -> Any:
        for content in waiting:
            return AWSResponse(params["url"], 200, HTTPHeaders(), None), content
        return None

    return give


def test_a_message_that_sqs_rejects_temporarily_is_sent_again(stage: World) -> None:
    died(stage, "e-1", "e-2")
    failed = {"Failed": [{"Id": id_, "SenderFault": False, "Code": "InternalError"} for id_ in "01"]}
    stage.connection.sqs.meta.events.register("before-call.sqs.SendMessageBatch", answer(failed))

    retried(stage.connection, wait=0)

    assert sorted(arrived(stage)) == ["e-1", "e-2"]


def test_a_message_that_sqs_always_rejects_is_reported_and_stays_dead(stage: World) -> None:
    died(stage, "e-1")
    failed = {"Failed": [{"Id": "0", "SenderFault": True, "Code": "InvalidMessageContents", "Message": "no"}]}
    stage.connection.sqs.meta.events.register("before-call.sqs.SendMessageBatch", answer(failed))

    (outcome,) = retried(stage.connection)

    assert (outcome.result, outcome.reason) == (NOT_SENT, "InvalidMessageContents: no")
    assert [dead_letter.event for dead_letter in dead_letters(stage.connection, Selection())] == ["e-1"]


def test_requests_stay_below_the_size_limit_of_sqs(stage: World) -> None:
    for number in range(8):
        stage.died(f"e-{number}", TO, body=json.dumps({"id": f"e-{number}", "detail": "x" * 180_000}))
    sizes: list[int] = []
    stage.connection.sqs.meta.events.register(
        "before-call.sqs.SendMessageBatch", lambda params, **_: sizes.append(len(params["body"]))
    )

    retried(stage.connection, wait=0)

    assert len(sizes) == 2
    assert max(sizes) < 1_048_576 + 10_000
    assert len(arrived(stage)) == 8


# --- skipped dead letters --------------------------------------------------------------------------------------------


def test_a_dead_letter_of_a_removed_consumer_is_skipped_and_the_others_are_retried(stage: World) -> None:
    died(stage, "e-1")
    died(stage, "e-2", consumer="wrap-gift")

    outcomes = retried(stage.connection, time=Time(work(stage, TO)))

    assert by_id(outcomes) == {f"e-1@{TO}": DONE, "e-2@wrap-gift": SKIPPED}
    assert next(each.reason for each in outcomes if each.result == SKIPPED).startswith("wrap-gift has no queue")


@pytest.mark.parametrize(("can_query", "outcome"), [(False, SKIPPED), (True, IN_PROGRESS)])
def test_an_effect_that_cannot_query_its_outcome_is_not_retried(world: World, can_query: bool, outcome: str) -> None:
    world.listens("mail", "OrderPlaced")
    world.uses("mail", kind="effect", event="OrderPlaced", idempotency_key="email/{order_id}", can_query=can_query)
    died(world, "e-1", consumer="mail", error="OutcomeUnknown")

    (found,) = retried(world.connection, wait=0)

    assert found.result == outcome
    assert ("resolve it first" in found.reason) is (outcome == SKIPPED)
    assert len(world.bodies("mail")) == (outcome == IN_PROGRESS)


def test_a_dead_letter_without_a_body_is_skipped_and_the_others_are_retried(stage: World) -> None:
    died(stage, "e-1")
    stage.connection.ledger.record_dead(
        LedgerEntry("e-2", TO, DEAD, ms(1), details={"error": "E", "body_key": "dead/x"})
    )

    outcomes = retried(stage.connection, time=Time(work(stage, TO)))

    assert by_id(outcomes) == {f"e-1@{TO}": DONE, f"e-2@{TO}": SKIPPED}


# --- kills -----------------------------------------------------------------------------------------------------------


def arrives_though_killed(stage: World, moment: Moment) -> bool:
    """Retry three dead letters. If the process was killed, repeat: each message arrives. Returns whether it was."""
    call, after = moment
    names = [
        *died(stage, f"e-{call}-{after}", f"f-{call}-{after}"),
        *died(stage, f"e-{call}-{after}", consumer=OTHER),
    ]
    try:
        retried(killed_at(call, after=after), wait=0)
    except Death:
        still = {dead_letter.id for dead_letter in dead_letters(stage.connection, Selection())}
        assert still == set(names)  # nothing has committed them, so they are dead
        seen: list[str] = []
        outcomes = retried(stage.connection, time=Time(work(stage, TO, OTHER, seen=seen)))
        assert by_id(outcomes) == dict.fromkeys(names, DONE)
        assert set(seen) == set(names)
        return True
    return False


# Kills at every call: tests/deep/ops.
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_after_a_kill_while_sending_a_repeated_command_loses_no_message(stage: World, after: bool) -> None:
    assert arrives_though_killed(stage, ("SendMessageBatch", after))


# --- dead letters of publish and fire-timers -------------------------------------------------------------------------


def publishes(world: World, *answers: Mapping[str, Any]) -> tuple[Connection, list[Mapping[str, Any]]]:
    """A connection on which republish has these answers, and the list of its requests."""
    world.uses("publish")
    requests: list[Mapping[str, Any]] = []
    waiting = iter(answers)

    def give(params: Mapping[str, Any], **_: Any) -> Any:
        requests.append(json.loads(params["body"]))

        class Payload:
            content = json.dumps(next(waiting))

            def read(self) -> bytes:
                return self.content.encode()

        return AWSResponse(params["url"], 200, HTTPHeaders(), None), {"StatusCode": 200, "Payload": Payload()}

    session = new_session()
    session.events.register("before-call.lambda.Invoke", give)
    return Connection("dev", session), requests


def test_a_dead_letter_of_publish_is_published_again_by_republish(world: World) -> None:
    event = world.recorded("OrderPlaced", "order/1", after=-600_000)
    name = world.died(event, "publish", "InternalException", body=as_json(event_item(event)))
    connection, requests = publishes(world, {"published": 1, "set_aside": 0, "next": None})

    outcomes = retried(connection)

    assert by_id(outcomes) == {name: DONE}
    (span,) = requests
    assert span["since"] == event.metadata.recorded_at
    assert clock.moment(span["until"]) > clock.moment(span["since"])
    entry = world.connection.ledger.find(event.metadata.id, "publish")
    assert entry is not None
    assert (entry.state, "body" in entry.details, "dead" in entry.details) == (COMMITTED, False, False)
    assert [dead_letter.event for each in recorded(world) for dead_letter in each.dead_letters] == [event.metadata.id]


def test_a_batch_that_publish_has_given_up_is_published_by_its_period_in_several_calls(
    world: World,
) -> None:
    batch = {
        "approximateArrivalOfFirstRecord": "2026-03-01T09:30:00Z",
        "approximateArrivalOfLastRecord": "2026-03-01T09:31:00Z",
    }
    name = world.died("body-1", "publish", "MaxReceiveCount", body=json.dumps({"DDBStreamBatchInfo": batch}))
    connection, requests = publishes(
        world,
        {"published": 100, "set_aside": 0, "next": "2026-03-01T09:30:30.000000Z"},
        {"published": 20, "set_aside": 0, "next": None},
    )

    outcomes = retried(connection)

    assert by_id(outcomes) == {name: DONE}
    assert [span["since"] for span in requests] == ["2026-03-01T09:28:00.000000Z", "2026-03-01T09:30:30.000000Z"]
    assert {span["until"] for span in requests} == {"2026-03-01T09:32:00.000000Z"}


@pytest.mark.parametrize(
    ("expected", "outcome"),
    [
        ({"published": 0, "set_aside": 1, "next": None}, DEAD_AGAIN),
        ({"published": 0, "set_aside": 0, "next": None}, SKIPPED),
        ({"errorMessage": "EventBridge did not take 1 entries", "errorType": "NotPublished"}, SKIPPED),
    ],
)
def test_an_event_that_republish_cannot_publish_stays_dead(
    world: World, expected: Mapping[str, Any], outcome: str
) -> None:
    event = world.recorded("OrderPlaced", "order/1", after=-600_000)
    world.died(event, "publish", "MalformedDetail", body=as_json(event_item(event)))
    connection, _ = publishes(world, expected)

    (found,) = retried(connection)

    assert found.result == outcome
    assert len(list(dead_letters(world.connection, Selection()))) == 1
    assert recorded(world) == []


def test_a_dead_letter_whose_period_the_journal_may_lack_is_skipped(world: World) -> None:
    at = (clock.moment(clock.now()) - clock.moment(ms(0))).total_seconds() * 1000
    event = world.recorded("OrderPlaced", "order/1", after=at)
    world.died(event, "publish", "MalformedDetail", body=as_json(event_item(event)))

    (found,) = retried(world.connection)

    assert (found.result, "journal" in found.reason) == (SKIPPED, True)


@pytest.mark.parametrize("body", ["{}", "[]", "not JSON", '{"DDBStreamBatchInfo": {"shardId": "1"}}'])
def test_unreadable_dead_letters_of_publish_and_fire_timers_are_skipped(world: World, body: str) -> None:
    world.died("body-1", "publish", "NotAnEvent", body=body)
    world.died("body-2", "fire-timers", "NotATimer", body=body)

    assert {outcome.result for outcome in retried(world.connection)} == {SKIPPED}


def a_timer(order: str = "1001", *, place: Place = Place.CONTINUES) -> Timer:
    draft = Draft(
        id=f"window-{order}",
        type="PaymentWindowEnded",
        version=1,
        stream=f"order/{order}",
        time=ms(0),
        data=json.dumps({"order_id": order}),
        producer="place-order",
        source="daybook.orders",
    )
    return Timer.proven(draft, place, writer("place-order"))


def set_aside(world: World, timer: Timer, *, row: bool = False) -> str:
    """Record a dead letter as fire-timers does. `row`: fire-timers was killed before it deleted the timer's row."""
    item = to_item(timer)
    dynamodb: Any = world.connection.dynamodb
    if row:
        dynamodb.put_item(TableName=world.names.due, Item=item)
    assert from_item(item) == timer
    return world.died(timer.draft.id, "fire-timers", "StreamNotOpen", body=as_json(item))


def types(world: World, stream: str) -> list[str]:
    return [envelope.metadata.type for envelope in world.connection.store.stream(stream)]


def test_a_timer_without_a_valid_proof_is_not_recorded(world: World) -> None:
    world.recorded("OrderPlaced", "order/1001")
    set_aside(world, replace(a_timer(), proof=bytes(32)))

    (result,) = retried(world.connection)

    assert (result.result, str(result.reason).partition(":")[0]) == (
        SKIPPED,
        "it was not scheduled by the consumer that it names",
    )
    assert types(world, "order/1001") == ["OrderPlaced"]


@pytest.mark.parametrize("row", [False, True])
def test_a_dead_letter_of_fire_timers_is_recorded_when_its_stream_exists(world: World, row: bool) -> None:
    name = set_aside(world, a_timer(), row=row)

    (before,) = retried(world.connection)
    world.recorded("OrderPlaced", "order/1001")
    outcomes = [*retried(world.connection), *retried(world.connection)]

    assert (before.result, before.reason) == (SKIPPED, "it continues a stream that does not exist yet")
    assert by_id(outcomes) == {name: DONE}
    assert types(world, "order/1001") == ["OrderPlaced", "PaymentWindowEnded"]
    assert world.connection.dynamodb.scan(TableName=world.names.due)["Items"] == []
    assert [dead_letter.event for each in recorded(world) for dead_letter in each.dead_letters] == ["window-1001"]


def test_a_timer_that_is_already_recorded_is_only_completed(world: World) -> None:
    world.recorded("OrderPlaced", "order/1001")
    name = set_aside(world, a_timer())
    world.recorded("PaymentWindowEnded", "order/1001", event_id="window-1001")
    world.recorded("OrderConfirmed", "order/1001")

    assert by_id(retried(world.connection)) == {name: DONE}

    assert types(world, "order/1001") == ["OrderPlaced", "PaymentWindowEnded", "OrderConfirmed"]


def timer_recorded_once_though_killed(world: World, moment: Moment) -> bool:
    """Retry a timer. If the process was killed, repeat: its event is recorded once. Returns whether it was."""
    call, after = moment
    order = f"{call}-{after}"
    world.recorded("OrderPlaced", f"order/{order}")
    set_aside(world, a_timer(order))
    try:
        retried(killed_at(call, after=after))
    except Death:
        retried(world.connection)
        assert types(world, f"order/{order}") == ["OrderPlaced", "PaymentWindowEnded"]
        assert list(dead_letters(world.connection, Selection())) == []
        return True
    return False


# Kills at every call: tests/deep/ops.
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_timer_is_recorded_once_if_the_command_is_killed_at_the_transaction(world: World, after: bool) -> None:
    assert timer_recorded_once_though_killed(world, ("TransactWriteItems", after))


def test_a_timer_is_appended_after_events_recorded_meanwhile(world: World) -> None:
    world.recorded("OrderPlaced", "order/1001")
    set_aside(world, a_timer())
    waiting = iter([1])

    def grow(**_: Any) -> None:
        for _each in waiting:
            world.recorded("OrderConfirmed", "order/1001")

    connection = Connection("dev")
    connection.dynamodb.meta.events.register("before-call.dynamodb.TransactWriteItems", grow)
    retried(connection)

    assert types(world, "order/1001") == ["OrderPlaced", "OrderConfirmed", "PaymentWindowEnded"]


# --- the command -----------------------------------------------------------------------------------------------------


def test_without_a_selection_nothing_is_retried(stage: World) -> None:
    died(stage, "e-1")

    shown = retry("--apply")

    assert shown.exit_code == 2
    assert "--all" in shown.stderr
    assert arrived(stage) == []


def test_without_apply_it_prints_what_it_would_do_and_changes_nothing(stage: World) -> None:
    died(stage, "e-1", "e-2")
    died(stage, "e-3", consumer="wrap-gift")

    shown = retry("--all")

    assert shown.exit_code == 0
    for expected in ("Would retry 2 dead letters", TO, "KeyError", "wrap-gift has no queue", "--apply"):
        assert expected in shown.stdout
    assert arrived(stage) == []
    assert recorded(stage) == []


def test_first_selects_the_oldest_dead_letters(stage: World) -> None:
    died(stage, "e-1", "e-2", "e-3")
    stage.died("e-0", OTHER, body=body_of("e-0"), after=-1)

    shown = retry("--all", "--first", "2", "--apply", "--wait", "0")

    assert shown.exit_code == 1
    assert arrived(stage, TO, OTHER) == ["e-1", "e-0"]
    assert "2 in progress" in shown.stdout
    assert "daybook dead --stage dev" in shown.stderr


def test_a_few_dead_letters_are_listed_by_id_in_preview_and_result(stage: World) -> None:
    canary, second = died(stage, "e-1", "e-2")
    died(stage, *(f"f-{number}" for number in range(5)), consumer=OTHER)

    before = retry("--consumer", TO, "--first", "1").stdout
    after = retry("--consumer", TO, "--first", "1", "--apply", "--wait", "0").stdout
    many = retry("--all").stdout + retry("--all", "--apply", "--wait", "0").stdout

    assert f"\n  {canary}\n" in before
    assert after == f"1 in progress.\n  {canary}  in progress\n"
    for name in (canary, second):
        assert name not in many


def test_the_progress_has_the_number_of_sent_dead_letters(stage: World) -> None:
    died(stage, *(f"e-{number}" for number in range(5)))
    time, reports = Time(), []
    operation = RetryOperation(stage.connection, rate=2, wait=0, pause=time.pause, now=time.now)
    meant = dead_letters(stage.connection, Selection())

    list(operation.run(meant, progress=lambda: reports.append((time.seconds, operation.sent))))

    assert reports[:3] == [(0, 2), (1, 4), (2, 5)]


def test_a_terminal_shows_the_number_of_sent_dead_letters(stage: World, monkeypatch: pytest.MonkeyPatch) -> None:
    died(stage, "e-1", "e-2")
    monkeypatch.setenv("FORCE_COLOR", "1")

    shown = retry("--all", "--apply", "--wait", "0")

    assert "2 sent; no results yet, 2 in progress" in shown.stderr
    assert "sent" not in shown.stdout


def test_with_json_it_prints_one_object_per_dead_letter_and_a_summary(stage: World) -> None:
    name, _ = died(stage, "e-1", "e-2")
    died(stage, "e-3", consumer="wrap-gift")

    shown = retry(name, "e-3@wrap-gift", "--apply", "--wait", "0", "--json", "--reason", "fixed")
    *each, summary = [json.loads(line) for line in shown.stdout.splitlines()]

    assert {line["id"]: line["result"] for line in each} == {name: IN_PROGRESS, "e-3@wrap-gift": SKIPPED}
    assert summary["results"] == {IN_PROGRESS: 1, SKIPPED: 1}
    assert [(group["consumer"], group["count"]) for group in summary["failures"]] == [("wrap-gift", 1)]
    assert recorded(stage)[0].operation_id == summary["operation"]


def test_an_unknown_dead_letter_is_an_error_and_nothing_is_sent(stage: World) -> None:
    (name,) = died(stage, "e-1")

    shown = retry(name, "e-2", "--apply")

    assert shown.exit_code == 1
    assert "not a dead letter" in shown.stderr
    assert arrived(stage) == []


def test_ids_and_other_criteria_cannot_be_combined(stage: World) -> None:
    (name,) = died(stage, "e-1")

    for arguments in ((name, "--consumer", TO), (name, "--all"), ("--consumer", TO, "--all")):
        assert retry(*arguments, "--apply").exit_code == 2
    assert retry("--all", "--reason", "x" * 501, "--apply").exit_code == 2
    assert arrived(stage) == []
