"""Reactions (event handlers): consumers that read and write their service's state, and emit events.

With `ordered=True` a reaction processes the events of each stream in order, in whatever order they arrive.
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
from daybook.contracts.proof import Writer
from daybook.store.cursor import Cursors
from daybook.store.ledger import LedgerEntry
from daybook.store.transaction import Backoff

ReactionBody = Callable[[E, Work], None]


class Reaction(Consumer[E]):
    """A consumer that reads and writes its service's state, and emits events."""

    kind = "reaction"

    def __init__(self, event_type: type[E], emits: tuple[type[Event], ...], body: ReactionBody[E]) -> None:
        super().__init__(event_type, body)
        self.emits = emits
        self.body = body

    def react(self, event: E, metadata: Metadata, backoff: Backoff) -> None:
        self.commit(partial(self.body, event), metadata, backoff)


class OrderedReaction(Reaction[E]):
    """A reaction that processes the events of each stream in order. Its messages are only wake-up messages."""

    ordered = True

    def handle(self, delivery: Delivery, pipeline: Pipeline) -> None:
        """Process the waiting events of the message's stream, each as one delivery attempt.

        Without its key the consumer can write no cursor. That is a failed delivery attempt too, so its reason is noted.
        """
        prepared = pipeline.attempt(delivery, lambda _: self._writer())
        if prepared.error:
            pipeline.settlement.settle(delivery, prepared)
        else:
            self._stream().process(delivery, pipeline, self.attempt_in_order)

    def ledger_row(self, metadata: Metadata) -> LedgerEntry | None:
        return self._stream().ledger_row(metadata)

    def attempt_in_order(self, delivery: Delivery, backoff: Backoff, *, cursor: Mapping[str, Any]) -> None:
        """Like `attempt`, in one transaction with the cursor. Raises ConcurrentWrite if the cursor has changed."""
        event = self.event_type.read(delivery.data, version=delivery.metadata.version)
        self.commit(partial(self.body, event), delivery.metadata, backoff, extra={"cursor": cursor})

    def _writer(self) -> Writer:
        return backbone().keyring.writer(self.name)

    def _stream(self) -> Stream:
        here = backbone()
        cursors = Cursors(here.dynamodb, here.settings.names.ledger, self.name, self._writer)
        return Stream(self.name, here.store, here.ledger, cursors)


def reaction(
    event_type: type[E], *, emits: tuple[type[Event], ...] = (), ordered: bool = False
) -> Callable[[ReactionBody[E]], Reaction[E]]:
    """Decorate a body as a handler for one type of event. `emits` lists all events that it may emit.

    `ordered`: it processes the events of each stream in order; an event that fails delays only its own stream.
    """
    made = OrderedReaction[E] if ordered else Reaction[E]
    return lambda body: made(event_type, emits, body)
