"""Publish events: read the store's change stream, and put all new events on the event bus (an outbox relay).

DynamoDB keeps the change stream for 24 hours. Use `republish` for older events.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from daybook.backbone.bus import BusWriter, Stored


def handler(batch: Mapping[str, Any], context: Any) -> None:
    """Publish a batch of the store's change stream, in order.

    Raises NotPublished or botocore's errors; Lambda then repeats the batch.
    """
    with BusWriter(context) as bus:
        bus.put(_inserted(batch["Records"], bus))


def _inserted(records: Sequence[Mapping[str, Any]], bus: BusWriter) -> Iterator[Stored]:
    for record in records:
        if record["eventName"] == "INSERT":
            yield Stored(record["dynamodb"].get("NewImage", {}), record["eventID"])
        else:
            bus.tampered(record["eventName"], record["eventID"])
