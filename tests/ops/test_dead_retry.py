"""`daybook dead retry`: dead letters are processed again, none is lost, and each is followed to its end."""

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import pytest
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from typer.testing import CliRunner

from daybook.contracts import clock
from daybook.contracts.contract import Place
from daybook.contracts.operations import DeadLettersRetried
from daybook.operate.connection import Connection, new_session
from daybook.operate.dead_letters.index import Selection, dead_letters
from daybook.operate.dead_letters.results import (
    BEING_TRIED,
    DEAD_AGAIN,
    DECIDED_BEFORE,
    DISCARDED_MEANWHILE,
    DONE,
    NOT_SENT,
    REFUSED,
    Result,
)
from daybook.operate.dead_letters.retry import Retrying
from daybook.operate.program import app
from daybook.store.attributes import pack, pack_item, unpack_item
from daybook.store.event_store import Draft, to_item
from daybook.store.ledger import COMMITTED, DEAD, DISCARDED, Entry
from daybook.store.timers import Timer, from_item
from tests.ops.deaths import Moment, dying
from tests.ops.world import World, ms
from tests.unit.faults import Death

TO, OTHER = "confirm-order", "reserve-stock"


class Time:
    """A clock that moves as one waits; meanwhile `happens` what others do."""

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
    """A stage in which two consumers listen."""
    for consumer in (TO, OTHER):
        world.listens(consumer, "OrderPlaced")
        world.uses(consumer, kind="reaction", event="OrderPlaced")
    return world


def arrived(world: World, *consumers: str) -> list[str]:
    """The ids of the events that are new in the consumers' queues."""
    return [body["id"] for consumer in consumers or (TO,) for body in world.arrived(consumer)]


def work(world: World, *consumers: str, seen: list[str] | None = None) -> Callable[[], None]:
    """The consumers commit whatever is in their queues."""

    def act() -> None:
        for consumer in consumers:
            for body in world.arrived(consumer):
                commit(world, body["id"], consumer)
                if seen is not None:
                    seen.append(f"{body['id']}@{consumer}")

    return act


def commit(world: World, event: str, consumer: str, *emitted: str) -> None:
    entry = Entry(event, consumer, COMMITTED, clock.now(), emitted=emitted)
    # What comes a second time ends at the condition.
    with suppress(world.connection.dynamodb.exceptions.ConditionalCheckFailedException):
        world.connection.dynamodb.update_item(**world.connection.ledger.record(entry)["Update"])


def body_of(event: str) -> str:
    return json.dumps({"id": event, "detail": {}})


def died(world: World, *events: str, consumer: str = TO, **details: Any) -> list[str]:
    return [world.died(event, consumer, body=body_of(event), after=n, **details) for n, event in enumerate(events)]


def retried(
    connection: Connection, selection: Selection | None = None, *, time: Time | None = None, **options: Any
) -> list[Result]:
    time = time or Time()
    retrying = Retrying(connection, pause=time.pause, now=time.now, **options)
    return list(retrying.run(dead_letters(connection, selection or Selection())))


def by_id(outcomes: list[Result]) -> dict[str, str]:
    return {outcome.dead_letter.id: outcome.result for outcome in outcomes}


def recorded(world: World) -> list[DeadLettersRetried]:
    """All that is recorded of retries."""
    items = world.connection.dynamodb.scan(TableName=world.names.store)["Items"]
    found = [unpack_item(item) for item in items]
    return [
        DeadLettersRetried.read(item["data"], version=1)
        for item in found
        if item["type"] == DeadLettersRetried.__name__
    ]


def retry(*arguments: str) -> Any:
    return CliRunner().invoke(app, ["dead", "retry", *arguments])


# --- to the consumer's queue -----------------------------------------------------------------------------------------


def test_each_message_comes_to_its_consumers_queue_again_and_is_followed_until_it_is_done(stage: World) -> None:
    names = [*died(stage, "e-1", "e-2"), *died(stage, "e-1", consumer=OTHER)]
    seen: list[str] = []

    outcomes = retried(stage.connection, time=Time(work(stage, TO, OTHER, seen=seen)))

    assert sorted(seen) == sorted(names)
    assert by_id(outcomes) == dict.fromkeys(names, DONE)
    assert list(dead_letters(stage.connection, Selection())) == []


def test_that_dead_letters_are_retried_is_recorded_and_noted_on_their_rows(stage: World) -> None:
    died(stage, "e-1", "e-2")
    time = Time()
    retrying = Retrying(stage.connection, reason="the bank is back", wait=0, pause=time.pause, now=time.now)

    list(retrying.run(dead_letters(stage.connection, Selection())))

    (event,) = recorded(stage)
    assert event.reason == "the bank is back"
    assert sorted(dead_letter.event for dead_letter in event.dead_letters) == ["e-1", "e-2"]
    row = stage.connection.ledger.find("e-1", TO)
    assert row is not None
    assert (row.state, row.details["retried"], row.details["body"]) == (DEAD, retrying.operation_id, body_of("e-1"))


def test_a_dead_letter_that_is_dead_again_is_told_with_its_new_reason_and_not_tried_for_ever(stage: World) -> None:
    died(stage, "e-1", "e-2")

    def die_again() -> None:
        for event in arrived(stage):
            stage.connection.ledger.record_dead(
                Entry(event, TO, DEAD, clock.now(), details={"error": "Worse", "reason": "r", "body": body_of(event)})
            )

    outcomes = retried(stage.connection, Selection(consumer=TO), time=Time(die_again))
    again = retried(stage.connection, Selection(consumer=TO), time=Time(die_again))

    for found in (outcomes, again):
        assert {(outcome.dead_letter.event, outcome.result, outcome.error) for outcome in found} == {
            ("e-1", DEAD_AGAIN, "Worse"),
            ("e-2", DEAD_AGAIN, "Worse"),
        }


def test_a_dead_letter_that_dies_again_while_others_are_still_read_is_not_met_a_second_time(stage: World) -> None:
    died(stage, *(f"e-{number}" for number in range(60)))
    sent: list[str] = []

    def die_again(**_: Any) -> None:
        for event in arrived(stage):
            sent.append(event)
            stage.died(event, TO, body=body_of(event), after=10_000)

    stage.connection.sqs.meta.events.register("after-call.sqs.SendMessageBatch", die_again)
    everything = [*dead_letters(stage.connection, Selection()), *dead_letters(stage.connection, Selection())]
    time = Time()
    outcomes = list(Retrying(stage.connection, pause=time.pause, now=time.now).run(everything))

    assert len(sent) == 60
    assert by_id(outcomes) == {f"e-{number}@{TO}": DEAD_AGAIN for number in range(60)}


def test_what_others_decide_meanwhile_is_told_and_left_as_they_have_it(stage: World) -> None:
    died(stage, "e-1", "e-2", "e-3")
    known = list(dead_letters(stage.connection, Selection()))
    commit(stage, "e-1", TO)

    def discard() -> None:
        stage.connection.dynamodb.update_item(
            TableName=stage.names.ledger,
            Key=pack_item({"event": "e-2", "consumer": TO}),
            UpdateExpression="SET #state = :discarded",
            ExpressionAttributeNames={"#state": "state"},
            ExpressionAttributeValues={":discarded": pack(DISCARDED)},
        )

    time = Time(discard)
    outcomes = list(Retrying(stage.connection, wait=1, pause=time.pause, now=time.now).run(known))

    assert by_id(outcomes) == {
        f"e-1@{TO}": DECIDED_BEFORE,
        f"e-2@{TO}": DISCARDED_MEANWHILE,
        f"e-3@{TO}": BEING_TRIED,
    }
    assert sorted(arrived(stage)) == ["e-2", "e-3"]


def test_what_is_done_between_the_look_and_the_note_is_left_out_and_the_rest_goes_on(stage: World) -> None:
    died(stage, "e-1", "e-2", "e-3")
    waiting = iter([1])

    def commit_one(**_: Any) -> None:
        for _each in waiting:
            commit(stage, "e-2", TO)

    connection = Connection("dev")
    connection.dynamodb.meta.events.register("before-call.dynamodb.TransactWriteItems", commit_one)
    outcomes = retried(connection, wait=0)

    assert by_id(outcomes) == {f"e-1@{TO}": BEING_TRIED, f"e-2@{TO}": DECIDED_BEFORE, f"e-3@{TO}": BEING_TRIED}
    assert sorted(arrived(stage)) == ["e-1", "e-3"]
    (event,) = recorded(stage)
    assert sorted(dead_letter.event for dead_letter in event.dead_letters) == ["e-1", "e-3"]


def test_at_most_so_many_are_under_way_and_if_none_of_them_ends_no_more_are_sent(stage: World) -> None:
    died(stage, *(f"e-{number}" for number in range(120)))

    outcomes = retried(stage.connection, Selection(consumer=TO), wait=30, most=50)

    assert len(arrived(stage)) == 50
    found = [outcome.result for outcome in outcomes]
    assert (found.count(BEING_TRIED), found.count(NOT_SENT), len(found)) == (50, 50, 100)


def test_all_are_tried_however_many_there_are_as_long_as_they_come_to_an_end(stage: World) -> None:
    died(stage, *(f"e-{number}" for number in range(120)))

    outcomes = retried(stage.connection, Selection(consumer=TO), time=Time(work(stage, TO)), most=50)

    assert [outcome.result for outcome in outcomes] == [DONE] * 120


def test_no_more_are_sent_in_a_second_than_is_wished_for(stage: World) -> None:
    died(stage, *(f"e-{number}" for number in range(7)))
    time, sent = Time(), []
    stage.connection.sqs.meta.events.register(
        "before-call.sqs.SendMessageBatch",
        lambda params, **_: sent.append((time.seconds, len(json.loads(params["body"])["Entries"]))),
    )

    retried(stage.connection, Selection(consumer=TO), time=time, rate=2, wait=0)

    assert sent == [(0, 2), (1, 2), (2, 2), (3, 1)]


def test_the_next_look_is_later_each_time_until_the_time_to_wait_for_is_over(stage: World) -> None:
    died(stage, "e-1")
    time = Time()

    retried(stage.connection, time=time, wait=20)

    assert time.backoff[:5] == [0.2, 0.4, 0.8, 1.6, 3.2]
    assert max(time.backoff) == 5.0
    assert time.seconds == pytest.approx(20)


# --- what SQS does ---------------------------------------------------------------------------------------------------


def answer(*answers: Mapping[str, Any]) -> Callable[..., Any]:
    waiting = iter(answers)

    def give(params: Mapping[str, Any], **_: Any) -> Any:
        for content in waiting:
            return AWSResponse(params["url"], 200, HTTPHeaders(), None), content
        return None

    return give


def test_what_sqs_could_not_take_just_then_is_sent_again(stage: World) -> None:
    died(stage, "e-1", "e-2")
    failed = {"Failed": [{"Id": id_, "SenderFault": False, "Code": "InternalError"} for id_ in "01"]}
    stage.connection.sqs.meta.events.register("before-call.sqs.SendMessageBatch", answer(failed))

    retried(stage.connection, wait=0)

    assert sorted(arrived(stage)) == ["e-1", "e-2"]


def test_what_sqs_never_takes_is_told_with_its_reason_and_stays_dead(stage: World) -> None:
    died(stage, "e-1")
    failed = {"Failed": [{"Id": "0", "SenderFault": True, "Code": "InvalidMessageContents", "Message": "no"}]}
    stage.connection.sqs.meta.events.register("before-call.sqs.SendMessageBatch", answer(failed))

    (outcome,) = retried(stage.connection)

    assert (outcome.result, outcome.reason) == (NOT_SENT, "InvalidMessageContents: no")
    assert [dead_letter.event for dead_letter in dead_letters(stage.connection, Selection())] == ["e-1"]


def test_requests_stay_below_what_sqs_takes_at_once(stage: World) -> None:
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


# --- what is not tried again -----------------------------------------------------------------------------------------


def test_a_dead_letter_whose_consumer_is_gone_is_refused_and_the_others_go_on(stage: World) -> None:
    died(stage, "e-1")
    died(stage, "e-2", consumer="wrap-gift")

    outcomes = retried(stage.connection, time=Time(work(stage, TO)))

    assert by_id(outcomes) == {f"e-1@{TO}": DONE, "e-2@wrap-gift": REFUSED}
    assert next(each.reason for each in outcomes if each.result == REFUSED).startswith("wrap-gift has no queue")


@pytest.mark.parametrize(("can_ask", "outcome"), [(False, REFUSED), (True, BEING_TRIED)])
def test_an_effect_that_cannot_ask_how_it_ended_is_not_retried(world: World, can_ask: bool, outcome: str) -> None:
    world.listens("mail", "OrderPlaced")
    world.uses("mail", kind="effect", event="OrderPlaced", idempotency_key="letter/{order_id}", can_ask=can_ask)
    died(world, "e-1", consumer="mail", error="OutcomeUnknown")

    (found,) = retried(world.connection, wait=0)

    assert found.result == outcome
    assert ("resolve it first" in found.reason) is (outcome == REFUSED)
    assert len(world.bodies("mail")) == (outcome == BEING_TRIED)


def test_a_body_that_is_not_where_it_should_be_is_told_and_the_others_go_on(stage: World) -> None:
    died(stage, "e-1")
    stage.connection.ledger.record_dead(Entry("e-2", TO, DEAD, ms(1), details={"error": "E", "body_key": "dead/x"}))

    outcomes = retried(stage.connection, time=Time(work(stage, TO)))

    assert by_id(outcomes) == {f"e-1@{TO}": DONE, f"e-2@{TO}": REFUSED}


# --- killed at any moment --------------------------------------------------------------------------------------------


def arrives_though_killed(stage: World, moment: Moment) -> bool:
    """Retry three dead letters. Death and repeated: each message arrives. Returns whether the process was killed."""
    call, after = moment
    names = [
        *died(stage, f"e-{call}-{after}", f"f-{call}-{after}"),
        *died(stage, f"e-{call}-{after}", consumer=OTHER),
    ]
    try:
        retried(dying(call, after=after), wait=0)
    except Death:
        still = {dead_letter.id for dead_letter in dead_letters(stage.connection, Selection())}
        assert still == set(names)  # nothing has committed them, and so they are dead
        seen: list[str] = []
        outcomes = retried(stage.connection, time=Time(work(stage, TO, OTHER, seen=seen)))
        assert by_id(outcomes) == dict.fromkeys(names, DONE)
        assert set(seen) == set(names)
        return True
    return False


# Death at every call: tests/deep/ops.
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_killed_while_sending_and_repeated_each_message_has_arrived_and_none_is_lost(stage: World, after: bool) -> None:
    assert arrives_though_killed(stage, ("SendMessageBatch", after))


# --- what publish and fire-timers have set aside --------------------------------------------------------------------


def publishes(world: World, *answers: Mapping[str, Any]) -> tuple[Connection, list[Mapping[str, Any]]]:
    """A connection by which publish answers so. The list grows by what it is asked."""
    world.uses("publish")
    asked: list[Mapping[str, Any]] = []
    waiting = iter(answers)

    def give(params: Mapping[str, Any], **_: Any) -> Any:
        asked.append(json.loads(params["body"]))

        class Payload:
            content = json.dumps(next(waiting))

            def read(self) -> bytes:
                return self.content.encode()

        return AWSResponse(params["url"], 200, HTTPHeaders(), None), {"StatusCode": 200, "Payload": Payload()}

    session = new_session()
    session.events.register("before-call.lambda.Invoke", give)
    return Connection("dev", session), asked


def test_an_event_that_publish_has_set_aside_is_published_again_by_publish(world: World) -> None:
    event = world.recorded("OrderPlaced", "order/1", after=-600_000)
    name = world.died(event, "publish", "InternalException", body=json.dumps(to_item(event)))
    connection, asked = publishes(world, {"published": 1, "set_aside": 0, "next": None})

    outcomes = retried(connection)

    assert by_id(outcomes) == {name: DONE}
    (span,) = asked
    assert span["since"] == event.metadata.recorded_at
    assert clock.moment(span["until"]) > clock.moment(span["since"])
    entry = world.connection.ledger.find(event.metadata.id, "publish")
    assert entry is not None
    assert (entry.state, "body" in entry.details, "dead" in entry.details) == (COMMITTED, False, False)
    assert [dead_letter.event for each in recorded(world) for dead_letter in each.dead_letters] == [event.metadata.id]


def test_a_batch_of_the_stream_that_was_given_up_is_published_by_its_span_however_often_one_must_ask(
    world: World,
) -> None:
    batch = {
        "approximateArrivalOfFirstRecord": "2026-03-01T09:30:00Z",
        "approximateArrivalOfLastRecord": "2026-03-01T09:31:00Z",
    }
    name = world.died("body-1", "publish", "GivenUp", body=json.dumps({"DDBStreamBatchInfo": batch}))
    connection, asked = publishes(
        world,
        {"published": 100, "set_aside": 0, "next": "2026-03-01T09:30:30.000000Z"},
        {"published": 20, "set_aside": 0, "next": None},
    )

    outcomes = retried(connection)

    assert by_id(outcomes) == {name: DONE}
    assert [span["since"] for span in asked] == ["2026-03-01T09:28:00.000000Z", "2026-03-01T09:30:30.000000Z"]
    assert {span["until"] for span in asked} == {"2026-03-01T09:32:00.000000Z"}


@pytest.mark.parametrize(
    ("said", "outcome"),
    [
        ({"published": 0, "set_aside": 1, "next": None}, DEAD_AGAIN),
        ({"published": 0, "set_aside": 0, "next": None}, REFUSED),
        ({"errorMessage": "EventBridge did not take 1 entries", "errorType": "NotPublished"}, REFUSED),
    ],
)
def test_what_publish_cannot_publish_stays_dead(world: World, said: Mapping[str, Any], outcome: str) -> None:
    event = world.recorded("OrderPlaced", "order/1", after=-600_000)
    world.died(event, "publish", "MalformedDetail", body=json.dumps(to_item(event)))
    connection, _ = publishes(world, said)

    (found,) = retried(connection)

    assert found.result == outcome
    assert len(list(dead_letters(world.connection, Selection()))) == 1
    assert recorded(world) == []


def test_what_the_journal_may_still_lack_is_published_later(world: World) -> None:
    at = (clock.moment(clock.now()) - clock.moment(ms(0))).total_seconds() * 1000
    event = world.recorded("OrderPlaced", "order/1", after=at)
    world.died(event, "publish", "MalformedDetail", body=json.dumps(to_item(event)))

    (found,) = retried(world.connection)

    assert (found.result, "journal" in found.reason) == (REFUSED, True)


@pytest.mark.parametrize("body", ["{}", "[]", "not JSON", '{"DDBStreamBatchInfo": {"shardId": "1"}}'])
def test_what_publish_and_fire_timers_left_and_nobody_can_read_is_refused(world: World, body: str) -> None:
    world.died("body-1", "publish", "NotAnEvent", body=body)
    world.died("body-2", "fire-timers", "NotATimer", body=body)

    assert {outcome.result for outcome in retried(world.connection)} == {REFUSED}


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
    return Timer(draft, place)


def set_aside(world: World, timer: Timer, *, row: bool = False) -> str:
    """As fire-timers does it; with `row` it has died before it could take the timer's row away."""
    item = pack_item({**timer.key, **{n: getattr(timer.draft, n) for n in Draft.__dataclass_fields__}, "place": "x"})
    item["place"] = pack(str(timer.place))
    dynamodb: Any = world.connection.dynamodb
    if row:
        dynamodb.put_item(TableName=world.names.due, Item=item)
    assert from_item(item) == timer
    return world.died(timer.draft.id, "fire-timers", "StreamNotOpen", body=json.dumps(unpack_item(item), default=str))


def types(world: World, stream: str) -> list[str]:
    return [envelope.metadata.type for envelope in world.connection.store.stream(stream)]


@pytest.mark.parametrize("row", [False, True])
def test_a_timer_that_fire_timers_has_set_aside_is_recorded_once_its_stream_is_open(world: World, row: bool) -> None:
    name = set_aside(world, a_timer(), row=row)

    (before,) = retried(world.connection)
    world.recorded("OrderPlaced", "order/1001")
    outcomes = [*retried(world.connection), *retried(world.connection)]

    assert (before.result, before.reason) == (REFUSED, "nothing has opened the stream that it continues")
    assert by_id(outcomes) == {name: DONE}
    assert types(world, "order/1001") == ["OrderPlaced", "PaymentWindowEnded"]
    assert world.connection.dynamodb.scan(TableName=world.names.due)["Items"] == []
    assert [dead_letter.event for each in recorded(world) for dead_letter in each.dead_letters] == ["window-1001"]


def test_a_timer_that_was_recorded_meanwhile_is_only_taken_off(world: World) -> None:
    world.recorded("OrderPlaced", "order/1001")
    name = set_aside(world, a_timer())
    world.recorded("PaymentWindowEnded", "order/1001", event_id="window-1001")
    world.recorded("OrderConfirmed", "order/1001")

    assert by_id(retried(world.connection)) == {name: DONE}

    assert types(world, "order/1001") == ["OrderPlaced", "PaymentWindowEnded", "OrderConfirmed"]


def timer_recorded_once_though_killed(world: World, moment: Moment) -> bool:
    """Retry a timer. Death and repeated: its event is in its stream once. Returns whether the process was killed."""
    call, after = moment
    order = f"{call}-{after}"
    world.recorded("OrderPlaced", f"order/{order}")
    set_aside(world, a_timer(order))
    try:
        retried(dying(call, after=after))
    except Death:
        retried(world.connection)
        assert types(world, f"order/{order}") == ["OrderPlaced", "PaymentWindowEnded"]
        assert list(dead_letters(world.connection, Selection())) == []
        return True
    return False


# Death at every call: tests/deep/ops.
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_timer_is_recorded_once_though_the_command_is_killed_at_the_transaction(world: World, after: bool) -> None:
    assert timer_recorded_once_though_killed(world, ("TransactWriteItems", after))


def test_a_timer_whose_stream_has_grown_meanwhile_stands_behind_that(world: World) -> None:
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


def test_without_a_word_on_which_dead_letters_nothing_is_done(stage: World) -> None:
    died(stage, "e-1")

    shown = retry("--apply")

    assert shown.exit_code == 2
    assert "--all" in shown.stderr
    assert arrived(stage) == []


def test_without_apply_it_says_what_it_would_do_and_changes_nothing(stage: World) -> None:
    died(stage, "e-1", "e-2")
    died(stage, "e-3", consumer="wrap-gift")

    shown = retry("--all")

    assert shown.exit_code == 0
    for told in ("Would retry 2 dead letters", TO, "KeyError", "wrap-gift has no queue", "--apply"):
        assert told in shown.stdout
    assert arrived(stage) == []
    assert recorded(stage) == []


def test_the_first_are_those_that_died_first(stage: World) -> None:
    died(stage, "e-1", "e-2", "e-3")
    stage.died("e-0", OTHER, body=body_of("e-0"), after=-1)

    shown = retry("--all", "--first", "2", "--apply", "--wait", "0")

    assert shown.exit_code == 1
    assert arrived(stage, TO, OTHER) == ["e-1", "e-0"]
    assert "2 being tried" in shown.stdout
    assert "daybook dead --stage dev" in shown.stderr


def test_a_few_dead_letters_are_called_by_their_names_before_and_after(stage: World) -> None:
    canary, second = died(stage, "e-1", "e-2")
    died(stage, *(f"f-{number}" for number in range(5)), consumer=OTHER)

    before = retry("--consumer", TO, "--first", "1").stdout
    after = retry("--consumer", TO, "--first", "1", "--apply", "--wait", "0").stdout
    many = retry("--all").stdout + retry("--all", "--apply", "--wait", "0").stdout

    assert f"\n  {canary}\n" in before
    assert after == f"1 being tried.\n  {canary}  being tried\n"
    for name in (canary, second):
        assert name not in many


def test_while_dead_letters_are_sent_it_is_told_how_many_that_are(stage: World) -> None:
    died(stage, *(f"e-{number}" for number in range(5)))
    time, told = Time(), []
    retrying = Retrying(stage.connection, rate=2, wait=0, pause=time.pause, now=time.now)
    meant = dead_letters(stage.connection, Selection())

    list(retrying.run(meant, progress=lambda: told.append((time.seconds, retrying.sent))))

    assert told[:3] == [(0, 2), (1, 4), (2, 5)]


def test_on_a_terminal_it_is_shown_how_many_were_sent(stage: World, monkeypatch: pytest.MonkeyPatch) -> None:
    died(stage, "e-1", "e-2")
    monkeypatch.setenv("FORCE_COLOR", "1")

    shown = retry("--all", "--apply", "--wait", "0")

    assert "2 sent; none has come to an end, 2 under way" in shown.stderr
    assert "sent" not in shown.stdout


def test_with_json_there_is_one_object_a_dead_letter_and_one_that_sums_up(stage: World) -> None:
    name, _ = died(stage, "e-1", "e-2")
    died(stage, "e-3", consumer="wrap-gift")

    shown = retry(name, "e-3@wrap-gift", "--apply", "--wait", "0", "--json", "--reason", "mended")
    *each, summary = [json.loads(line) for line in shown.stdout.splitlines()]

    assert {told["id"]: told["result"] for told in each} == {name: BEING_TRIED, "e-3@wrap-gift": REFUSED}
    assert summary["results"] == {BEING_TRIED: 1, REFUSED: 1}
    assert [(group["consumer"], group["count"]) for group in summary["failures"]] == [("wrap-gift", 1)]
    assert recorded(stage)[0].operation_id == summary["operation"]


def test_a_dead_letter_that_is_not_there_is_said_so_and_nothing_is_sent(stage: World) -> None:
    (name,) = died(stage, "e-1")

    shown = retry(name, "e-2", "--apply")

    assert shown.exit_code == 1
    assert "no dead letter" in shown.stderr
    assert arrived(stage) == []


def test_names_and_kinds_are_not_mixed(stage: World) -> None:
    (name,) = died(stage, "e-1")

    for arguments in ((name, "--consumer", TO), (name, "--all"), ("--consumer", TO, "--all")):
        assert retry(*arguments, "--apply").exit_code == 2
    assert retry("--all", "--reason", "x" * 501, "--apply").exit_code == 2
    assert arrived(stage) == []
