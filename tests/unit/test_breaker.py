"""The circuit breaker of effects: what does not answer is left alone, and nobody pays for that with tries.

Tried out as negative controls, one switched off at a time: that failures of one event alone open nothing, that an
answer forgets failures, that an open breaker calls nothing, that one delivery tries and no other, that a try ends with
its time, that a failed try doubles the pause, that retry_window begins anew once the breaker is closed, that what was
answered without asking closes nothing. Each time tests of this file fail.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest

from daybook.consumers.effect_records import EffectRecord, NotPerformed
from daybook.consumers.failure import NonRetryable, RetryLater
from daybook.consumers.switch import BreakerState, Switch, Switches
from daybook.contracts import clock
from daybook.contracts.contract import Event
from daybook.runtime import aws
from daybook.runtime.retry import BreakerSettings
from daybook.runtime.settings import BREAKER
from daybook.store.attributes import pack
from daybook.store.ledger import COMMITTED, TRYING
from events.notifications import EmailSent
from tests.unit import faults
from tests.unit.bodies import attempting
from tests.unit.builders import Message, an_order, from_the_bus, recorded
from tests.unit.faults import Death
from tests.unit.test_effects import Trial, time_passes
from tests.unit.test_tries import RETRY, Slip, later
from tests.unit.world import ENVIRONMENT, NAMES, World

SETTINGS = BreakerSettings.from_json(ENVIRONMENT[BREAKER])
EFFECT = "try-it"


@dataclass
class Outside:
    """The world outside, which may be down in one way or another."""

    down: Callable[[], Exception] | None = None
    calls: list[str] = field(default_factory=list)
    during: list[Callable[[], object]] = field(default_factory=list)

    def effect(self, *, can_ask: bool = True) -> Trial:
        """An effect that asks it."""

        def body(record: EffectRecord) -> Event:
            self.calls.append(record.idempotency_key)
            for act in self.during[:1]:
                self.during.remove(act)
                act()
            if self.down:
                raise self.down()
            order = record.idempotency_key.removeprefix("trial/")
            return EmailSent(letter_id=f"{order}.trial", order_id=order, message_id="M-1")

        return attempting(body, can_ask=can_ask)


def refuses() -> Exception:
    """It certainly does nothing."""
    return NotPerformed("the provider is down")


def is_silent() -> Exception:
    """Nobody knows."""
    return Slip()


def messages(number: int, *, first: int = 1, age: float = 0) -> list[Message]:
    """So many orders."""
    return [Message(from_the_bus(recorded(an_order(str(order)))), age=age) for order in range(first, first + number)]


def switch(world: World) -> Switch:
    return Switches(world.client, NAMES.ledger).find(EFFECT)


def state(world: World) -> BreakerState:
    return switch(world).breaker(clock.now())


def rows(world: World, message: Message) -> list[tuple[str, int, int]]:
    """State, number of tries and deliveries that the ledger has of a message's event."""
    event = json.loads(message.body)["detail"]["metadata"]["id"]
    return [
        (entry.state, len(entry.tries), int(entry.details.get("deliveries", 0)))
        for entry in world.ledger.of_event(event)
    ]


def rewrite(world: World, **values: object) -> None:
    """Change the effect's switch, as the clock would."""
    world.client.update_item(
        TableName=NAMES.ledger,
        Key={"event": {"S": "switch"}, "consumer": {"S": EFFECT}},
        UpdateExpression="SET " + ", ".join(f"{name} = :{name}" for name in values),
        ExpressionAttributeValues={f":{name}": pack(value) for name, value in values.items()},
    )


def ago(**duration: float) -> str:
    return clock.timestamp(datetime.now(UTC) - timedelta(**duration))


def pause_is_over(world: World) -> None:
    rewrite(world, retry_at=ago(seconds=1))


def opens(world: World, outside: Outside, *, can_ask: bool = True, down: Callable[[], Exception] = refuses) -> Trial:
    """The effect, whose breaker is open: so many orders have failed."""
    handler = outside.effect(can_ask=can_ask)
    outside.down = down
    for message in messages(SETTINGS.failures, first=9_000):
        world.deliver(handler, message)
    assert state(world) is BreakerState.OPEN
    outside.calls.clear()
    return handler


# --- opening ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("down", [refuses, is_silent])
@pytest.mark.parametrize("can_ask", [True, False])
def test_so_many_failures_in_a_row_open_the_breaker_and_not_one_less(
    world: World, down: Callable[[], Exception], can_ask: bool
) -> None:
    outside = Outside(down)
    handler = outside.effect(can_ask=can_ask)
    *before, last = messages(SETTINGS.failures)
    for message in before:
        world.deliver(handler, message)
    assert state(world) is BreakerState.CLOSED

    world.deliver(handler, last)

    assert state(world) is BreakerState.OPEN
    assert switch(world).pause == SETTINGS.first
    assert ago(seconds=0) < switch(world).retry_at <= ago(seconds=-SETTINGS.first)


@pytest.mark.parametrize("answer", [None, NonRetryable("no such address"), RetryLater("it is processing")], ids=repr)
def test_one_answer_forgets_all_failures(world: World, answer: Exception | None) -> None:
    outside = Outside(refuses)
    handler = outside.effect()
    before, (asked,), after = messages(4), messages(1, first=50), messages(4, first=100)
    for message in before:
        world.deliver(handler, message)
    outside.down = (lambda: answer) if answer else None
    world.deliver(handler, asked)
    assert switch(world).failures == 0

    outside.down = refuses
    for message in after:
        world.deliver(handler, message)

    assert state(world) is BreakerState.CLOSED


def test_one_event_alone_that_fails_again_and_again_opens_nothing(world: World) -> None:
    outside = Outside(is_silent)
    handler = outside.effect()
    (message,) = messages(1)
    for _ in range(2 * SETTINGS.failures):
        assert world.deliver(handler, message) == [message]
        time_passes(world)
        message = later(message)

    assert state(world) is BreakerState.CLOSED


def test_what_the_body_does_not_understand_says_nothing_of_the_world_outside(world: World) -> None:
    outside = Outside(lambda: KeyError("id"))
    handler = outside.effect()
    for message in messages(2 * SETTINGS.failures):
        world.deliver(handler, message)

    assert len(outside.calls) == 2 * SETTINGS.failures
    assert switch(world) == Switch(consumer=EFFECT)


def test_what_goes_well_costs_no_call_more(world: World) -> None:
    calls = faults.calls()

    assert world.deliver(Outside().effect(), *messages(1)) == []

    assert calls == ["BatchGetItem", "UpdateItem", "TransactWriteItems"]


def test_a_breaker_that_cannot_be_written_holds_nobody_up(world: World) -> None:
    outside = Outside(refuses)
    faults.always_answer("UpdateItem", faults.DENIED, about='"switch"')
    first, second = messages(2)

    assert world.deliver(outside.effect(), first) == [first]
    outside.down = None
    assert world.deliver(outside.effect(), second) == []


# --- open -------------------------------------------------------------------------------------------------------------


def test_while_it_is_open_deliveries_go_back_uncounted_and_nothing_is_called(world: World) -> None:
    outside = Outside()
    handler, waiting = opens(world, outside), messages(5)
    for number in range(1, 2 * RETRY.attempts):  # more often than any of them may be tried
        for message in (replace(each, tries=number) for each in waiting):
            assert world.deliver(handler, message) == [message]
            assert rows(world, message) == [(TRYING, 0, number)]

    assert outside.calls == []
    assert world.dead_letters() == []


def test_a_message_whose_process_died_once_is_handed_back_as_often_as_need_be(world: World) -> None:
    outside = Outside()
    handler = opens(world, outside)
    (message,) = messages(1)
    message = later(message)  # it comes back without a note
    for _ in range(3 * RETRY.crashes):
        assert world.deliver(handler, message) == [message]
        message = later(message)

    pause_is_over(world)
    outside.down = None
    assert world.deliver(handler, message) == []
    assert world.dead_letters() == []


def test_what_is_handed_back_is_hidden_until_the_pause_is_over(world: World) -> None:
    outside = Outside()
    handler = opens(world, outside)
    hidden: list[int] = []

    def note(params: dict[str, int], **_: object) -> None:
        hidden.append(params["VisibilityTimeout"])

    aws.client("sqs").meta.events.register("provide-client-params.sqs.ChangeMessageVisibility", note)
    for message in messages(10):
        world.deliver(handler, message)

    assert all(SETTINGS.first - 5 <= seconds <= 1.5 * SETTINGS.first + 1 for seconds in hidden)
    assert len(set(hidden)) > 1
    rewrite(world, retry_at=ago(days=-2))
    hidden.clear()
    world.deliver(handler, *messages(1))
    assert hidden[0] <= 12 * 3_600  # as long as SQS can


def test_what_is_done_is_known_as_done_while_it_is_open(world: World) -> None:
    outside = Outside()
    (message,) = messages(1)
    world.deliver(outside.effect(), message)
    handler = opens(world, outside)

    assert world.deliver(handler, message) == []


# --- half open --------------------------------------------------------------------------------------------------------


def test_one_delivery_tries_and_all_others_wait_for_it(world: World) -> None:
    outside = Outside()
    handler = opens(world, outside)
    pause_is_over(world)
    tries, *others = messages(5)
    waited: list[list[Message]] = []
    outside.during.append(lambda: waited.extend(world.deliver(handler, other) for other in others))
    outside.down = None

    assert world.deliver(handler, tries) == []

    assert outside.calls == ["trial/1"]
    assert waited == [[other] for other in others]


def test_an_answer_closes_the_breaker_and_all_go_on(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    outside = Outside()
    handler = opens(world, outside)
    pause_is_over(world)
    outside.down = None
    for message in messages(5):
        assert world.deliver(handler, message) == []

    closed = switch(world)
    assert (closed.opened, closed.failures, closed.pause, closed.retry_at) == (False, 0, 0, "")
    assert closed.closed_at > ago(minutes=1)
    assert "breaker closed" in capsys.readouterr().out


def test_a_failure_opens_it_again_for_twice_as_long_up_to_a_limit(world: World) -> None:
    outside = Outside()
    handler = opens(world, outside)
    backoff = []
    for message in messages(6):
        pause_is_over(world)
        assert world.deliver(handler, message) == [message]
        assert state(world) is BreakerState.OPEN
        backoff.append(switch(world).pause)

    assert backoff == [120, 240, 480, 900, 900, 900]
    assert len(outside.calls) == 6


def test_a_process_that_dies_of_its_try_blocks_nobody_for_longer_than_it_could_have_lived(world: World) -> None:
    outside = Outside()
    handler = opens(world, outside)
    pause_is_over(world)
    outside.down = None
    outside.during.append(lambda: (_ for _ in ()).throw(Death))
    dies, other = messages(2)
    with pytest.raises(Death):
        world.deliver(handler, dies)
    assert world.deliver(handler, other) == [other]

    rewrite(world, trial_until=ago(seconds=1))

    assert world.deliver(handler, later(other)) == []
    assert state(world) is BreakerState.CLOSED


def test_who_has_lost_the_try_can_say_nothing_more_of_the_breaker(world: World) -> None:
    outside = Outside()
    handler = opens(world, outside)
    pause_is_over(world)
    slow, quick = messages(2)

    def others_try() -> None:
        rewrite(world, trial_until=ago(seconds=1))
        outside.down = None
        assert world.deliver(handler, quick) == []
        outside.down = refuses

    outside.during.append(others_try)
    assert world.deliver(handler, slow) == [slow]

    assert (state(world), switch(world).retry_at) == (BreakerState.CLOSED, "")


def test_what_needs_no_answer_closes_nothing_and_lets_another_try(world: World) -> None:
    outside = Outside()
    opens(world, outside)
    pause_is_over(world)
    spared = attempting(lambda attempt: attempt.without_asking(None))

    assert world.deliver(spared, *messages(1)) == []

    assert state(world) is BreakerState.HALF_OPEN
    assert switch(world).trial_until == ""


def test_what_was_done_for_another_event_lets_another_try(world: World) -> None:
    outside = Outside()
    first, second = (Message(from_the_bus(recorded(an_order("1")))) for _ in range(2))
    world.deliver(outside.effect(), first)
    handler = opens(world, outside)
    pause_is_over(world)

    assert world.deliver(handler, second) == []

    assert (state(world), switch(world).trial_until) == (BreakerState.HALF_OPEN, "")


# --- retry_window
# ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("down", [refuses, is_silent])
def test_an_outage_of_three_hours_leaves_no_dead_letter_and_no_try(world: World, down: Callable[[], Exception]) -> None:
    outside = Outside(down)
    handler = outside.effect()
    waiting: Sequence[Message] = messages(10)
    hours = 0.0
    while hours < 3:
        for message in waiting:
            assert world.deliver(handler, message) == [message]
        time_passes(world)
        pause = switch(world).pause
        hours += pause / 3_600
        waiting = [Message(each.body, each.tries + 1, each.age + pause, each.id) for each in waiting]
        pause_is_over(world)
    outside.down = None
    called = len(outside.calls)

    for message in waiting:
        assert world.deliver(handler, message) == []

    assert called <= SETTINGS.failures + 20
    assert world.dead_letters() == []
    assert {entry for message in waiting for entry in rows(world, message)} <= {
        (COMMITTED, 0, message.tries - 1) for message in waiting
    }


def test_after_an_outage_every_delivery_has_its_full_time_again(world: World) -> None:
    outside = Outside()
    handler = opens(world, outside)
    pause_is_over(world)
    outside.down = None
    old, *_ = messages(1, age=RETRY.retry_window + 1)
    assert world.deliver(handler, *messages(1, first=50)) == []
    outside.down = refuses

    assert world.deliver(handler, old) == [old]
    rewrite(world, closed_at=ago(seconds=RETRY.retry_window - 60))
    assert world.deliver(handler, later(old)) == [later(old)]
    rewrite(world, closed_at=ago(seconds=RETRY.retry_window + 60))

    assert world.deliver(handler, later(later(old))) == []
    assert [letter.error for letter in world.dead_letters()] == ["NotPerformed"]


@pytest.mark.parametrize(("down", "error"), [(refuses, "NotPerformed"), (is_silent, "OutcomeUnknown")])
def test_one_event_that_fails_while_others_are_answered_is_dead_once_patience_ends(
    world: World, down: Callable[[], Exception], error: str
) -> None:
    outside = Outside()
    handler = outside.effect()
    (poisoned,) = messages(1, first=666)
    for number in range(1, 9):
        outside.down = down
        again = world.deliver(handler, poisoned)
        time_passes(world)
        outside.down = None
        assert world.deliver(handler, *messages(1, first=number)) == []
        if not again:
            break
        poisoned = Message(poisoned.body, poisoned.tries + 1, poisoned.age + 900, poisoned.id)

    assert poisoned.age >= RETRY.retry_window
    assert [letter.error for letter in world.dead_letters()] == [error]


def test_an_outage_makes_not_every_letter_one_of_unknown_outcome(world: World) -> None:
    outside = Outside(is_silent)
    handler = outside.effect(can_ask=False)

    again = [message for message in messages(20) if world.deliver(handler, message)]

    assert len(world.dead_letters()) == SETTINGS.failures
    assert len(again) == 20 - SETTINGS.failures
