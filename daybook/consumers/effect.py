"""Effects: consumers that call an external system, and do nothing else."""

from collections.abc import Callable
from contextlib import suppress
from string import Formatter
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from daybook.consumers.consumer import Consumer, E, backbone
from daybook.consumers.effect_records import Attempt, Attempts, Busy, Concluded, NothingDone, OutcomeUnknown
from daybook.consumers.failure import NotYet, Rejected, kind
from daybook.consumers.outcome import Duplicate
from daybook.consumers.switch import Circuit, Switches
from daybook.consumers.work import Work
from daybook.contracts.contract import Event
from daybook.contracts.envelope import Metadata
from daybook.runtime import observability
from daybook.store.cursor import Overtaken
from daybook.store.transaction import OutOfTime, Pauses

EffectBody = Callable[[E, Attempt], Event | None]

# What code raises that does not understand what it has; calls that fail raise other errors.
_BUGS = (ArithmeticError, AssertionError, AttributeError, LookupError, NameError, TypeError, ValueError)


class NoPurpose(TypeError):
    """An effect's purpose names no field of its event, or one that it has not. It must tell one thing from another."""


class Effect(Consumer[E]):
    """A consumer that calls the world outside, and does nothing else.

    Before its body is run, the attempt is noted for good under its purpose; after it, the outcome is committed as an
    event. An attempt without an outcome is taken up again by a body that can ask what became of it. Otherwise it was
    the only one: whoever finds it, raises OutcomeUnknown.
    """

    kind = "effect"

    def __init__(
        self,
        event_type: type[E],
        emits: tuple[type[Event], ...],
        body: EffectBody[E],
        *,
        purpose: str,
        can_ask: bool,
        calls: int,
    ) -> None:
        super().__init__(event_type, body)
        named = {field for _, field, _, _ in Formatter().parse(purpose) if field is not None}
        if not named or named - event_type.model_fields.keys():
            msg = f"{body.__module__}: the purpose {purpose!r} must be told by fields of {event_type.__name__}"
            raise NoPurpose(msg)
        self.emits = emits
        self.body = body
        self.purpose = purpose
        self.can_ask = can_ask
        self.calls = calls

    def description(self) -> dict[str, Any]:
        return super().description() | {"purpose": self.purpose, "can_ask": self.can_ask}

    def react(self, event: E, metadata: Metadata, pauses: Pauses) -> None:
        here = backbone()
        table = here.settings.names.ledger
        switches = Switches(here.dynamodb, table)
        # A commit would find out, but too late: what is done or discarded is not to be attempted.
        row, switch = switches.beside(metadata.id, self.name, pauses)
        if row and row.done:
            raise Duplicate
        circuit = Circuit(switches, switch, here.settings.breaker, metadata.id)
        circuit.enter(pauses.remaining)
        attempts = Attempts(here.dynamodb, table, self.name)
        purpose = self.purpose.format(**dict(event))
        try:
            attempt = attempts.begin(purpose, cause=metadata.id, seconds=pauses.remaining)
        except Concluded:
            circuit.came_to_nothing()
            self.commit(lambda _: None, metadata, pauses)
            return
        except Exception:
            circuit.came_to_nothing()
            raise
        try:
            outcome = self._outcome(event, attempt, pauses)
        except Exception as error:
            self._learn(circuit, attempt, error)
            raise
        try:
            self._conclude(attempt, outcome, metadata, pauses)
        except Exception:
            self._learn(circuit, attempt)
            raise
        self._learn(circuit, attempt)

    def _learn(self, circuit: Circuit, attempt: Attempt, error: Exception | None = None) -> None:
        """What the way in which the body has ended says of the world outside."""
        log, about = observability.logger(self.name), {"event_id": circuit.event}
        if isinstance(error, NothingDone) or (isinstance(error, OutcomeUnknown) and error.unanswered):
            if circuit.failed():
                log.error("breaker opens", extra=about | {"pause": circuit.switch.pause, "error": kind(error)})
                metrics = observability.metrics(backbone().settings.names.stage, self.name)
                observability.count(metrics, observability.BREAKER_OPEN)
            error.patience = circuit.switch.patience(backbone().settings.retry.patience)
        elif attempt.untouched or isinstance(error, Busy | OutcomeUnknown | OutOfTime):
            circuit.came_to_nothing()
        elif circuit.answered():
            log.info("breaker closes", extra=about)

    def _outcome(self, event: E, attempt: Attempt, pauses: Pauses) -> Event | None:
        if attempt.in_doubt and not self.can_ask:
            _leave(attempt)
            msg = "it was attempted before, and nothing tells how that ended"
            raise OutcomeUnknown(msg, final=True)
        if pauses.remaining < self.calls * backbone().settings.call_timeout:
            _withdraw(attempt, pauses)
            msg = "too little time is left to wait for the answers of the world outside"
            raise OutOfTime(msg)
        try:
            return self.body(event, attempt)
        except Busy:
            raise
        except (NothingDone, Rejected):
            _withdraw(attempt, pauses)
            raise
        except NotYet:
            _leave(attempt)
            raise
        except Exception as error:
            if attempt.untouched:
                _withdraw(attempt, pauses)
                raise
            _leave(attempt)
            msg = f"the call ended in {kind(error)}, and whether it took effect is not known"
            raise OutcomeUnknown(msg, final=not self.can_ask, unanswered=_is_no_answer(error)) from error

    def _conclude(self, attempt: Attempt, outcome: Event | None, metadata: Metadata, pauses: Pauses) -> None:
        def tell(work: Work) -> None:
            if outcome is not None:
                work.emit(outcome)

        def conclusion(work: Work) -> dict[str, dict[str, Any]]:
            return {"effect record": attempt.conclusion(work.emitted_ids)}

        while True:
            try:
                self.commit(tell, metadata, pauses, beside=conclusion, happened=True)
            except Overtaken as error:
                msg = "another process has concluded the attempt"
                raise Busy(msg) from error
            except (ClientError, BotoCoreError):
                pauses.pause()  # it has happened, and only this process knows: for as long as there is time
            else:
                return


def _is_no_answer(error: Exception) -> bool:
    """Whether the call itself has failed, and not what the body makes of its answer."""
    return not isinstance(error, _BUGS)


def _withdraw(attempt: Attempt, pauses: Pauses) -> None:
    """Note that the attempt had no effect, for as long as there is time. Of one that is in doubt nobody can say so of
    what was tried before: it stays open.
    """
    if attempt.in_doubt:
        _leave(attempt)
        return
    while True:
        try:
            attempt.withdraw()
        except (ClientError, BotoCoreError):
            pauses.pause()
        else:
            return


def _leave(attempt: Attempt) -> None:
    """Leave the attempt open and free to look at. If that fails, it is free once this process must have ended."""
    with suppress(ClientError, BotoCoreError):
        attempt.leave()


def effect(
    event_type: type[E], *, purpose: str, emits: tuple[type[Event], ...], can_ask: bool = False, calls: int = 1
) -> Callable[[EffectBody[E]], Effect[E]]:
    """Make a body that calls the world outside into a handler for one type of event. It returns the outcome.

    `purpose` names what is to happen once, in the business's words and by fields of the event: `charge/{order_id}`.
    `can_ask`: the body finds out what became of an attempt that is in doubt, and goes on from there; otherwise such an
    attempt ends as OutcomeUnknown. `calls` are the most that the body makes, each of which has the stage's time.

    The body raises NothingDone if the outside certainly did nothing and the delivery should be tried again, Rejected if
    it never will, NotYet if the outcome is not there yet. Any other error leaves the outcome unknown, but for what the
    body does while `attempt.preparing()`. An attempt that is in doubt stays so, whatever the body raises: only an
    outcome ends it.
    """
    return lambda body: Effect(event_type, emits, body, purpose=purpose, can_ask=can_ask, calls=calls)
