"""Effects (side effects): consumers that call an external system, and do nothing else."""

from collections.abc import Callable
from contextlib import suppress
from string import Formatter
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from daybook.consumers.circuit_breaker import CircuitBreaker
from daybook.consumers.consumer import Consumer, E, backbone, end_if_done, journal_shards
from daybook.consumers.effect_records import (
    AlreadyPerformed,
    EffectRecord,
    EffectRecords,
    InProgress,
    NotPerformed,
    OutcomeUnknown,
)
from daybook.consumers.failure import NonRetryable, RetryLater, kind
from daybook.consumers.switch import Switches
from daybook.consumers.work import Work
from daybook.contracts.contract import Event, personal_fields
from daybook.contracts.envelope import Metadata
from daybook.contracts.identity import filled_key
from daybook.runtime import observability
from daybook.store.transaction import Backoff, OutOfTime

EffectBody = Callable[[E, EffectRecord], Event | None]

# Errors that indicate a bug in this system's code. Failed calls raise other errors.
_BUGS = (ArithmeticError, AssertionError, AttributeError, LookupError, NameError, TypeError, ValueError)


class BadIdempotencyKey(TypeError):
    """An effect's idempotency key names no field of its event, or a field that does not exist."""


class Effect(Consumer[E]):
    """A consumer that calls an external system, and does nothing else.

    Before the body runs, an effect record is written under the idempotency key. After it, the outcome is committed as
    an event. If a delivery finds an effect record without an outcome, the call may have taken effect. A body that can
    query the outcome (`can_query`) then continues from it; otherwise the delivery ends with OutcomeUnknown.
    """

    kind = "effect"

    def __init__(
        self,
        event_type: type[E],
        emits: tuple[type[Event], ...],
        body: EffectBody[E],
        *,
        idempotency_key: str,
        can_query: bool,
        calls: int,
    ) -> None:
        super().__init__(event_type, body)
        named = {field for _, field, _, _ in Formatter().parse(idempotency_key) if field is not None}
        if not named or named - event_type.model_fields.keys() or named & personal_fields(event_type):
            msg = (
                f"{body.__module__}: the idempotency key {idempotency_key!r} must name fields of {event_type.__name__} "
                "that are not personal"
            )
            raise BadIdempotencyKey(msg)
        self.emits = emits
        self.body = body
        self.idempotency_key = idempotency_key
        self.can_query = can_query
        self.calls = calls

    def description(self) -> dict[str, Any]:
        return super().description() | {"idempotency_key": self.idempotency_key, "can_query": self.can_query}

    def react(self, event: E, metadata: Metadata, backoff: Backoff) -> None:
        here = backbone()
        switches = Switches(here.dynamodb, here.settings.names.ledger)
        # The commit would also detect a duplicate, but only after the call.
        row, switch = switches.find_with_status(metadata.id, self.name, backoff)
        end_if_done(row)
        # The outcome cannot be recorded without these: if they fail, no call is made.
        here.keyring.writer(self.name)
        if self.emits:
            journal_shards().numbers()
        breaker = CircuitBreaker(switches, switch, here.settings.breaker, metadata.id)
        breaker.enter(backoff.remaining)
        records = EffectRecords(here.dynamodb, here.ledger, self.name)
        key = filled_key(self.idempotency_key, dict(event))
        try:
            record = records.begin(key, cause=metadata.id, seconds=backoff.remaining)
        except AlreadyPerformed as performed:
            breaker.not_called()
            here.keyring.check_row(performed.entry.row)
            self.commit(lambda _: None, metadata, backoff)
            return
        except Exception:
            breaker.not_called()
            raise
        try:
            outcome = self._outcome(event, record, backoff)
        except Exception as error:
            self._update_breaker(breaker, record, error)
            raise
        try:
            self._commit_outcome(record, outcome, metadata, backoff)
        except Exception:
            self._update_breaker(breaker, record)
            raise
        self._update_breaker(breaker, record)

    def _update_breaker(self, breaker: CircuitBreaker, record: EffectRecord, error: Exception | None = None) -> None:
        """Update the circuit breaker by the result of the body: did the external system answer?"""
        log, about = observability.logger(self.name), {"event_id": breaker.event}
        if isinstance(error, NotPerformed) or (isinstance(error, OutcomeUnknown) and error.unanswered):
            if breaker.failed():
                log.error(
                    "breaker opened", extra=about | {"open_seconds": breaker.switch.open_time, "error": kind(error)}
                )
                counts = observability.counts(backbone().settings.names.stage, self.name)
                counts.count(observability.BREAKER_OPEN)
            error.retry_window = breaker.switch.retry_window(backbone().settings.retry.retry_window)
        elif record.not_called or isinstance(error, InProgress | OutcomeUnknown | OutOfTime):
            breaker.not_called()
        elif breaker.answered():
            log.info("breaker closed", extra=about)

    def _outcome(self, event: E, record: EffectRecord, backoff: Backoff) -> Event | None:
        if record.outcome_unknown and not self.can_query:
            _release(record)
            msg = (
                "an earlier call has no recorded outcome, and the function cannot query it; find out the outcome first"
            )
            raise OutcomeUnknown(msg, final=True)
        if backoff.remaining < self.calls * backbone().settings.call_timeout:
            _withdraw(record, backoff)
            msg = "not enough time is left for the calls to the external system"
            raise OutOfTime(msg)
        try:
            return self.body(event, record)
        except InProgress:
            raise
        except (NotPerformed, NonRetryable):
            _withdraw(record, backoff)
            raise
        except RetryLater:
            _release(record)
            raise
        except Exception as error:
            if record.not_called:
                _withdraw(record, backoff)
                raise
            _release(record)
            msg = f"the call failed with {kind(error)}; it is not known whether it took effect"
            raise OutcomeUnknown(msg, final=not self.can_query, unanswered=_is_no_answer(error)) from error

    def _commit_outcome(
        self, record: EffectRecord, outcome: Event | None, metadata: Metadata, backoff: Backoff
    ) -> None:
        def emit_outcome(work: Work) -> None:
            if outcome is not None:
                work.emit(outcome)

        while True:
            try:
                self.commit(emit_outcome, metadata, backoff, effect=record.idempotency_key)
            except (ClientError, BotoCoreError):
                backoff.wait()  # only this process knows the outcome, so it retries as long as time remains
            else:
                return


def _is_no_answer(error: Exception) -> bool:
    """Whether the call itself failed, and not the body's handling of the answer."""
    return not isinstance(error, _BUGS)


def _withdraw(record: EffectRecord, backoff: Backoff) -> None:
    """Record that the call had no effect; retry this as long as time remains. If the outcome of an earlier
    call is unknown, the record stays open, because that call may have taken effect.
    """
    if record.outcome_unknown:
        _release(record)
        return
    while True:
        try:
            record.withdraw()
        except (ClientError, BotoCoreError):
            backoff.wait()
        else:
            return


def _release(record: EffectRecord) -> None:
    """Leave the effect record open for the next delivery. If this fails, its lease expires when this process ends."""
    with suppress(ClientError, BotoCoreError):
        record.release()


def effect(
    event_type: type[E],
    *,
    idempotency_key: str,
    emits: tuple[type[Event], ...],
    can_query: bool = False,
    calls: int = 1,
) -> Callable[[EffectBody[E]], Effect[E]]:
    """Decorate a body that calls an external system as a handler for one type of event. It returns the outcome event.

    `idempotency_key` is the idempotency key of the call, with percent-encoded fields of the event: `charge/{order_id}`.
    `can_query`: the body can query the outcome of an earlier call whose outcome is unknown, and continue from it;
    otherwise such a delivery ends with OutcomeUnknown. `calls` is the maximum number of calls that the body makes; each
    has the stage's call timeout.

    The body raises NotPerformed if the call certainly had no effect and must be retried, NonRetryable if it can never
    succeed, RetryLater if the outcome is not available yet. After any other error the outcome is unknown, except inside
    `record.preparing()`. Once the outcome is unknown, no error of the body changes that: only an outcome does.
    """
    return lambda body: Effect(
        event_type, emits, body, idempotency_key=idempotency_key, can_query=can_query, calls=calls
    )
