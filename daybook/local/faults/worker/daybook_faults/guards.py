"""The guards in daybook's code, and the patches that make them removable, applied when their module is imported.

A guard is off while the plan says so. Otherwise the code behaves as usual.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import cache
from typing import Any

from .plan import Plan


def _is_missing(guard: str) -> bool:
    """Whether the guard, which is needed now, is off. `guard` is a value of `daybook.local.faults.Guard`."""
    return any(True for _ in _plan().matching("", guard, fits=lambda _: True))


@cache
def _plan() -> Plan:
    return Plan.of_this_process()


def _partial_answer(consumer: Any) -> None:
    handle = consumer.Consumer.__call__

    def call(self: Any, batch: Mapping[str, Any], context: Any) -> dict[str, Any]:
        answer: dict[str, Any] = handle(self, batch, context)
        if answer.get("batchItemFailures") and _is_missing("partial-answer"):
            return {"batchItemFailures": []}
        return answer

    consumer.Consumer.__call__ = call


def _recorded(pipeline: Any) -> None:
    """Without the guard, a consumer acts on the data in its message."""
    fetch = pipeline.Pipeline._fetch  # noqa: SLF001 - the guard is private

    def fetch_or_believe(self: Any, received: Any) -> Any:
        if not _is_missing("recorded"):
            return fetch(self, received)
        return [_as_sent(pipeline, record, pointer) for record, pointer in received]

    pipeline.Pipeline._fetch = fetch_or_believe  # noqa: SLF001


def _as_sent(pipeline: Any, record: Mapping[str, Any], pointer: Any) -> Any:
    now = "2026-03-01T12:00:00.000000Z"
    unknown = {"time": now, "recorded_at": now, "causation_id": None, "producer": "unknown"}
    metadata = pipeline.Metadata(**asdict(pointer), **unknown)
    return pipeline.Delivery(record, metadata, json.dumps(json.loads(record["body"])["detail"]["data"]), None)


_NO_ROW = 0  # the number of an effect record that was not written: real numbers begin with 1


def _attempt(attempts: Any) -> None:
    begin, write = attempts.EffectRecords.begin, attempts.EffectRecords.write

    def begin_unrecorded(self: Any, idempotency_key: str, **about: Any) -> Any:
        if not _is_missing("effect-record"):
            return begin(self, idempotency_key, **about)
        return attempts.EffectRecord(idempotency_key, outcome_unknown=False, notes={}, _number=_NO_ROW, _records=self)

    def write_to_row(self: Any, idempotency_key: str, expression: str, number: int, **about: Any) -> None:
        if number != _NO_ROW:
            write(self, idempotency_key, expression, number, **about)

    attempts.EffectRecords.begin = begin_unrecorded
    attempts.EffectRecords.write = write_to_row


def _cursor(reaction: Any) -> None:
    in_order, as_it_comes = reaction.OrderedReaction.handle, reaction.Consumer.handle

    def handle(self: Any, delivery: Any, pipeline: Any) -> None:
        (as_it_comes if _is_missing("cursor") else in_order)(self, delivery, pipeline)

    reaction.OrderedReaction.handle = handle


# The modules with guards, and the patch for each.
GUARDS: Sequence[tuple[str, Callable[[Any], None]]] = (
    ("daybook.consumers.consumer", _partial_answer),
    ("daybook.consumers.pipeline", _recorded),
    ("daybook.consumers.effect_records", _attempt),
    ("daybook.consumers.reaction", _cursor),
)
