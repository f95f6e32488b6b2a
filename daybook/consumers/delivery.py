"""A delivery: one message from a consumer's queue, with the ledger's row of its event."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from daybook.contracts import clock
from daybook.contracts.envelope import Metadata, Pointer
from daybook.store.ledger import LedgerEntry


@dataclass(slots=True)
class Delivery:
    """One message of a batch, and the event in the store to which it points.

    `record` is the message as Lambda delivers it; `data` is the event's data as JSON text, not validated yet; `row` is
    the event's row in the ledger, read only for redeliveries. `has_begun`: the ledger says that this delivery's attempt
    has begun, and not yet that it ended.
    """

    record: Mapping[str, Any]
    metadata: Metadata
    data: str
    row: LedgerEntry | None
    has_begun: bool = field(default=False, kw_only=True)

    @property
    def id(self) -> str:
        """The message's id."""
        return str(self.record["messageId"])

    @property
    def receive_count(self) -> int:
        """How often SQS has delivered the message, including this time."""
        return int(self.record["attributes"]["ApproximateReceiveCount"])

    @property
    def sent(self) -> str:
        """When the message was sent to the queue."""
        milliseconds = int(self.record["attributes"]["SentTimestamp"])
        return clock.timestamp(datetime.fromtimestamp(milliseconds / 1000, UTC))

    @property
    def age(self) -> float:
        """Seconds since the message was sent to the queue."""
        return (datetime.now(UTC) - clock.moment(self.sent)).total_seconds()

    @property
    def failed_count(self) -> int:
        """The number of failed delivery attempts."""
        return self._noted_count("failed_count")

    @property
    def crashes(self) -> int:
        """How often a process died while it handled the message: it noted that it began, and did not note an end."""
        return self._noted_count("crashes") + self._noted_count("begun")

    @property
    def is_suspected(self) -> bool:
        """Whether it is a suspected poison message: redelivered without a note of the reason. Its process has died, or
        Lambda was throttled and handled nothing.
        """
        return self.receive_count - 1 > self._noted_count("deliveries")

    @property
    def suspicion(self) -> int:
        """How likely it is that the message kills its process: 0, 1 if it is suspected, 2 if also a process has begun
        to handle its event and died.
        """
        return self.is_suspected + bool(self.row and self.row.details.get("begun"))

    @property
    def about(self) -> dict[str, Any]:
        """The fields of the delivery in each log line."""
        return about(self.record, self.metadata)

    def _noted_count(self, name: str) -> int:
        if self.row is None or self.row.details.get("message") != self.id:
            return 0
        return int(self.row.details.get(name, 0))


def about(record: Mapping[str, Any], event: Pointer) -> dict[str, Any]:
    """The fields of a message and the event to which it points, in each log line."""
    received = int(record["attributes"]["ApproximateReceiveCount"])
    message = {"message_id": record["messageId"], "receive_count": received}
    known = {"event_id": event.id, "event_type": event.type, "stream": event.stream, "sequence": event.sequence}
    return {**message, **known, "correlation_id": event.correlation_id}
