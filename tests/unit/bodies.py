"""Bodies for units of work, and what became of those that fail."""

from collections.abc import Callable
from typing import Any

import pytest

from daybook.consumers.effect import Effect, effect
from daybook.consumers.effect_records import EffectRecord
from daybook.consumers.reaction import Reaction, reaction
from daybook.consumers.work import Work
from daybook.contracts.contract import Event
from events.notifications import EmailSent
from events.orders import OrderPlaced
from tests.unit.builders import Message, from_the_bus, recorded
from tests.unit.world import Context, World


def running(body: Callable[[Work], None], *emits: type[Event]) -> Reaction[OrderPlaced]:
    """A reaction to an order that does this."""

    def handler(_: OrderPlaced, work: Work) -> None:
        body(work)

    handler.__module__ = "functions.trials.try_it"
    return reaction(OrderPlaced, emits=emits)(handler)


def attempting(body: Callable[[EffectRecord], Event | None], *, can_ask: bool = False) -> Effect[OrderPlaced]:
    """An effect on an order that does this. It may say that a letter was sent."""

    def handler(_: OrderPlaced, record: EffectRecord) -> Event | None:
        return body(record)

    handler.__module__ = "functions.trials.try_it"
    return effect(OrderPlaced, idempotency_key="trial/{order_id}", emits=(EmailSent,), can_ask=can_ask)(handler)


def fails_with(
    world: World, capsys: pytest.CaptureFixture[str], handler: Reaction[Any], error: type[Exception]
) -> bool:
    """Whether a delivery comes again because of this error, and nothing was written."""
    message = Message(from_the_bus(recorded()))
    before = [world.items(table) for table in ("store", "tallies")]
    again = world.deliver(handler, message, context=Context(seconds=4, less=0.3))
    assert [world.items(table) for table in ("store", "tallies")] == before
    return again == [message] and f'"error":"{error.__name__}"' in capsys.readouterr().out
