"""Reactions and effects with the body that a test passes."""

from collections.abc import Callable
from typing import Any

import pytest

from daybook.consumers.effect import Effect, effect
from daybook.consumers.effect_records import EffectRecord
from daybook.consumers.reaction import Reaction, reaction
from daybook.consumers.work import Work
from daybook.contracts.contract import Event
from daybook.testing.world import Context, World
from tests.application.builders import Message, from_the_bus, recorded
from tests.application.contracts.loans import LoanRequested
from tests.application.contracts.reminders import ReminderSent


def running(body: Callable[[Work], None], *emits: type[Event]) -> Reaction[LoanRequested]:
    """A reaction to a loan with this body."""

    def handler(_: LoanRequested, work: Work) -> None:
        body(work)

    handler.__module__ = "functions.trials.try_it"
    return reaction(LoanRequested, emits=emits)(handler)


def attempting(body: Callable[[EffectRecord], Event | None], *, can_query: bool = False) -> Effect[LoanRequested]:
    """An effect on a loan with this body, which may return a ReminderSent."""

    def handler(_: LoanRequested, record: EffectRecord) -> Event | None:
        return body(record)

    handler.__module__ = "functions.trials.try_it"
    return effect(LoanRequested, idempotency_key="trial/{loan_id}", emits=(ReminderSent,), can_query=can_query)(handler)


def fails_with(
    world: World, capsys: pytest.CaptureFixture[str], handler: Reaction[Any], error: type[Exception]
) -> bool:
    """Whether a delivery fails with this error, is retried, and writes nothing."""
    message = Message(from_the_bus(recorded()))
    before = world.recorded(), world.items("tallies")
    retried = world.deliver(handler, message, context=Context(seconds=4, less=0.3))
    assert (world.recorded(), world.items("tallies")) == before
    return retried == [message] and f'"error":"{error.__name__}"' in capsys.readouterr().out
