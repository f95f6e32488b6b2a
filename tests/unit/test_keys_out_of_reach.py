"""While a consumer cannot use its key, it processes nothing and calls nothing. Its messages wait."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest
from botocore.exceptions import ClientError

from daybook.consumers.consumer import backbone, journal_shards
from daybook.consumers.effect_records import EffectRecord
from daybook.consumers.reaction import reaction
from daybook.consumers.work import Work
from daybook.contracts.contract import Event
from daybook.contracts.envelope import Envelope
from daybook.runtime.keyring import Keyring, keyring
from daybook.store.ledger import COMMITTED, TRYING
from daybook.testing.keys import writer
from daybook.testing.world import Handler, World
from tests.application.builders import Message, a_loan, from_the_bus, recorded
from tests.application.contracts.loans import LoanRequested
from tests.application.contracts.reminders import ReminderSent
from tests.application.services.loans.loan import Loan
from tests.unit.bodies import attempting
from tests.unit.bodies import running as reacting
from tests.unit.test_delivery_attempts import RETRY, later

SENT = ReminderSent(reminder_id="1001.trial", loan_id="1001", message_id="M-1")


@dataclass
class Kms:
    """Whether KMS unwraps keys."""

    denies: bool = False


@pytest.fixture
def kms(world: World, monkeypatch: pytest.MonkeyPatch) -> Kms:  # noqa: ARG001 - after its keys
    state = Kms()

    def key(_: Keyring, name: str) -> bytes:
        if state.denies:
            raise ClientError({"Error": {"Code": "AccessDeniedException", "Message": "injected"}}, "Decrypt")
        return writer(name).key

    monkeypatch.setattr(Keyring, "_key", key)
    return state


def in_a_new_process(deliver: Callable[[], list[Message]]) -> list[Message]:
    """A process keeps the keys that it has unwrapped, and the numbers of the journal's shards."""
    for kept in (keyring, backbone, journal_shards):
        kept.cache_clear()
    return deliver()


def save(work: Work) -> None:
    work.save(Loan(loan_id=f"{work.cause.stream}.{work.cause.sequence}"))


def _ordered(_: LoanRequested, work: Work) -> None:
    save(work)


_ordered.__module__, _ordered.__name__ = "functions.trials.try_it", "handler"
in_order = reaction(LoanRequested, ordered=True)(_ordered)


def tried(world: World, handler: Handler, message: Message, *, times: int) -> Message:
    """Deliver the message so many times, each to a new process that does not process it. Returns its next delivery."""
    for _ in range(times):
        assert in_a_new_process(lambda: world.deliver(handler, message)) == [message]  # noqa: B023 - called at once
        message = later(message)
    return message


@pytest.fixture(params=[0, 1], ids=["a new stream", "a stream with a cursor"])
def events(request: pytest.FixtureRequest, world: World, kms: Kms) -> list[Envelope]:  # noqa: ARG001 - before `kms` denies
    """The next two events of the stream of an ordered consumer."""
    made: list[Envelope] = []
    for _ in range(request.param + 2):
        made.append(recorded(a_loan(), after=made[-1] if made else None))
    for event in made[: request.param]:
        world.append(event)
        world.deliver(in_order, from_the_bus(event))
    world.append(*made[request.param :])
    return made[request.param :]


# Guards: the key first in Cursors.read. Otherwise each delivery counts as a process that died.
def test_an_ordered_consumer_without_its_key_waits_and_makes_no_dead_letter(
    world: World, kms: Kms, events: list[Envelope]
) -> None:
    kms.denies = True
    before = len(world.items("loans"))
    message = tried(world, in_order, Message(from_the_bus(events[0])), times=2 * RETRY.max_attempts)
    assert (len(world.items("loans")), world.dead_letters()) == (before, [])

    kms.denies = False
    assert in_a_new_process(lambda: world.deliver(in_order, message)) == []

    assert [entry.state for event in events for entry in world.entries(event)] == [COMMITTED, COMMITTED]
    assert (len(world.items("loans")), world.dead_letters()) == (before + 2, [])


# Guards: the step in OrderedReaction.handle. Without a note, a dead letter of SQS would say that the process died.
def test_an_ordered_consumer_without_its_key_notes_why_its_message_waits(
    world: World, kms: Kms, events: list[Envelope]
) -> None:
    kms.denies = True
    tried(world, in_order, Message(from_the_bus(events[0])), times=2)

    (row,) = world.entries(events[0])
    assert (row.state, [failed["error"] for failed in row.failed_attempts]) == (TRYING, ["AccessDeniedException"])


def test_a_reaction_without_its_key_is_retried(world: World, kms: Kms) -> None:
    event = recorded()
    kms.denies = True
    message = tried(world, reacting(save), Message(from_the_bus(event)), times=1)

    kms.denies = False
    assert in_a_new_process(lambda: world.deliver(reacting(save), message)) == []

    assert (len(world.items("loans")), world.dead_letters()) == (1, [])


# Guards: the number of the journal's shards before the call. Otherwise the outcome could not be recorded.
def test_an_effect_that_cannot_append_its_outcome_calls_nothing(world: World) -> None:
    called: list[str] = []

    def call(record: EffectRecord) -> Event:
        called.append(record.idempotency_key)
        return SENT

    wrong = world.shards.announcement(datetime(2026, 3, 1, tzinfo=UTC), 0, {})["Put"]
    world.client.put_item(**wrong)
    message = Message(from_the_bus(recorded()))

    assert in_a_new_process(lambda: world.deliver(attempting(call), message)) == [message]

    assert called == []


# Guards: the key before EffectRecords.begin. Otherwise the outcome of the call could not be recorded.
@pytest.mark.parametrize("outcome", [SENT, None], ids=["with an outcome", "without an outcome"])
def test_an_effect_without_its_key_calls_nothing(world: World, kms: Kms, outcome: Event | None) -> None:
    called: list[str] = []

    def call(record: EffectRecord) -> Event | None:
        called.append(record.idempotency_key)
        return outcome

    kms.denies = True
    message = tried(world, attempting(call), Message(from_the_bus(event := recorded())), times=2)
    assert called == []
    assert [item["key"] for item in world.items("ledger") if "#effect#" in item["key"]] == []
    (row,) = world.entries(event)
    assert [failed["error"] for failed in row.failed_attempts] == ["AccessDeniedException"] * 2

    kms.denies = False
    assert in_a_new_process(lambda: world.deliver(attempting(call), message)) == []
    assert (len(called), world.dead_letters()) == (1, [])
