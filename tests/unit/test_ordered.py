"""Ordered consumers: each stream is handled in its order, whatever becomes of the messages.

The negative controls stand in tests/deployed/test_negative_controls.py.
"""

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
from daybook.store.attributes import pack, pack_item
from daybook.store.cursor import Cursor, Cursors, Hold
from daybook.store.ledger import COMMITTED, DEAD, TRYING, Entry
from tests.unit import faults
from tests.unit.builders import Message, from_the_bus, recorded
from tests.unit.contracts import DialCleaned, DialTurned, Tally
from tests.unit.test_tries import RETRY, Slip, later
from tests.unit.world import NAMES, Context, World

Body = Callable[[DialTurned, Work], None]


def following(first: Body = lambda _turn, _work: None) -> Reaction[DialTurned]:
    """An ordered reaction that writes down the sequences that it handles, once `first` has had its way."""

    def handler(turn: DialTurned, work: Work) -> None:
        first(turn, work)
        dial = work.read(Tally, turn.dial_id)
        work.save(dial.evolve(left=f"{dial.left} {work.cause.sequence}".strip()))

    handler.__module__ = "functions.trials.follow_dial"
    return reaction(DialTurned, ordered=True)(handler)


def failing(error: BaseException, *, at: int, dial: str = "d1") -> Reaction[DialTurned]:
    """The same, but it fails at one event of one dial."""

    def fail(turn: DialTurned, work: Work) -> None:
        if (turn.dial_id, work.cause.sequence) == (dial, at):
            raise error

    return following(fail)


MISSING = failing(RetryLater("not yet"), at=1)


def turns(world: World, number: int, *, dial: str = "d1") -> list[Envelope]:
    """So many events in the store, in one stream."""
    made: list[Envelope] = []
    for _ in range(number):
        made.append(recorded(DialTurned(dial_id=dial, steps=1), after=made[-1] if made else None))
    world.append(*made)
    return made


def nudge(envelope: Envelope) -> Message:
    return Message(from_the_bus(envelope))


def order(world: World, dial: str = "d1") -> list[int]:
    """The sequences, as they were handled."""
    row = world.row(Tally, dial)
    return [int(number) for number in row.left.split()] if row else []


def states(world: World, envelopes: Sequence[Envelope]) -> list[str]:
    return [entry.state for envelope in envelopes for entry in world.entries(envelope)]


def bury(world: World, envelope: Envelope, body: str = "") -> None:
    """What bury notes of a dead letter."""
    m = envelope.metadata
    world.ledger.record_dead(
        Entry(m.id, "follow-dial", DEAD, m.time, m.stream, m.sequence, details={"error": "NonRetryable", "body": body})
    )


def discard(world: World, envelope: Envelope) -> None:
    """What an operator decides."""
    world.client.update_item(
        TableName=NAMES.ledger,
        Key={"event": pack(envelope.metadata.id), "consumer": pack("follow-dial")},
        UpdateExpression="SET #state = :discarded",
        ExpressionAttributeNames={"#state": "state"},
        ExpressionAttributeValues={":discarded": pack("discarded")},
    )


def blocked(world: World, at: int, of: int) -> tuple[list[Envelope], str]:
    """A stream of events, blocked at one of them, and the dead letter of that."""
    envelopes = turns(world, of)
    assert world.deliver(failing(NonRetryable("no"), at=at), *map(nudge, envelopes)) == []
    (letter,) = world.dead_letters()
    bury(world, envelopes[at - 1], letter.body)
    return envelopes, letter.body


def passes(world: World, seconds: float) -> None:
    """Time: all that was noted lies so much further back."""
    for item in world.items("ledger"):
        earlier = {name: before(item[name], seconds) for name in ("at",) if name in item}
        if hold := item.get("hold"):
            earlier["hold"] = hold | {name: before(hold[name], seconds) for name in ("until", "since") if hold[name]}
        world.client.put_item(TableName=NAMES.ledger, Item=pack_item(item | earlier))


def before(moment: str, seconds: float) -> str:
    return clock.timestamp(clock.moment(moment) - timedelta(seconds=seconds))


def cursor(world: World) -> Cursor:
    return Cursors(world.client, NAMES.ledger, "follow-dial").read("dial/d1")


def test_nudges_in_reverse_are_handled_in_the_streams_order(world: World) -> None:
    envelopes = turns(world, 10)

    assert world.deliver(following(), *[nudge(envelope) for envelope in reversed(envelopes)]) == []

    assert order(world) == list(range(1, 11))
    assert states(world, envelopes) == [COMMITTED] * 10


@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    batches=st.lists(st.lists(st.integers(0, 5), max_size=4), max_size=4),
    rest=st.permutations(range(6)),
    data=st.data(),
)
def test_nudges_in_any_order_and_number_are_handled_in_the_streams_order_each_event_once(
    world: World, batches: list[list[int]], rest: list[int], data: st.DataObject
) -> None:
    dial = data.draw(st.uuids()).hex
    envelopes = turns(world, 6, dial=dial)

    for batch in [*batches, rest]:
        assert world.deliver(following(), *[nudge(envelopes[number]) for number in batch]) == []

    assert order(world, dial) == [1, 2, 3, 4, 5, 6]


def test_a_nudge_brings_the_predecessors_that_never_nudged_and_costs_a_read_a_query_and_a_transaction_each(
    world: World,
) -> None:
    seen: list[bool] = []
    blank = following()
    envelopes = turns(world, 4)

    def nothing(_: DialTurned, work: Work) -> None:
        seen.append(work.cause.id == envelopes[len(seen)].metadata.id)

    nothing.__module__ = "functions.trials.count_turns"
    calls = faults.calls()

    assert world.deliver(reaction(DialTurned, ordered=True)(nothing), nudge(envelopes[3])) == []

    assert calls == ["GetItem", "Query", *["TransactWriteItems"] * 4]
    assert seen == [True] * 4
    world.deliver(blank, nudge(envelopes[3]))
    assert order(world) == [1, 2, 3, 4]


def test_events_of_other_types_are_passed_over(world: World) -> None:
    first = recorded(DialCleaned(dial_id="d1"))
    second = recorded(DialTurned(dial_id="d1", steps=1), after=first)
    third = recorded(DialCleaned(dial_id="d1"), after=second)
    world.append(first, second, third)

    assert world.deliver(following(), nudge(second)) == []

    assert order(world) == [2]
    assert states(world, [first, second, third]) == [COMMITTED]


def test_two_runs_at_once_handle_each_event_once(world: World) -> None:
    envelopes = turns(world, 3)
    handler = following()
    faults.meanwhile("TransactWriteItems", lambda: world.deliver(handler, nudge(envelopes[2])))

    assert world.deliver(handler, nudge(envelopes[2])) == []

    assert order(world) == [1, 2, 3]


# Guards: the cursor's condition, on a row that is not there yet, and on one that is.
@pytest.mark.parametrize("done", [0, 2])
def test_an_event_that_another_run_parks_meanwhile_is_not_handled(world: World, done: int) -> None:
    envelopes = turns(world, done)
    assert world.deliver(following(), *map(nudge, envelopes)) == []
    last = recorded(DialTurned(dial_id="d1", steps=1), after=envelopes[-1] if envelopes else None)
    world.append(last)
    cursors = Cursors(world.client, NAMES.ledger, "follow-dial")
    hold = Hold(event=last.metadata.id, sequence=done + 1, reason="NonRetryable")
    faults.meanwhile("TransactWriteItems", lambda: cursors.write(cursor(world).held(hold)))

    assert world.deliver(following(), nudge(recorded(DialTurned(dial_id="d1", steps=1), after=last))) == []

    assert order(world) == list(range(1, done + 1))
    assert cursor(world).hold == hold


def test_a_poisoned_event_parks_its_own_stream_and_no_other(world: World) -> None:
    poisoned, other = turns(world, 4), turns(world, 4, dial="d2")

    assert world.deliver(failing(NonRetryable("no"), at=2), *map(nudge, [*poisoned, *other])) == []

    assert (order(world), order(world, "d2")) == ([1], [1, 2, 3, 4])
    (dead,) = world.dead_letters()
    assert (dead.error, dead.attributes["event_id"]) == ("NonRetryable", poisoned[1].metadata.id)
    assert json.loads(dead.body)["detail"] == json.loads(poisoned[1].detail)
    hold = cursor(world).hold
    assert hold
    assert (hold.blocked, hold.event, hold.sequence, hold.reason) == (True, poisoned[1].metadata.id, 2, "NonRetryable")


def test_a_parked_event_that_is_sent_again_and_succeeds_sets_its_stream_going(world: World) -> None:
    envelopes, body = blocked(world, at=2, of=4)
    assert world.deliver(following(), nudge(envelopes[3])) == []
    assert order(world) == [1]

    assert world.deliver(following(), body) == []

    assert order(world) == [1, 2, 3, 4]
    assert states(world, envelopes) == [COMMITTED] * 4


def test_a_parked_event_that_fails_again_keeps_its_stream_parked(world: World) -> None:
    envelopes, body = blocked(world, at=2, of=3)
    message = Message(body)

    assert world.deliver(failing(Slip(), at=2), message) == [message]
    assert world.deliver(following(), nudge(envelopes[2])) == []
    assert order(world) == [1]

    assert world.deliver(following(), later(message)) == []
    assert order(world) == [1, 2, 3]


def test_what_is_recorded_while_a_stream_is_set_going_is_not_forgotten(world: World) -> None:
    envelopes, body = blocked(world, at=1, of=1)
    late = recorded(DialTurned(dial_id="d1", steps=1), after=envelopes[0])

    def comes_late() -> None:
        world.append(late)
        assert world.deliver(following(), nudge(late)) == []  # finds the stream blocked, and ends

    faults.meanwhile("TransactWriteItems", comes_late)
    assert world.deliver(following(), body) == []

    assert order(world) == [1, 2]


def test_after_a_parked_event_is_discarded_any_nudge_goes_on_behind_it(world: World) -> None:
    envelopes, _ = blocked(world, at=2, of=4)
    discard(world, envelopes[1])

    assert world.deliver(following(), nudge(envelopes[2])) == []

    assert order(world) == [1, 3, 4]


def test_a_discarded_event_that_is_sent_again_is_not_handled_but_the_rest_is(world: World) -> None:
    envelopes, body = blocked(world, at=2, of=4)
    discard(world, envelopes[1])

    assert world.deliver(following(), body) == []

    assert order(world) == [1, 3, 4]


def test_a_passing_failure_comes_again_by_one_nudge_while_the_others_end_and_order_is_kept(world: World) -> None:
    envelopes = turns(world, 4)
    messages = [nudge(envelope) for envelope in envelopes]

    assert world.deliver(failing(Slip(), at=2), *messages) == messages[:1]
    (entry,) = world.entries(envelopes[1])
    assert (entry.state, len(entry.tries), order(world)) == (TRYING, 1, [1])

    assert world.deliver(following(), later(messages[0])) == []
    assert order(world) == [1, 2, 3, 4]


def test_tries_are_the_events_and_when_they_are_used_up_it_is_dead_under_its_own_id(world: World) -> None:
    envelopes = turns(world, 3)
    message = nudge(envelopes[2])

    for number in range(RETRY.attempts):
        assert bool(world.deliver(failing(Slip(), at=2), message)) == (number + 1 < RETRY.attempts)
        message = later(message)

    (dead,) = world.dead_letters()
    assert (dead.error, dead.attributes["event_id"]) == ("Slip", envelopes[1].metadata.id)
    assert order(world) == [1]


# Guards: waiting is no try.
def test_what_is_not_there_yet_holds_its_stream_without_counting(world: World) -> None:
    envelopes = turns(world, 3)
    message = nudge(envelopes[0])
    for _ in range(2 * RETRY.attempts):
        assert world.deliver(MISSING, message) == [message]
        assert world.deliver(MISSING, *map(nudge, envelopes[1:])) == []  # end quietly
        message = later(message)
    assert order(world) == []
    assert world.dead_letters() == []

    assert world.deliver(following(), message) == []
    assert order(world) == [1, 2, 3]


# Guards: the age of what waits is the event's, not its nudge's.
def test_patience_with_what_is_not_there_yet_ends_by_the_events_age_whichever_nudge_brings_it(world: World) -> None:
    envelopes = turns(world, 3)
    message = nudge(envelopes[0])
    assert world.deliver(MISSING, message) == [message]

    passes(world, RETRY.retry_window - 60)
    assert world.deliver(MISSING, (third := nudge(envelopes[2]))) == [third]
    passes(world, RETRY.longest)
    assert world.deliver(MISSING, nudge(envelopes[1])) == []

    (dead,) = world.dead_letters()
    assert (dead.error, dead.attributes["event_id"]) == ("RetryLater", envelopes[0].metadata.id)
    hold = cursor(world).hold
    assert hold
    assert (hold.blocked, hold.event) == (True, envelopes[0].metadata.id)
    assert order(world) == []


def test_an_old_nudge_brings_a_young_event_with_all_of_its_patience(world: World) -> None:
    (envelope,) = turns(world, 1)
    message = Message(from_the_bus(envelope), age=2 * RETRY.retry_window)

    assert world.deliver(MISSING, message) == [message]
    assert world.deliver(MISSING, later(message)) == [later(message)]

    assert world.dead_letters() == []


# Guards: a hold ends with its time, though its message never comes.
@pytest.mark.parametrize("error", [Slip(), RetryLater("not yet")], ids=["failed", "waits"])
def test_when_the_message_that_holds_a_stream_never_comes_again_the_first_nudge_after_its_time_takes_over(
    world: World, error: Exception
) -> None:
    envelopes = turns(world, 4)
    lost = nudge(envelopes[1])
    assert world.deliver(failing(error, at=2), lost) == [lost]

    assert world.deliver(following(), nudge(envelopes[2])) == []  # before its time it ends quietly
    assert order(world) == [1]

    passes(world, RETRY.longest)
    assert world.deliver(following(), nudge(envelopes[3])) == []
    assert order(world) == [1, 2, 3, 4]
    assert cursor(world).hold is None

    assert world.deliver(following(), later(lost)) == []  # it does come, too late
    assert order(world) == [1, 2, 3, 4]


def test_who_takes_over_and_fails_holds_the_stream_in_its_turn_and_tries_go_on_counting(world: World) -> None:
    envelopes = turns(world, 3)
    handler = failing(Slip(), at=1)
    for envelope in envelopes[: RETRY.attempts - 1]:
        message = nudge(envelope)
        assert world.deliver(handler, message) == [message]
        hold = cursor(world).hold
        assert hold
        assert hold.message == message.id
        passes(world, RETRY.longest)

    assert world.deliver(handler, nudge(envelopes[-1])) == []

    (dead,) = world.dead_letters()
    assert (dead.error, dead.attributes["event_id"]) == ("Slip", envelopes[0].metadata.id)


def test_when_the_message_of_a_process_that_died_is_lost_too_the_first_nudge_after_its_time_takes_over(
    world: World,
) -> None:
    envelopes = turns(world, 3)
    lost = Message(from_the_bus(envelopes[0]), tries=2)  # a suspect
    with pytest.raises(SystemExit):
        world.deliver(failing(SystemExit(), at=1), lost)

    assert world.deliver(following(), nudge(envelopes[1])) == []
    assert order(world) == []

    passes(world, 60)
    assert world.deliver(following(), nudge(envelopes[2])) == []
    assert order(world) == [1, 2, 3]


def test_an_event_of_a_version_to_come_holds_its_stream(world: World) -> None:
    (first,) = turns(world, 1)
    newer = recorded(DialTurned(dial_id="d1", steps=1), after=first, version=2)
    world.append(newer, recorded(DialTurned(dial_id="d1", steps=1), after=newer))
    message = Message(from_the_bus(first), age=10 * RETRY.retry_window)

    assert world.deliver(following(), message) == [message]

    assert order(world) == [1]
    assert world.dead_letters() == []


def test_a_process_that_dies_after_its_commit_repeats_nothing(world: World) -> None:
    envelopes = turns(world, 3)
    message = nudge(envelopes[0])
    faults.lose_the_answer("TransactWriteItems")

    again = world.deliver(following(), message)
    while again:
        again = world.deliver(following(), *map(later, again))

    assert order(world) == [1, 2, 3]


def test_an_event_that_kills_its_process_is_the_one_to_blame(world: World) -> None:
    deadly, other = turns(world, 4), turns(world, 3, dial="d2")
    handler = failing(SystemExit(), at=3)
    waiting = [Message(from_the_bus(envelope), age=60) for envelope in [*deadly, *other]]
    deliveries = 0

    while waiting and deliveries < 60:
        deliveries += 1
        try:
            again = world.deliver(handler, *waiting)
        except SystemExit:  # the process is gone, and all that it had comes again
            again = waiting
        waiting = [later(message) for message in again]

    assert waiting == []
    assert (order(world), order(world, "d2")) == ([1, 2], [1, 2, 3])
    (dead,) = world.dead_letters()
    assert (dead.error, dead.attributes["event_id"]) == ("ProcessDied", deadly[2].metadata.id)


def test_a_nudge_that_runs_out_of_time_is_handed_back_between_two_events(world: World) -> None:
    envelopes = turns(world, 4)
    message = nudge(envelopes[3])

    assert world.deliver(following(), message, context=Context(seconds=5, less=1)) == [message]
    assert 0 < len(order(world)) < 4

    assert world.deliver(following(), later(message)) == []
    assert order(world) == [1, 2, 3, 4]
