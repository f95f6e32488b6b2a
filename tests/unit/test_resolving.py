"""Effects whose outcome is unknown: what somebody has found out is told once, and nothing is attempted twice for it."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from daybook.consumers.effect_records import CONCLUDED, OPEN, WITHDRAWN, EffectRecord, InProgress
from daybook.contracts import clock
from daybook.contracts.contract import Event
from daybook.contracts.envelope import Envelope
from daybook.contracts.operations import EffectResolved
from daybook.operate.connection import Connection
from daybook.operate.dead_letters import resolve as resolving
from daybook.operate.dead_letters.decision import NoAnswer
from daybook.operate.dead_letters.index import NoSuchDeadLetter
from daybook.operate.dead_letters.resolve import Doubt, NothingToResolve, NotTellable, StillAtIt, TakenUp
from daybook.store.ledger import COMMITTED, DEAD, Entry
from events.notifications import EmailSent
from tests.unit.bodies import attempting
from tests.unit.bodies import running as reacting
from tests.unit.builders import from_the_bus, recorded
from tests.unit.running import Running, outlives, refuses, said
from tests.unit.test_effects import attempt_row, time_passes
from tests.unit.test_tries import Slip
from tests.unit.world import NAMES, World

WHY = "SES has no such message"
SENT = EmailSent(letter_id="1001.trial", order_id="1001", message_id="M-1")
TOLD = json.dumps({"DetailType": "EmailSent", "data": json.loads(SENT.to_json())})


class Post:
    """The world outside. It takes what it is given, and does not always answer."""

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.silent = True
        self.meanwhile: Callable[[EffectRecord], object] = lambda _: None

    def body(self, record: EffectRecord) -> Event:
        self.sent.append(record.idempotency_key)
        self.meanwhile(record)
        if self.silent:
            raise Slip
        return SENT


@pytest.fixture
def running(world: World) -> Running:
    return Running(world)


@pytest.fixture
def post() -> Post:
    return Post()


def in_doubt(running: Running, post: Post) -> Envelope:
    """An event of which nobody knows whether its effect has happened. From now on the world outside answers."""
    running.deploy(attempting(post.body))
    envelope = recorded()
    running.world.append(envelope)
    running.arrives(from_the_bus(envelope), "try-it")
    post.silent = False
    return envelope


def resolved(
    running: Running, dead_letter: Envelope | str, outcome: str, text: str = TOLD, connection: Connection | None = None
) -> resolving.Resolved:
    """What the command does."""
    connection = connection or running.connection()
    name = dead_letter if isinstance(dead_letter, str) else dead_letter.metadata.id
    try:
        doubt = resolving.find(connection, name)
    except NoSuchDeadLetter:
        done = resolving.done_before(connection, name)
        if done is None:
            raise
        return done
    if outcome == resolving.NO_EFFECT:
        return resolving.had_no_effect(connection, doubt, WHY, pause=running.pause)
    told = resolving.outcome_in(doubt, text) if text else None
    return resolving.took_effect(connection, doubt, told, WHY)


def doubt_about(running: Running, dead_letter: Envelope) -> Doubt:
    return resolving.find(running.connection(), dead_letter.metadata.id)


def state(running: Running, event: Envelope) -> str:
    (entry,) = running.world.entries(event)
    return entry.state


# --- nothing happened -------------------------------------------------------------------------------------------------


def test_what_had_no_effect_is_attempted_again_and_told_by_the_effect_itself(running: Running, post: Post) -> None:
    placed = in_doubt(running, post)
    assert (state(running, placed), post.sent) == (DEAD, ["trial/1001"])

    done = resolved(running, placed, resolving.NO_EFFECT)

    assert post.sent == ["trial/1001"] * 2
    assert (done.state, state(running, placed), attempt_row(running.world)["state"]) == (
        COMMITTED,
        COMMITTED,
        CONCLUDED,
    )
    assert running.world.events("letter/1001.trial") == [SENT]
    (act,) = running.acts()
    told = said(act)
    assert isinstance(told, EffectResolved)
    assert (told.dead_letter.event, told.dead_letter.error, told.idempotency_key) == (
        placed.metadata.id,
        "OutcomeUnknown",
        "trial/1001",
    )
    assert (told.outcome, told.reason, told.told) == (resolving.NO_EFFECT, WHY, ())


def test_if_nobody_knows_again_that_is_told(running: Running, post: Post) -> None:
    placed = in_doubt(running, post)
    post.silent = True

    done = resolved(running, placed, resolving.NO_EFFECT)

    assert (done.state, done.error) == (DEAD, "OutcomeUnknown")
    assert (attempt_row(running.world)["state"], len(post.sent)) == (OPEN, 2)


def test_an_effect_that_says_nothing_has_the_event_all_the_same(running: Running, post: Post) -> None:
    placed = in_doubt(running, post)
    doubt = doubt_about(running, placed)

    told = refuses(lambda: resolving.had_no_effect(running.connection(), doubt, WHY, pause=lambda _: None), NoAnswer)

    assert "daybook dead show" in told
    assert (state(running, placed), attempt_row(running.world)["state"]) == (DEAD, WITHDRAWN)
    assert running.waiting("try-it") == 1


# Guards: that an interrupted resolving is found by its mark on the attempt, and that the withdrawal is conditional.
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("call", ["TransactWriteItems"])  # every call: tests/deep/unit
def test_whenever_it_is_interrupted_repeating_it_has_what_had_no_effect_happen_once(
    running: Running, post: Post, call: int | str, after: bool
) -> None:
    placed = in_doubt(running, post)

    outlives(
        running,
        lambda connection: resolved(running, placed, resolving.NO_EFFECT, connection=connection),
        call,
        after=after,
    )
    done = resolved(running, placed, resolving.NO_EFFECT)
    running.turn()

    assert post.sent == ["trial/1001"] * 2  # the one in doubt, and one more
    assert (done.state, state(running, placed)) == (COMMITTED, COMMITTED)
    assert running.world.events("letter/1001.trial") == [SENT]
    assert len(running.acts()) == 1


# Guards: the number that goes up with the withdrawal.
@pytest.mark.parametrize("says", ["note", "conclude", "withdraw", "leave"])
def test_a_process_that_was_thought_dead_can_say_nothing_more_of_an_attempt_that_was_withdrawn(
    running: Running, post: Post, says: str
) -> None:
    def long_silence(record: EffectRecord) -> None:
        post.meanwhile = lambda _: None
        post.silent = False
        time_passes(running.world)
        running.arrives(from_the_bus(placed), "try-it")  # again, at another process, which finds it in doubt
        done = resolved(running, placed, resolving.NO_EFFECT)
        assert done.state == COMMITTED
        if says == "note":
            with pytest.raises(InProgress):
                record.note(x="1")
        if says == "withdraw":
            with pytest.raises(InProgress):
                record.withdraw()
        if says == "leave":
            with pytest.raises(InProgress):
                record.leave()

    running.deploy(attempting(post.body))
    placed = recorded()
    running.world.append(placed)
    post.meanwhile = long_silence
    running.arrives(from_the_bus(placed), "try-it")
    running.turn()

    assert running.world.events("letter/1001.trial") == [SENT]
    assert attempt_row(running.world)["notes"] == {}


# --- it did happen ----------------------------------------------------------------------------------------------------


def test_what_took_effect_is_told_as_the_effect_would_have_told_it_and_not_attempted_again(
    running: Running, post: Post
) -> None:
    placed = in_doubt(running, post)

    done = resolved(running, placed, resolving.TOOK_EFFECT)
    running.arrives(from_the_bus(placed), "try-it")

    assert post.sent == ["trial/1001"]
    (by_hand,) = running.world.stream("letter/1001.trial")
    assert running.world.events("letter/1001.trial") == [SENT]
    assert done == resolving.Resolved(f"{placed.metadata.id}@try-it", COMMITTED, (by_hand.metadata.id,))
    (entry,) = running.world.entries(placed)
    (act,) = running.acts()
    assert (entry.state, list(entry.emitted)) == (COMMITTED, [by_hand.metadata.id])
    assert not entry.details.keys() & {"dead", "error", "reason", "body"}
    assert entry.details["operation"] == said(act).operation_id
    row = attempt_row(running.world)
    assert (row["state"], row["events"], "until" in row) == (CONCLUDED, [by_hand.metadata.id], False)
    assert (said(act).outcome, said(act).told) == (resolving.TOOK_EFFECT, (by_hand.metadata.id,))


def test_but_for_its_time_and_hash_the_event_is_the_one_that_the_effect_would_have_recorded(
    running: Running, post: Post
) -> None:
    placed = in_doubt(running, post)
    resolved(running, placed, resolving.TOOK_EFFECT)
    (by_hand,) = running.world.stream("letter/1001.trial")
    running.world.clear("ledger")
    running.world.clear_store()
    running.world.append(placed)

    running.arrives(from_the_bus(placed), "try-it")

    (by_itself,) = running.world.stream("letter/1001.trial")
    for name in ("id", "type", "version", "stream", "sequence", "correlation_id", "causation_id", "producer"):
        assert getattr(by_hand.metadata, name) == getattr(by_itself.metadata, name), name
    assert (by_hand.data, by_hand.source, by_hand.story, by_hand.previous) == (
        by_itself.data,
        by_itself.source,
        by_itself.story,
        by_itself.previous,
    )


def test_it_may_be_that_nothing_is_to_be_told(running: Running, post: Post) -> None:
    placed = in_doubt(running, post)

    done = resolved(running, placed, resolving.TOOK_EFFECT, text="")

    assert (done.state, done.told) == (COMMITTED, ())
    assert running.facts() == [placed]
    assert (attempt_row(running.world)["state"], attempt_row(running.world)["events"]) == (CONCLUDED, [])


# Guards: that all of it is one transaction.
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("call", ["TransactWriteItems"])  # every call: tests/deep/unit
def test_whenever_it_is_interrupted_repeating_it_tells_once_what_took_effect(
    running: Running, post: Post, call: int | str, after: bool
) -> None:
    placed = in_doubt(running, post)

    died = outlives(
        running,
        lambda connection: resolved(running, placed, resolving.TOOK_EFFECT, connection=connection),
        call,
        after=after,
    )
    told = [envelope.metadata.type for envelope in running.world.recorded()]
    done = resolved(running, placed, resolving.TOOK_EFFECT)

    assert died == (call not in {5, 6})
    assert len(told) in {1, 3}  # nothing, or all of it
    assert (done.state, state(running, placed), post.sent) == (COMMITTED, COMMITTED, ["trial/1001"])
    assert running.world.events("letter/1001.trial") == [SENT]
    assert len(running.acts()) == 1


# Guards: the number of the attempt, in both transactions.
@pytest.mark.parametrize("outcome", [resolving.NO_EFFECT, resolving.TOOK_EFFECT])
def test_an_attempt_that_somebody_has_taken_up_meanwhile_is_left_to_them(
    running: Running, post: Post, outcome: str
) -> None:
    placed = in_doubt(running, post)
    doubt = doubt_about(running, placed)
    running.arrives(from_the_bus(placed), "try-it")  # which looks, and leaves it in doubt

    connection = running.connection()
    act: dict[str, Callable[[], object]] = {
        resolving.NO_EFFECT: lambda: resolving.had_no_effect(connection, doubt, WHY, pause=running.pause),
        resolving.TOOK_EFFECT: lambda: resolving.took_effect(connection, doubt, SENT, WHY),
    }
    refuses(act[outcome], TakenUp)

    assert (attempt_row(running.world)["state"], running.acts(), post.sent) == (OPEN, [], ["trial/1001"])


def test_of_two_who_say_that_it_took_effect_both_are_told_that_it_is_done(running: Running, post: Post) -> None:
    placed = in_doubt(running, post)
    doubt = doubt_about(running, placed)
    first = resolved(running, placed, resolving.TOOK_EFFECT)

    second = resolving.took_effect(running.connection(), doubt, SENT, WHY)

    assert second == first
    assert (len(running.acts()), len(running.facts())) == (1, 2)


def test_of_two_who_disagree_the_first_has_said_it(running: Running, post: Post) -> None:
    placed = in_doubt(running, post)
    doubt = doubt_about(running, placed)
    connection = running.connection()
    with pytest.raises(NoAnswer):
        resolving.had_no_effect(connection, doubt, WHY, pause=lambda _: None)

    told = refuses(lambda: resolved(running, placed, resolving.TOOK_EFFECT), TakenUp)

    assert "had no effect" in told
    assert running.world.stream("letter/1001.trial") == []


def test_an_event_that_would_open_a_stream_that_is_open_is_not_told(running: Running, post: Post) -> None:
    placed = in_doubt(running, post)
    running.world.append(recorded(SENT))

    told = refuses(lambda: resolved(running, placed, resolving.TOOK_EFFECT), NotTellable)

    assert "letter/1001.trial" in told
    assert (state(running, placed), running.acts()) == (DEAD, [])


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("no JSON", "not JSON"),
        ("[]", "just that in the file"),
        ('{"data": {}}', "not of the form"),
        ('{"DetailType": "EmailSent"}', "not of the form"),
        ('{"DetailType": "EmailRefused", "data": {}}', "try-it emits EmailSent, and never EmailRefused"),
        (TOLD.replace('"M-1"', "5"), "message_id"),
        (TOLD.replace('"M-1"', '"FILL IN, such as 0100"'), "fill in message_id"),
        (TOLD.replace('"M-1"', '"•••"'), "fill in message_id"),
        (TOLD.replace('"1001"', '"1002"'), "order_id is not that of the dead letter's event"),
    ],
)
def test_what_the_effect_would_not_have_told_is_refused(running: Running, post: Post, text: str, told: str) -> None:
    doubt = doubt_about(running, in_doubt(running, post))

    assert told in refuses(lambda: resolving.outcome_in(doubt, text), NotTellable)


@pytest.mark.parametrize(
    "text",
    [
        TOLD,
        f"[{TOLD}]",
        json.dumps({"Source": "x", "DetailType": "EmailSent", "Detail": {"data": json.loads(TOLD)["data"]}}),
    ],
)
def test_an_outcome_may_be_written_in_several_forms(running: Running, post: Post, text: str) -> None:
    assert resolving.outcome_in(doubt_about(running, in_doubt(running, post)), text) == SENT


def test_a_template_says_what_is_known_and_hides_what_is_about_people(running: Running, post: Post) -> None:
    doubt = doubt_about(running, in_doubt(running, post))

    (template,) = doubt.templates

    assert template == {
        "DetailType": "EmailSent",
        "data": {
            "letter_id": "FILL IN, such as 1001.confirmed",
            "order_id": "1001",
            "message_id": f"FILL IN, such as {EmailSent.example['message_id']}",
        },
    }


# --- what is not in doubt ---------------------------------------------------------------------------------------------


def test_what_is_no_effect_has_nothing_to_resolve(running: Running) -> None:
    running.deploy(reacting(lambda _: None))

    told = refuses(lambda: doubt_about(running, a_dead_letter(running)), NothingToResolve)

    assert "try-it is a reaction, and no effect" in told


def test_what_died_before_it_was_attempted_has_nothing_to_resolve(running: Running, post: Post) -> None:
    running.deploy(attempting(post.body))

    told = refuses(lambda: doubt_about(running, a_dead_letter(running)), NothingToResolve)

    assert "nothing was attempted for trial/1001" in told
    assert "daybook dead retry" in told


def test_what_is_no_event_of_the_store_has_nothing_to_resolve(running: Running, post: Post) -> None:
    running.deploy(attempting(post.body))

    told = refuses(lambda: doubt_about(running, a_dead_letter(running, stored=False)), NothingToResolve)

    assert "is no event of the store" in told


def test_what_is_known_to_have_had_no_effect_is_to_be_retried(running: Running, post: Post) -> None:
    placed = in_doubt(running, post)
    set_attempt(running, state=WITHDRAWN)

    told = refuses(lambda: doubt_about(running, placed), NothingToResolve)

    assert "is known to have had no effect; daybook dead retry" in told


def test_what_is_known_to_have_happened_is_to_be_retried(running: Running, post: Post) -> None:
    placed = in_doubt(running, post)
    set_attempt(running, state=CONCLUDED)

    told = refuses(lambda: doubt_about(running, placed), NothingToResolve)

    assert "is known already" in told


def test_what_was_attempted_for_another_event_is_resolved_there(running: Running, post: Post) -> None:
    in_doubt(running, post)
    another = a_dead_letter(running, sequence=False)
    cause = attempt_row(running.world)["cause"]

    told = refuses(lambda: doubt_about(running, another), NothingToResolve)

    assert f"daybook dead resolve {cause}@try-it" in told


def test_as_long_as_its_process_may_be_alive_nobody_can_say_how_it_ended(running: Running, post: Post) -> None:
    placed = in_doubt(running, post)
    soon = clock.timestamp(datetime.now(UTC) + timedelta(seconds=30))
    set_attempt(running, until=soon)

    told = refuses(lambda: doubt_about(running, placed), StillAtIt)

    ended = clock.timestamp(clock.moment(soon) + timedelta(minutes=1))  # clocks differ
    assert f"repeat the command after {ended[:19]}Z" in told


def a_dead_letter(running: Running, *, stored: bool = True, sequence: bool = True) -> Envelope:
    """An event that is dead at the consumer, and was never given to it."""
    first = recorded()
    envelope = first if sequence else recorded(after=first)
    if stored:
        running.world.append(envelope)
    m = envelope.metadata
    details = {"error": "GivenUp", "reason": "…", "body": from_the_bus(envelope), "event_type": m.type}
    running.world.ledger.record_dead(Entry(m.id, "try-it", DEAD, clock.now(), m.stream, m.sequence, details=details))
    return envelope


def set_attempt(running: Running, **values: str) -> None:
    """The attempt as another has left it."""
    running.world.client.update_item(
        TableName=NAMES.ledger,
        Key={name: {"S": attempt_row(running.world)[name]} for name in ("event", "consumer")},
        UpdateExpression="SET " + ", ".join(f"#{name} = :{name}" for name in values),
        ExpressionAttributeNames={f"#{name}": name for name in values},
        ExpressionAttributeValues={f":{name}": {"S": value} for name, value in values.items()},
    )
