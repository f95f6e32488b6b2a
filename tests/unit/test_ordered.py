"""Ordered consumers handle the events of each stream in order, in whatever order the messages arrive."""

import json
from collections.abc import Callable, Sequence
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from daybook.consumers.failure import NonRetryable, RetryLater
from daybook.consumers.reaction import Reaction, reaction
from daybook.consumers.work import Work
from daybook.contracts import clock
from daybook.contracts.envelope import Envelope
from daybook.store.attributes import pack_item
from daybook.store.cursor import Cursor, Cursors, PendingEvent
from daybook.store.ledger import COMMITTED, DEAD, TRYING, LedgerEntry
from daybook.testing.keys import proven, writer
from daybook.testing.world import NAMES, Context, World
from tests.application.builders import Message, from_the_bus, recorded
from tests.unit import faults
from tests.unit.contracts import DialCleaned, DialTurned, Tally
from tests.unit.test_delivery_attempts import RETRY, Slip, later

Body = Callable[[DialTurned, Work], None]


def following(first: Body = lambda _turn, _work: None) -> Reaction[DialTurned]:
    """An ordered reaction that records the sequences that it handles. `first` runs before that."""

    def handler(turn: DialTurned, work: Work) -> None:
        first(turn, work)
        dial = work.read(Tally, turn.dial_id)
        work.save(dial.evolve(left=f"{dial.left} {work.cause.sequence}".strip()))

    handler.__module__ = "functions.trials.follow_dial"
    return reaction(DialTurned, ordered=True)(handler)


def failing(error: BaseException, *, at: int, dial: str = "d1") -> Reaction[DialTurned]:
    """The same reaction, but it fails at one event of one dial."""

    def fail(turn: DialTurned, work: Work) -> None:
        if (turn.dial_id, work.cause.sequence) == (dial, at):
            raise error

    return following(fail)


MISSING = failing(RetryLater("not yet"), at=1)


def turns(world: World, number: int, *, dial: str = "d1") -> list[Envelope]:
    """This number of events in the store, in one stream."""
    made: list[Envelope] = []
    for _ in range(number):
        made.append(recorded(DialTurned(dial_id=dial, steps=1), after=made[-1] if made else None))
    world.append(*made)
    return made


def wake_up(envelope: Envelope) -> Message:
    return Message(from_the_bus(envelope))


def handled(world: World, dial: str = "d1") -> list[int]:
    """The sequences in the order in which they were handled."""
    row = world.row(Tally, dial)
    return [int(number) for number in row.left.split()] if row else []


def states(world: World, envelopes: Sequence[Envelope]) -> list[str]:
    return [entry.state for envelope in envelopes for entry in world.entries(envelope)]


def record_as_dead(world: World, envelope: Envelope, body: str = "") -> None:
    """Write what record-dead-letters writes for a dead letter."""
    m = envelope.metadata
    world.ledger.record_dead(
        LedgerEntry(
            m.id, "follow-dial", DEAD, m.time, m.stream, m.sequence, details={"error": "NonRetryable", "body": body}
        )
    )


def discard(world: World, envelope: Envelope) -> None:
    """Discard the event, as an operator does."""
    key = f"follow-dial#{envelope.metadata.id}"
    (row,) = (item for item in world.items("ledger") if item["key"] == key)
    world.client.put_item(TableName=NAMES.ledger, Item=pack_item(proven(row | {"state": "discarded"})))


def blocked(world: World, at: int, of: int) -> tuple[list[Envelope], str]:
    """A stream of events that is blocked at one of them, and the body of its dead letter."""
    envelopes = turns(world, of)
    assert world.deliver(failing(NonRetryable("no"), at=at), *map(wake_up, envelopes)) == []
    (dead_letter,) = world.dead_letters()
    record_as_dead(world, envelopes[at - 1], dead_letter.body)
    return envelopes, dead_letter.body


def pass_time(world: World, seconds: float) -> None:
    """Let time pass: move all recorded times into the past."""
    for item in world.items("ledger"):
        earlier = {name: before(item[name], seconds) for name in ("at",) if name in item}
        if pending := item.get("pending"):
            earlier["pending"] = pending | {
                name: before(pending[name], seconds) for name in ("until", "since") if pending[name]
            }
        moved = item | earlier
        world.client.put_item(TableName=NAMES.ledger, Item=pack_item(proven(moved) if "proof" in item else moved))


def before(moment: str, seconds: float) -> str:
    return clock.timestamp(clock.moment(moment) - timedelta(seconds=seconds))


def cursor(world: World) -> Cursor:
    return Cursors(world.client, NAMES.ledger, "follow-dial", lambda: writer("follow-dial")).read("dial/d1")


# Guards: the pages of EventStore.stream.
def test_one_message_processes_a_stream_that_is_longer_than_one_read(world: World) -> None:
    envelopes = turns(world, 30)

    assert world.deliver(following(), wake_up(envelopes[-1]), context=Context(seconds=100)) == []

    assert handled(world) == [*range(1, 31)]


def test_wake_up_messages_in_reverse_order_are_handled_in_the_order_of_the_stream(world: World) -> None:
    envelopes = turns(world, 10)

    assert world.deliver(following(), *[wake_up(envelope) for envelope in reversed(envelopes)]) == []

    assert handled(world) == list(range(1, 11))
    assert states(world, envelopes) == [COMMITTED] * 10


@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    batches=st.lists(st.lists(st.integers(0, 5), max_size=4), max_size=4),
    rest=st.permutations(range(6)),
    data=st.data(),
)
def test_any_wake_up_messages_handle_each_event_once_in_the_order_of_the_stream(
    world: World, batches: list[list[int]], rest: list[int], data: st.DataObject
) -> None:
    dial = data.draw(st.uuids()).hex
    envelopes = turns(world, 6, dial=dial)

    for batch in [*batches, rest]:
        assert world.deliver(following(), *[wake_up(envelopes[number]) for number in batch]) == []

    assert handled(world, dial) == [1, 2, 3, 4, 5, 6]


def test_a_wake_up_message_handles_all_earlier_events_with_two_reads_one_query_and_a_transaction_each(
    world: World,
) -> None:
    seen: list[bool] = []
    blank = following()
    envelopes = turns(world, 4)

    def nothing(_: DialTurned, work: Work) -> None:
        seen.append(work.cause.id == envelopes[len(seen)].metadata.id)

    nothing.__module__ = "functions.trials.count_turns"
    calls = faults.calls()

    assert world.deliver(reaction(DialTurned, ordered=True)(nothing), wake_up(envelopes[3])) == []

    assert calls == ["BatchGetItem", "GetItem", "Query", *["TransactWriteItems"] * 4]
    assert seen == [True] * 4
    world.deliver(blank, wake_up(envelopes[3]))
    assert handled(world) == [1, 2, 3, 4]


def test_events_of_other_types_are_skipped(world: World) -> None:
    first = recorded(DialCleaned(dial_id="d1"))
    second = recorded(DialTurned(dial_id="d1", steps=1), after=first)
    third = recorded(DialCleaned(dial_id="d1"), after=second)
    world.append(first, second, third)

    assert world.deliver(following(), wake_up(second)) == []

    assert handled(world) == [2]
    assert states(world, [first, second, third]) == [COMMITTED]


def test_two_concurrent_runs_handle_each_event_once(world: World) -> None:
    envelopes = turns(world, 3)
    handler = following()
    faults.meanwhile("TransactWriteItems", lambda: world.deliver(handler, wake_up(envelopes[2])))

    assert world.deliver(handler, wake_up(envelopes[2])) == []

    assert handled(world) == [1, 2, 3]


# Guards: the condition on the cursor, for a new row and for an existing one.
@pytest.mark.parametrize("done", [0, 2])
def test_an_event_that_a_concurrent_run_blocks_is_not_handled(world: World, done: int) -> None:
    envelopes = turns(world, done)
    assert world.deliver(following(), *map(wake_up, envelopes)) == []
    last = recorded(DialTurned(dial_id="d1", steps=1), after=envelopes[-1] if envelopes else None)
    world.append(last)
    cursors = Cursors(world.client, NAMES.ledger, "follow-dial", lambda: writer("follow-dial"))
    pending = PendingEvent(event=last.metadata.id, sequence=done + 1, reason="NonRetryable")
    faults.meanwhile("TransactWriteItems", lambda: cursors.write(cursor(world).waiting_for(pending)))

    assert world.deliver(following(), wake_up(recorded(DialTurned(dial_id="d1", steps=1), after=last))) == []

    assert handled(world) == list(range(1, done + 1))
    assert cursor(world).pending == pending


def test_a_dead_event_blocks_only_its_own_stream(world: World) -> None:
    blocking, other = turns(world, 4), turns(world, 4, dial="d2")

    assert world.deliver(failing(NonRetryable("no"), at=2), *map(wake_up, [*blocking, *other])) == []

    assert (handled(world), handled(world, "d2")) == ([1], [1, 2, 3, 4])
    (dead,) = world.dead_letters()
    assert (dead.error, dead.attributes["event_id"]) == ("NonRetryable", blocking[1].metadata.id)
    assert json.loads(dead.body)["detail"] == json.loads(blocking[1].detail)
    pending = cursor(world).pending
    assert pending
    assert (pending.blocked, pending.event, pending.sequence, pending.reason) == (
        True,
        blocking[1].metadata.id,
        2,
        "NonRetryable",
    )


def test_a_retry_of_the_dead_event_that_succeeds_unblocks_its_stream(world: World) -> None:
    envelopes, body = blocked(world, at=2, of=4)
    assert world.deliver(following(), wake_up(envelopes[3])) == []
    assert handled(world) == [1]

    assert world.deliver(following(), body) == []

    assert handled(world) == [1, 2, 3, 4]
    assert states(world, envelopes) == [COMMITTED] * 4


def test_a_retry_of_the_dead_event_that_fails_keeps_its_stream_blocked(world: World) -> None:
    envelopes, body = blocked(world, at=2, of=3)
    message = Message(body)

    assert world.deliver(failing(Slip(), at=2), message) == [message]
    assert world.deliver(following(), wake_up(envelopes[2])) == []
    assert handled(world) == [1]

    assert world.deliver(following(), later(message)) == []
    assert handled(world) == [1, 2, 3]


def test_an_event_that_is_recorded_while_its_stream_is_unblocked_is_handled(world: World) -> None:
    envelopes, body = blocked(world, at=1, of=1)
    late = recorded(DialTurned(dial_id="d1", steps=1), after=envelopes[0])

    def record_late() -> None:
        world.append(late)
        assert world.deliver(following(), wake_up(late)) == []  # finds the stream blocked, and ends

    faults.meanwhile("TransactWriteItems", record_late)
    assert world.deliver(following(), body) == []

    assert handled(world) == [1, 2]


def test_after_a_discard_any_wake_up_message_continues_the_stream(world: World) -> None:
    envelopes, _ = blocked(world, at=2, of=4)
    discard(world, envelopes[1])

    assert world.deliver(following(), wake_up(envelopes[2])) == []

    assert handled(world) == [1, 3, 4]


def test_a_discarded_event_that_is_retried_is_not_handled_but_the_events_after_it_are(world: World) -> None:
    envelopes, body = blocked(world, at=2, of=4)
    discard(world, envelopes[1])

    assert world.deliver(following(), body) == []

    assert handled(world) == [1, 3, 4]


def test_after_a_temporary_failure_one_message_is_retried_and_the_order_is_kept(world: World) -> None:
    envelopes = turns(world, 4)
    messages = [wake_up(envelope) for envelope in envelopes]

    assert world.deliver(failing(Slip(), at=2), *messages) == messages[:1]
    (entry,) = world.entries(envelopes[1])
    assert (entry.state, len(entry.failed_attempts), handled(world)) == (TRYING, 1, [1])

    assert world.deliver(following(), later(messages[0])) == []
    assert handled(world) == [1, 2, 3, 4]


def test_attempts_count_for_the_event_and_the_event_is_dead_after_the_last_one(world: World) -> None:
    envelopes = turns(world, 3)
    message = wake_up(envelopes[2])

    for number in range(RETRY.max_attempts):
        assert bool(world.deliver(failing(Slip(), at=2), message)) == (number + 1 < RETRY.max_attempts)
        message = later(message)

    (dead,) = world.dead_letters()
    assert (dead.error, dead.attributes["event_id"]) == ("Slip", envelopes[1].metadata.id)
    assert handled(world) == [1]


# Guards: waiting is not a failed attempt.
def test_an_event_that_must_wait_blocks_its_stream_without_counting_attempts(world: World) -> None:
    envelopes = turns(world, 3)
    message = wake_up(envelopes[0])
    for _ in range(2 * RETRY.max_attempts):
        assert world.deliver(MISSING, message) == [message]
        assert world.deliver(MISSING, *map(wake_up, envelopes[1:])) == []  # end without an error
        message = later(message)
    assert handled(world) == []
    assert world.dead_letters() == []

    assert world.deliver(following(), message) == []
    assert handled(world) == [1, 2, 3]


# Guards: the age that counts is the event's, not the message's.
def test_the_retry_window_ends_by_the_age_of_the_event_whichever_message_brings_it(world: World) -> None:
    envelopes = turns(world, 3)
    message = wake_up(envelopes[0])
    assert world.deliver(MISSING, message) == [message]

    pass_time(world, RETRY.retry_window - 60)
    assert world.deliver(MISSING, (third := wake_up(envelopes[2]))) == [third]
    pass_time(world, RETRY.max_backoff)
    assert world.deliver(MISSING, wake_up(envelopes[1])) == []

    (dead,) = world.dead_letters()
    assert (dead.error, dead.attributes["event_id"]) == ("RetryLater", envelopes[0].metadata.id)
    pending = cursor(world).pending
    assert pending
    assert (pending.blocked, pending.event) == (True, envelopes[0].metadata.id)
    assert handled(world) == []


def test_an_old_message_gives_a_new_event_its_full_retry_window(world: World) -> None:
    (envelope,) = turns(world, 1)
    message = Message(from_the_bus(envelope), age=2 * RETRY.retry_window)

    assert world.deliver(MISSING, message) == [message]
    assert world.deliver(MISSING, later(message)) == [later(message)]

    assert world.dead_letters() == []


# Guards: a lock ends with its time, even if its message is lost.
@pytest.mark.parametrize("error", [Slip(), RetryLater("not yet")], ids=["failed", "waits"])
def test_if_the_message_that_locks_a_stream_is_lost_a_later_message_continues_when_the_lock_ends(
    world: World, error: Exception
) -> None:
    envelopes = turns(world, 4)
    lost = wake_up(envelopes[1])
    assert world.deliver(failing(error, at=2), lost) == [lost]

    assert world.deliver(following(), wake_up(envelopes[2])) == []  # before the lock ends, it does nothing
    assert handled(world) == [1]

    pass_time(world, RETRY.max_backoff)
    assert world.deliver(following(), wake_up(envelopes[3])) == []
    assert handled(world) == [1, 2, 3, 4]
    assert cursor(world).pending is None

    assert world.deliver(following(), later(lost)) == []  # the lost message arrives too late
    assert handled(world) == [1, 2, 3, 4]


def test_a_message_that_continues_and_fails_locks_the_stream_and_attempts_are_counted_on(world: World) -> None:
    envelopes = turns(world, 3)
    handler = failing(Slip(), at=1)
    for envelope in envelopes[: RETRY.max_attempts - 1]:
        message = wake_up(envelope)
        assert world.deliver(handler, message) == [message]
        pending = cursor(world).pending
        assert pending
        assert pending.message == message.id
        pass_time(world, RETRY.max_backoff)

    assert world.deliver(handler, wake_up(envelopes[-1])) == []

    (dead,) = world.dead_letters()
    assert (dead.error, dead.attributes["event_id"]) == ("Slip", envelopes[0].metadata.id)


def test_if_the_message_of_a_dead_process_is_lost_a_later_message_continues_when_the_lock_ends(
    world: World,
) -> None:
    envelopes = turns(world, 3)
    lost = Message(from_the_bus(envelopes[0]), tries=2)  # suspected poison message
    with pytest.raises(SystemExit):
        world.deliver(failing(SystemExit(), at=1), lost)

    assert world.deliver(following(), wake_up(envelopes[1])) == []
    assert handled(world) == []

    pass_time(world, 60)
    assert world.deliver(following(), wake_up(envelopes[2])) == []
    assert handled(world) == [1, 2, 3]


def test_an_event_of_a_newer_version_blocks_its_stream(world: World) -> None:
    (first,) = turns(world, 1)
    newer = recorded(DialTurned(dial_id="d1", steps=1), after=first, version=2)
    world.append(newer, recorded(DialTurned(dial_id="d1", steps=1), after=newer))
    message = Message(from_the_bus(first), age=10 * RETRY.retry_window)

    assert world.deliver(following(), message) == [message]

    assert handled(world) == [1]
    assert world.dead_letters() == []


def test_a_process_that_dies_after_its_commit_repeats_nothing(world: World) -> None:
    envelopes = turns(world, 3)
    message = wake_up(envelopes[0])
    faults.lose_the_answer("TransactWriteItems")

    again = world.deliver(following(), message)
    while again:
        again = world.deliver(following(), *map(later, again))

    assert handled(world) == [1, 2, 3]


def test_an_event_that_kills_its_process_is_the_one_that_becomes_dead(world: World) -> None:
    deadly, other = turns(world, 4), turns(world, 3, dial="d2")
    handler = failing(SystemExit(), at=3)
    waiting = [Message(from_the_bus(envelope), age=60) for envelope in [*deadly, *other]]
    deliveries = 0

    while waiting and deliveries < 60:
        deliveries += 1
        try:
            again = world.deliver(handler, *waiting)
        except SystemExit:  # the process is gone: SQS delivers its messages again
            again = waiting
        waiting = [later(message) for message in again]

    assert waiting == []
    assert (handled(world), handled(world, "d2")) == ([1, 2], [1, 2, 3])
    (dead,) = world.dead_letters()
    assert (dead.error, dead.attributes["event_id"]) == ("ProcessDied", deadly[2].metadata.id)


# Guards: throttled wake-up messages are processed in one invocation, and nothing is noted against their events.
def test_wake_up_messages_of_ten_streams_that_were_throttled_are_handled_in_one_invocation(world: World) -> None:
    envelopes = [turns(world, 1, dial=f"d{number}")[0] for number in range(10)]
    throttled = [Message(from_the_bus(envelope), tries=3) for envelope in envelopes]

    assert world.deliver(following(), *throttled, context=Context(less=0)) == []

    assert [handled(world, f"d{number}") for number in range(10)] == [[1]] * 10
    assert [entry.details["crashes"] for each in envelopes for entry in world.entries(each)] == [0] * 10


# Guards: the end of an attempt is noted when another run has moved the cursor.
def test_a_suspected_poison_message_that_loses_races_for_the_cursor_has_not_crashed(world: World) -> None:
    (envelope,) = turns(world, 1)
    cursors = Cursors(world.client, NAMES.ledger, "follow-dial", lambda: writer("follow-dial"))

    def move() -> None:
        now = cursor(world)
        assert now.pending
        cursors.write(now.waiting_for(now.pending))

    faults.meanwhile("TransactWriteItems", *[move] * 2 * RETRY.max_crashes)

    assert world.deliver(following(), Message(from_the_bus(envelope), tries=2), context=Context(less=0.1)) == []

    assert handled(world) == [1]
    (entry,) = world.entries(envelope)
    assert entry.details["crashes"] == 0


# Guards: an event whose attempt has begun and not ended is suspected, whichever message is about it.
def test_deaths_count_for_the_event_if_its_messages_are_lost(world: World) -> None:
    envelopes = turns(world, 3)
    handler = failing(SystemExit(), at=1)
    lost = [
        Message(from_the_bus(envelopes[0]), tries=2),
        *(wake_up(envelopes[1]) for _ in range(RETRY.max_crashes - 1)),
    ]
    for message in lost:
        with pytest.raises(SystemExit):
            world.deliver(handler, message)
        pass_time(world, 60)

    assert world.deliver(handler, wake_up(envelopes[2])) == []

    (dead,) = world.dead_letters()
    assert (dead.error, dead.attributes["event_id"]) == ("ProcessDied", envelopes[0].metadata.id)


def test_a_run_that_has_no_time_left_returns_its_message_between_two_events(world: World) -> None:
    envelopes = turns(world, 4)
    message = wake_up(envelopes[3])

    assert world.deliver(following(), message, context=Context(seconds=5, less=1)) == [message]
    assert 0 < len(handled(world)) < 4

    assert world.deliver(following(), later(message)) == []
    assert handled(world) == [1, 2, 3, 4]
