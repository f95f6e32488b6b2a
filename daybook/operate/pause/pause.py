"""Pausing a consumer: it gets no messages until it is resumed, and they wait in its queue.

The consumer's switch is written in one transaction with the record of the operation. The mapping between queue and
function follows: here, or within a minute by the function `control-consumers`. So it follows even if the command is
killed in between.
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
from daybook.operate.polling import looks
from daybook.runtime.mapping import Mappings

# Functions of the backbone that can be paused as consumers can, and what that means.
BACKBONE = {
    "admit": "nothing from outside is taken in; producers do not notice, and their events wait for 14 days at the most",
    "publish": "no event reaches any consumer; what is recorded waits for 24 hours, and is then to be caught up on",
}
# How long Lambda is waited for. It takes some ten seconds.
_LONGEST_WAIT = 120.0  # seconds


class NotPausable(OperatorError):
    """There is no consumer of this name."""

    def __init__(self, name: str, stage: str, known: Collection[str]) -> None:
        near = difflib.get_close_matches(name, known, n=3)
        there = f"did you mean {' or '.join(near)}?" if near else "is its service not deployed?"
        super().__init__(
            f"there is no consumer {name} in the stage {stage}; {there} All: daybook status --stage {stage}"
        )


@dataclass(frozen=True, slots=True)
class Standing:
    """How a consumer stands: its switch, and the states of its mappings, as Lambda says."""

    switch: Switch
    mappings: tuple[str, ...]

    @property
    def lets_through(self) -> bool:
        """Whether its switch wants it to get messages."""
        return self.switch.lets_through(clock.now())

    @property
    def settled(self) -> bool:
        """Whether all its mappings are as its switch wants them."""
        return all(state == ("Enabled" if self.lets_through else "Disabled") for state in self.mappings)


class Pausing:
    """One consumer, to be paused or resumed. Raises NotPausable."""

    def __init__(self, connection: Connection, consumer: str) -> None:
        known = consumers(connection).keys() | BACKBONE.keys()
        if consumer not in known:
            raise NotPausable(consumer, connection.stage, sorted(known))
        self.consumer = consumer
        self._connection = connection
        self._switches = Switches(connection.dynamodb, connection.names.ledger)
        self._mappings = Mappings(connection.lambda_, connection.names)

    def standing(self) -> Standing:
        """How the consumer stands at this moment."""
        states = tuple(mapping.state for mapping in self._mappings.of(self.consumer))
        return Standing(self._switches.find(self.consumer), states)

    def pause(self, reason: str) -> bool:
        """Pause it, and record that. False if it is paused already: the first operator's reason stands."""
        if self._switches.find(self.consumer).paused:
            return False
        operation = Operation.begin(self._connection)
        event = ConsumerPaused(**operation.about, reason=reason, consumer=self.consumer)
        paused = Paused(by=operation.operator, reason=reason, since=clock.now(), operation=operation.id)
        return operation.try_to_commit(event, {"switch": self._switches.pause(self.consumer, paused)})

    def resume(self, reason: str) -> bool:
        """Resume it, and record that. False if it was not paused."""
        if not self._switches.find(self.consumer).paused:
            return False
        operation = Operation.begin(self._connection)
        event = ConsumerResumed(**operation.about, reason=reason, consumer=self.consumer)
        return operation.try_to_commit(event, {"switch": self._switches.resume(self.consumer)})

    def follow(self, *, seconds: float = _LONGEST_WAIT) -> Iterator[Standing]:
        """Make the mappings follow the switch, and yield how they stand until they do, or the seconds are over."""
        for _ in looks(seconds):
            wanted = self._switches.find(self.consumer).lets_through(clock.now())
            self._mappings.switch(self.consumer, on=wanted)
            standing = self.standing()
            if standing.settled and standing.lets_through and standing.switch.off:
                self._switches.switched_on(self.consumer)
            yield standing
            if standing.settled:
                return
