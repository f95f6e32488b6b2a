"""Pauses a consumer: it receives no messages until it is resumed, and they wait in its queue.

The consumer's switch is written in one transaction with the record of the operation. Then the mapping between queue and
function is turned off: here, or within a minute by `control-consumers`, even if the command is killed in between.
"""

import difflib
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from daybook.consumers.switch import Paused, Switch, Switches
from daybook.contracts import clock
from daybook.contracts.operations import ConsumerPaused, ConsumerResumed
from daybook.operate.connection import Connection
from daybook.operate.consumers import consumers
from daybook.operate.errors import OperatorError
from daybook.operate.operation import Operation
from daybook.operate.polling import poll
from daybook.operate.terminal import daybook
from daybook.runtime.mapping import Mappings

# Functions of the backbone that can be paused, and the consequences.
BACKBONE = {
    "admit": "no event of a producer is admitted; events wait for at most 14 days, and producers receive no error",
    "publish": "no event reaches a consumer; after 24 hours, recorded events must be published with `daybook publish`",
}
# How long to wait for Lambda. It takes about ten seconds.
_MAX_WAIT = 120.0  # seconds


class NoSuchConsumer(OperatorError):
    """There is no consumer of this name."""

    def __init__(self, name: str, stage: str, known: Collection[str]) -> None:
        near = difflib.get_close_matches(name, known, n=3)
        hint = f"did you mean {' or '.join(near)}?" if near else "check that its service is deployed."
        super().__init__(
            f"there is no consumer {name} in the stage {stage}; {hint} List all with: {daybook('status', stage=stage)}"
        )


@dataclass(frozen=True, slots=True)
class ConsumerState:
    """The state of a consumer: its switch, and the states of its mappings in Lambda."""

    switch: Switch
    mappings: tuple[str, ...]

    @property
    def may_receive(self) -> bool:
        """Whether its switch lets it receive messages."""
        return self.switch.may_receive(clock.now())

    @property
    def settled(self) -> bool:
        """Whether all its mappings match its switch."""
        return all(state == ("Enabled" if self.may_receive else "Disabled") for state in self.mappings)


class PauseOperation:
    """One consumer, to be paused or resumed. Raises NoSuchConsumer."""

    def __init__(self, connection: Connection, consumer: str) -> None:
        known = consumers(connection).keys() | BACKBONE.keys()
        if consumer not in known:
            raise NoSuchConsumer(consumer, connection.stage, sorted(known))
        self.consumer = consumer
        self._connection = connection
        self._switches = Switches(connection.dynamodb, connection.names.ledger)
        self._mappings = Mappings(connection.lambda_, connection.names)

    def state(self) -> ConsumerState:
        """The current state of the consumer."""
        states = tuple(mapping.state for mapping in self._mappings.of(self.consumer))
        return ConsumerState(self._switches.find(self.consumer), states)

    def pause(self, reason: str) -> bool:
        """Pause it, and record the operation. False if it is already paused: the first reason is kept."""
        if self._switches.find(self.consumer).paused:
            return False
        operation = Operation.start(self._connection)
        event = ConsumerPaused(**operation.about, reason=reason, consumer=self.consumer)
        paused = Paused(by=operation.operator, reason=reason, since=clock.now(), operation=operation.id)
        return operation.try_to_commit(event, {"switch": self._switches.pause(self.consumer, paused)})

    def resume(self, reason: str) -> bool:
        """Resume it, and record the operation. False if it was not paused."""
        if not self._switches.find(self.consumer).paused:
            return False
        operation = Operation.start(self._connection)
        event = ConsumerResumed(**operation.about, reason=reason, consumer=self.consumer)
        return operation.try_to_commit(event, {"switch": self._switches.resume(self.consumer)})

    def follow(self, *, seconds: float = _MAX_WAIT) -> Iterator[ConsumerState]:
        """Turn the mappings on or off, and yield their state until they match the switch or the time is over."""
        for _ in poll(seconds):
            wanted = self._switches.find(self.consumer).may_receive(clock.now())
            self._mappings.switch(self.consumer, on=wanted)
            state = self.state()
            if state.settled and state.may_receive and state.switch.off:
                self._switches.mark_on(self.consumer)
            yield state
            if state.settled:
                return
