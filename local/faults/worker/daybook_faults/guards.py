"""Guards of the kernel, and how each is taken away: right after its module was loaded, in this process alone."""

from collections.abc import Callable, Mapping
from typing import Any

from .changes import unguarded


def _partial_answer(consumer: Any) -> None:
    handle = consumer.Consumer.__call__

    def call(self: Any, batch: Mapping[str, Any], context: Any) -> dict[str, Any]:
        handle(self, batch, context)
        return {"batchItemFailures": []}

    consumer.Consumer.__call__ = call


def _store_first(transaction: Any) -> None:
    write = transaction.write

    def put_first(dynamodb: Any, parts: Any, pauses: Any) -> None:
        events = [part["Put"]["Item"] for part in parts if "position" in part.get("Put", {}).get("Item", {})]
        if events:
            _put_on_the_bus(events)
        write(dynamodb, parts, pauses)

    transaction.write = put_first


def _put_on_the_bus(items: list[Mapping[str, Any]]) -> None:
    from backbone import aws  # noqa: PLC0415 - only once the function itself has loaded it
    from backbone.settings import settings  # noqa: PLC0415
    from backbone.store import from_item  # noqa: PLC0415

    envelopes = map(from_item, items)
    aws.client("events").put_events(
        Entries=[
            {
                "EventBusName": settings().names.event_bus,
                "Source": envelope.source,
                "DetailType": envelope.metadata.type,
                "Detail": envelope.detail,
            }
            for envelope in envelopes
        ]
    )


def _attempt(attempts: Any) -> None:
    def begin(self: Any, purpose: str, **_: Any) -> Any:
        return attempts.Attempt(purpose, in_doubt=False, notes={}, _number=0, _attempts=self)

    def write(*_: Any, **__: Any) -> None:
        """There is no row to write to."""

    conclude = attempts.Attempt.conclusion

    def conclusion(self: Any, events: list[str]) -> Any:
        part = conclude(self, events)
        return unguarded({"TransactItems": [part]}, part["Update"]["TableName"])["TransactItems"][0]

    attempts.Attempts.begin = begin
    attempts.Attempts.write = write
    attempts.Attempt.conclusion = conclusion


def _cursor(consumer: Any) -> None:
    consumer.OrderedReaction.batch = consumer.Consumer.batch


# By name, as `local.faults.Guard` has them: the module that holds the guard, and what takes it away.
GUARDS: Mapping[str, tuple[str, Callable[[Any], None]]] = {
    "partial-answer": ("backbone.consumer", _partial_answer),
    "store-first": ("backbone.transaction", _store_first),
    "attempt": ("backbone.attempts", _attempt),
    "cursor": ("backbone.consumer", _cursor),
}
