"""The circuit breaker of effects: while an external system is down, it is not called and no attempts are counted.

Each guard was switched off in turn, and each time tests of this file failed: failures of one event alone do not open
the breaker, an answer resets the failures, an open breaker makes no call, one delivery makes the trial call, a trial
ends with its time, a failed trial doubles the pause, the retry window begins again when the breaker is closed, and an
event that needs no call does not close the breaker.
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
from daybook.testing.world import ENVIRONMENT, NAMES, World
from tests.application.builders import Message, a_loan, from_the_bus, recorded
from tests.application.contracts.reminders import ReminderSent
from tests.unit import faults
from tests.unit.bodies import attempting
from tests.unit.faults import Death
from tests.unit.test_delivery_attempts import RETRY, Slip, later
from tests.unit.test_effects import Trial, time_passes

SETTINGS = BreakerSettings.from_json(ENVIRONMENT[BREAKER])
EFFECT = "try-it"


@dataclass
class ExternalSystem:
    """The external system, which may be down in one way or another."""

    down: Callable[[], Exception] | None = None
    calls: list[str] = field(default_factory=list)
    during: list[Callable[[], object]] = field(default_factory=list)

    def effect(self, *, can_query: bool = True) -> Trial:
        """An effect that calls it."""

        def body(record: EffectRecord) -> Event:
            self.calls.append(record.idempotency_key)
            for act in self.during[:1]:
                self.during.remove(act)
                act()
            if self.down:
                raise self.down()
            order = record.idempotency_key.removeprefix("trial/")
            return ReminderSent(reminder_id=f"{order}.trial", loan_id=order, message_id="M-1")

        return attempting(body, can_query=can_query)


def refuses() -> Exception:
    """The call certainly had no effect."""
    return NotPerformed("the provider is down")


def does_not_answer() -> Exception:
    """The outcome of the call is unknown."""
    return Slip()


def messages(number: int, *, first: int = 1, age: float = 0) -> list[Message]:
    """Messages for this number of loans."""
    return [Message(from_the_bus(recorded(a_loan(str(order)))), age=age) for order in range(first, first + number)]


def switch(world: World) -> Switch:
    return Switches(world.client, NAMES.ledger).find(EFFECT)


def state(world: World) -> BreakerState:
    return switch(world).breaker(clock.now())


def rows(world: World, message: Message) -> list[tuple[str, int, int]]:
    """The state, number of failed attempts and number of deliveries that the ledger has of a message's event."""
    event = json.loads(message.body)["detail"]["metadata"]["id"]
    entry = world.ledger.find(event, EFFECT)
    return [(entry.state, len(entry.failed_attempts), int(entry.details.get("deliveries", 0)))] if entry else []


def rewrite(world: World, **values: object) -> None:
    """Change the effect's switch, for example as if time had passed."""
    world.client.update_item(
        TableName=NAMES.ledger,
        Key={"key": {"S": f"{EFFECT}#switch"}},
        UpdateExpression="SET " + ", ".join(f"{name} = :{name}" for name in values),
        ExpressionAttributeValues={f":{name}": pack(value) for name, value in values.items()},
    )


def ago(**duration: float) -> str:
    return clock.timestamp(datetime.now(UTC) - timedelta(**duration))


def end_pause(world: World) -> None:
    rewrite(world, retry_at=ago(seconds=1))


def with_open_breaker(
    world: World, external: ExternalSystem, *, can_query: bool = True, down: Callable[[], Exception] = refuses
) -> Trial:
    """The effect, whose breaker was opened by failures of several events."""
    handler = external.effect(can_query=can_query)
    external.down = down
    for message in messages(SETTINGS.failure_threshold, first=9_000):
        world.deliver(handler, message)
    assert state(world) is BreakerState.OPEN
    external.calls.clear()
    return handler


# --- opening ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("down", [refuses, does_not_answer])
@pytest.mark.parametrize("can_query", [True, False])
def test_the_breaker_opens_at_the_threshold_of_consecutive_failures(
    world: World, down: Callable[[], Exception], can_query: bool
) -> None:
    external = ExternalSystem(down)
    handler = external.effect(can_query=can_query)
    *before, last = messages(SETTINGS.failure_threshold)
    for message in before:
        world.deliver(handler, message)
    assert state(world) is BreakerState.CLOSED

    world.deliver(handler, last)

    assert state(world) is BreakerState.OPEN
    assert switch(world).open_time == SETTINGS.first_open_time
    assert ago(seconds=0) < switch(world).retry_at <= ago(seconds=-SETTINGS.first_open_time)


@pytest.mark.parametrize("answer", [None, NonRetryable("no such address"), RetryLater("it is processing")], ids=repr)
def test_an_answer_resets_the_number_of_failures(world: World, answer: Exception | None) -> None:
    external = ExternalSystem(refuses)
    handler = external.effect()
    before, (asked,), after = messages(4), messages(1, first=50), messages(4, first=100)
    for message in before:
        world.deliver(handler, message)
    external.down = (lambda: answer) if answer else None
    world.deliver(handler, asked)
    assert switch(world).failures == 0

    external.down = refuses
    for message in after:
        world.deliver(handler, message)

    assert state(world) is BreakerState.CLOSED


def test_an_event_that_fails_repeatedly_alone_does_not_open_the_breaker(world: World) -> None:
    external = ExternalSystem(does_not_answer)
    handler = external.effect()
    (message,) = messages(1)
    for _ in range(2 * SETTINGS.failure_threshold):
        assert world.deliver(handler, message) == [message]
        time_passes(world)
        message = later(message)

    assert state(world) is BreakerState.CLOSED


def test_an_unexpected_error_of_the_body_does_not_count_as_a_failure_of_the_external_system(world: World) -> None:
    external = ExternalSystem(lambda: KeyError("id"))
    handler = external.effect()
    for message in messages(2 * SETTINGS.failure_threshold):
        world.deliver(handler, message)

    assert len(external.calls) == 2 * SETTINGS.failure_threshold
    assert switch(world) == Switch(consumer=EFFECT)


def test_a_success_costs_no_extra_call(world: World) -> None:
    calls = faults.calls()

    assert world.deliver(ExternalSystem().effect(), *messages(1)) == []

    assert calls == ["BatchGetItem", "BatchGetItem", "UpdateItem", "TransactWriteItems"]


def test_a_breaker_that_cannot_be_written_does_not_stop_deliveries(world: World) -> None:
    external = ExternalSystem(refuses)
    faults.always_answer("UpdateItem", faults.DENIED, about='"switch"')
    first, second = messages(2)

    assert world.deliver(external.effect(), first) == [first]
    external.down = None
    assert world.deliver(external.effect(), second) == []


# --- open -------------------------------------------------------------------------------------------------------------


def test_while_the_breaker_is_open_messages_are_returned_without_a_call_and_without_counting(world: World) -> None:
    external = ExternalSystem()
    handler, waiting = with_open_breaker(world, external), messages(5)
    for number in range(1, 2 * RETRY.max_attempts):  # more than the allowed attempts
        for message in (replace(each, tries=number) for each in waiting):
            assert world.deliver(handler, message) == [message]
            assert rows(world, message) == [(TRYING, 0, number)]

    assert external.calls == []
    assert world.dead_letters() == []


def test_a_message_whose_process_died_once_is_returned_any_number_of_times(world: World) -> None:
    external = ExternalSystem()
    handler = with_open_breaker(world, external)
    (message,) = messages(1)
    message = later(message)  # it is redelivered without a note in the ledger
    for _ in range(3 * RETRY.max_crashes):
        assert world.deliver(handler, message) == [message]
        message = later(message)

    end_pause(world)
    external.down = None
    assert world.deliver(handler, message) == []
    assert world.dead_letters() == []


def test_a_returned_message_is_hidden_until_the_pause_is_over(world: World) -> None:
    external = ExternalSystem()
    handler = with_open_breaker(world, external)
    hidden: list[int] = []

    def note(params: dict[str, int], **_: object) -> None:
        hidden.append(params["VisibilityTimeout"])

    aws.client("sqs").meta.events.register("provide-client-params.sqs.ChangeMessageVisibility", note)
    for message in messages(10):
        world.deliver(handler, message)

    assert all(SETTINGS.first_open_time - 5 <= seconds <= 1.5 * SETTINGS.first_open_time + 1 for seconds in hidden)
    assert len(set(hidden)) > 1
    rewrite(world, retry_at=ago(days=-2))
    hidden.clear()
    world.deliver(handler, *messages(1))
    assert hidden[0] <= 12 * 3_600  # the limit of SQS


def test_an_effect_that_is_completed_is_committed_while_the_breaker_is_open(world: World) -> None:
    external = ExternalSystem()
    (message,) = messages(1)
    world.deliver(external.effect(), message)
    handler = with_open_breaker(world, external)

    assert world.deliver(handler, message) == []


# --- half open --------------------------------------------------------------------------------------------------------


def test_one_delivery_makes_the_trial_call_and_all_others_wait(world: World) -> None:
    external = ExternalSystem()
    handler = with_open_breaker(world, external)
    end_pause(world)
    tries, *others = messages(5)
    waited: list[list[Message]] = []
    external.during.append(lambda: waited.extend(world.deliver(handler, other) for other in others))
    external.down = None

    assert world.deliver(handler, tries) == []

    assert external.calls == ["trial/1"]
    assert waited == [[other] for other in others]


def test_an_answer_closes_the_breaker_and_all_deliveries_continue(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    external = ExternalSystem()
    handler = with_open_breaker(world, external)
    end_pause(world)
    external.down = None
    for message in messages(5):
        assert world.deliver(handler, message) == []

    closed = switch(world)
    assert (closed.opened, closed.failures, closed.open_time, closed.retry_at) == (False, 0, 0, "")
    assert closed.closed_at > ago(minutes=1)
    assert "breaker closed" in capsys.readouterr().out


def test_a_failed_trial_opens_the_breaker_for_twice_as_long_up_to_a_limit(world: World) -> None:
    external = ExternalSystem()
    handler = with_open_breaker(world, external)
    backoff = []
    for message in messages(6):
        end_pause(world)
        assert world.deliver(handler, message) == [message]
        assert state(world) is BreakerState.OPEN
        backoff.append(switch(world).open_time)

    assert backoff == [120, 240, 480, 900, 900, 900]
    assert len(external.calls) == 6


def test_a_process_that_dies_during_its_trial_blocks_others_only_for_its_maximum_time(world: World) -> None:
    external = ExternalSystem()
    handler = with_open_breaker(world, external)
    end_pause(world)
    external.down = None
    external.during.append(lambda: (_ for _ in ()).throw(Death))
    dies, other = messages(2)
    with pytest.raises(Death):
        world.deliver(handler, dies)
    assert world.deliver(handler, other) == [other]

    rewrite(world, trial_until=ago(seconds=1))

    assert world.deliver(handler, later(other)) == []
    assert state(world) is BreakerState.CLOSED


def test_a_process_that_has_lost_its_trial_cannot_change_the_breaker(world: World) -> None:
    external = ExternalSystem()
    handler = with_open_breaker(world, external)
    end_pause(world)
    slow, quick = messages(2)

    def another_process_tries() -> None:
        rewrite(world, trial_until=ago(seconds=1))
        external.down = None
        assert world.deliver(handler, quick) == []
        external.down = refuses

    external.during.append(another_process_tries)
    assert world.deliver(handler, slow) == [slow]

    assert (state(world), switch(world).retry_at) == (BreakerState.CLOSED, "")


def test_an_effect_that_makes_no_call_does_not_close_the_breaker_and_allows_another_trial(world: World) -> None:
    external = ExternalSystem()
    with_open_breaker(world, external)
    end_pause(world)
    spared = attempting(lambda attempt: attempt.without_call(None))

    assert world.deliver(spared, *messages(1)) == []

    assert state(world) is BreakerState.HALF_OPEN
    assert switch(world).trial_until == ""


def test_an_effect_that_another_event_has_completed_allows_another_trial(world: World) -> None:
    external = ExternalSystem()
    first, second = (Message(from_the_bus(recorded(a_loan("1")))) for _ in range(2))
    world.deliver(external.effect(), first)
    handler = with_open_breaker(world, external)
    end_pause(world)

    assert world.deliver(handler, second) == []

    assert (state(world), switch(world).trial_until) == (BreakerState.HALF_OPEN, "")


# --- retry window -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("down", [refuses, does_not_answer])
def test_an_outage_of_three_hours_leaves_no_dead_letter_and_no_failed_attempt(
    world: World, down: Callable[[], Exception]
) -> None:
    external = ExternalSystem(down)
    handler = external.effect()
    waiting: Sequence[Message] = messages(10)
    hours = 0.0
    while hours < 3:
        for message in waiting:
            assert world.deliver(handler, message) == [message]
        time_passes(world)
        pause = switch(world).open_time
        hours += pause / 3_600
        waiting = [Message(each.body, each.tries + 1, each.age + pause, each.id) for each in waiting]
        end_pause(world)
    external.down = None
    called = len(external.calls)

    for message in waiting:
        assert world.deliver(handler, message) == []

    assert called <= SETTINGS.failure_threshold + 20
    assert world.dead_letters() == []
    assert {entry for message in waiting for entry in rows(world, message)} <= {
        (COMMITTED, 0, message.tries - 1) for message in waiting
    }


def test_after_an_outage_every_delivery_has_its_full_retry_window(world: World) -> None:
    external = ExternalSystem()
    handler = with_open_breaker(world, external)
    end_pause(world)
    external.down = None
    old, *_ = messages(1, age=RETRY.retry_window + 1)
    assert world.deliver(handler, *messages(1, first=50)) == []
    external.down = refuses

    assert world.deliver(handler, old) == [old]
    rewrite(world, closed_at=ago(seconds=RETRY.retry_window - 60))
    assert world.deliver(handler, later(old)) == [later(old)]
    rewrite(world, closed_at=ago(seconds=RETRY.retry_window + 60))

    assert world.deliver(handler, later(later(old))) == []
    assert [dead_letter.error for dead_letter in world.dead_letters()] == ["NotPerformed"]


@pytest.mark.parametrize(("down", "error"), [(refuses, "NotPerformed"), (does_not_answer, "OutcomeUnknown")])
def test_an_event_that_fails_while_others_succeed_is_dead_when_the_retry_window_ends(
    world: World, down: Callable[[], Exception], error: str
) -> None:
    external = ExternalSystem()
    handler = external.effect()
    (poisoned,) = messages(1, first=666)
    for number in range(1, 9):
        external.down = down
        again = world.deliver(handler, poisoned)
        time_passes(world)
        external.down = None
        assert world.deliver(handler, *messages(1, first=number)) == []
        if not again:
            break
        poisoned = Message(poisoned.body, poisoned.tries + 1, poisoned.age + 900, poisoned.id)

    assert poisoned.age >= RETRY.retry_window
    assert [dead_letter.error for dead_letter in world.dead_letters()] == [error]


def test_few_dead_letters_of_an_outage_have_an_unknown_outcome(world: World) -> None:
    external = ExternalSystem(does_not_answer)
    handler = external.effect(can_query=False)

    again = [message for message in messages(20) if world.deliver(handler, message)]

    assert len(world.dead_letters()) == SETTINGS.failure_threshold
    assert len(again) == 20 - SETTINGS.failure_threshold
