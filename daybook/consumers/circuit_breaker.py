"""The circuit breaker of an effect: no calls while the external system does not answer.

A breaker is *closed* in normal operation. A number of consecutive failures, of at least two events (one event may cause
failures itself), *opens* it: no calls are made. When its time is over it is *half open*: one delivery makes a trial
call, and all others wait for the result. An answer closes the breaker; a failure opens it again for twice as long.

Its state is in the consumer's switch (switch.py). See https://martinfowler.com/bliki/CircuitBreaker.html.
"""

from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import uuid4

from botocore.exceptions import BotoCoreError, ClientError

from daybook.consumers.switch import BreakerState, Switch, Switches
from daybook.contracts import clock
from daybook.runtime.retry import BreakerSettings

# The number of different events that must fail: the repeated failures of one event may be caused by the event.
_MIN_EVENTS = 2


class BreakerOpen(Exception):
    """The circuit breaker is open, so no call was made. The delivery is retried after `seconds`."""

    def __init__(self, seconds: float) -> None:
        super().__init__("the external system does not answer, and the circuit breaker is open")
        self.seconds = seconds


@dataclass(slots=True)
class CircuitBreaker:
    """The circuit breaker for one delivery: whether it may call the external system, and what the result changes.

    Errors while results are recorded are ignored: they must not fail the delivery, and the next delivery records its
    own result.
    """

    switches: Switches
    switch: Switch
    settings: BreakerSettings
    event: str
    _token: str = field(default_factory=lambda: uuid4().hex)
    _is_trial: bool = False

    def enter(self, seconds: float) -> None:
        """Check whether a process that ends within `seconds` may call the external system. Raises BreakerOpen."""
        now = datetime.now(UTC)
        match self.switch.breaker(clock.timestamp(now)):
            case BreakerState.OPEN:
                raise BreakerOpen((clock.moment(self.switch.retry_at) - now).total_seconds())
            case BreakerState.HALF_OPEN:
                self._is_trial = self.switches.claim_trial(self.switch.consumer, self._token, seconds)
                if not self._is_trial:
                    raise BreakerOpen(seconds)

    def answered(self) -> bool:
        """Record that the external system answered, in any way. Returns whether this closed the breaker."""
        with suppress(ClientError, BotoCoreError):
            if self._is_trial:
                self.switches.close(self.switch.consumer, self._token)
                return True
            if self.switch.failures:
                self.switches.reset_failures(self.switch.consumer)
        return False

    def failed(self) -> bool:
        """Record that the external system did not answer. Returns whether this opened the breaker."""
        consumer = self.switch.consumer
        with suppress(ClientError, BotoCoreError):
            if self._is_trial:
                seconds = min(2 * max(self.switch.open_time, 1), self.settings.max_open_time)
                return self.switches.open_again(consumer, self._token, seconds)
            counted = self.switches.count_failure(consumer, self.event)
            if counted is None:  # another delivery has opened the breaker
                self.switch = self.switches.find(consumer)
                return False
            self.switch = counted
            if counted.failures >= self.settings.failure_threshold and len(counted.failing) >= _MIN_EVENTS:
                opened = self.switches.open(consumer, self.settings.first_open_time)
                self.switch = opened or self.switches.find(consumer)
                return opened is not None
        return False

    def not_called(self) -> None:
        """Record that no call was made."""
        if self._is_trial:
            with suppress(ClientError, BotoCoreError):
                self.switches.release_trial(self.switch.consumer, self._token)
