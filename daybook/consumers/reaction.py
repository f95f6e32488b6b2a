"""Reactions: consumers that decide. They read and write their service's state, and emit events.

With `ordered=True` a reaction handles the events of each stream in the stream's order, however they arrive.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from daybook.consumers.consumer import Consumer, E, backbone
from daybook.consumers.delivery import Delivery
from daybook.consumers.ordered import Stream
from daybook.consumers.pipeline import Pipeline
from daybook.consumers.work import Work
from daybook.contracts.contract import Event
from daybook.contracts.envelope import Metadata
from daybook.store.cursor import Cursors
from daybook.store.ledger import Entry
from daybook.store.transaction import Pauses

ReactionBody = Callable[[E, Work], None]


class Reaction(Consumer[E]):
    """A consumer that decides: it reads and writes its service's state, and emits events."""

    kind = "reaction"

    def __init__(self, event_type: type[E], emits: tuple[type[Event], ...], body: ReactionBody[E]) -> None:
        super().__init__(event_type, body)
        self.emits = emits
        self.body = body

    def react(self, event: E, metadata: Metadata, pauses: Pauses) -> None:
        self.commit(partial(self.body, event), metadata, pauses)


class OrderedReaction(Reaction[E]):
    """A reaction that handles the events of a stream in the stream's order. A message only wakes it up."""

    ordered = True

    def handle(self, delivery: Delivery, pipeline: Pipeline) -> None:
        """Handle what waits in the delivery's stream, each event as one attempt."""
        self._stream().go_on(delivery, pipeline, self.attempt_in_order)

    def noted(self, metadata: Metadata) -> Entry | None:
        return self._stream().noted(metadata)

    def attempt_in_order(self, delivery: Delivery, pauses: Pauses, *, cursor: Mapping[str, Any]) -> None:
        """The same as `attempt`, in one transaction with the cursor. Raises Overtaken if another run was faster."""
        event = self.event_type.read(delivery.data, version=delivery.metadata.version)
        self.commit(partial(self.body, event), delivery.metadata, pauses, beside=lambda _: {"cursor": cursor})

    def _stream(self) -> Stream:
        here = backbone()
        return Stream(self.name, here.store, here.ledger, Cursors(here.dynamodb, here.settings.names.ledger, self.name))


def reaction(
    event_type: type[E], *, emits: tuple[type[Event], ...] = (), ordered: bool = False
) -> Callable[[ReactionBody[E]], Reaction[E]]:
    """Make a body that decides into a handler for one type of event. `emits` are all events that it may emit.

    `ordered` has it handle the events of each stream in the stream's order; one that fails holds up its own stream.
    """
    made = OrderedReaction[E] if ordered else Reaction[E]
    return lambda body: made(event_type, emits, body)
