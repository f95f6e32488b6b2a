"""A delivery: one message from a consumer's queue, with what the ledger notes of its event."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from daybook.contracts import clock
from daybook.contracts.envelope import Metadata
from daybook.store.ledger import Entry


@dataclass(slots=True)
class Delivery:
    """One message of a batch, read as far as to know its event.

    `row` is the event's row in the ledger, if it has one. `record` is the message as Lambda delivers it; `data` is the
    event's data as JSON text.
    """

    record: Mapping[str, Any]
    metadata: Metadata
    data: str
    row: Entry | None

    @property
    def id(self) -> str:
        """The message's id."""
        return str(self.record["messageId"])

    @property
    def receive_count(self) -> int:
        """How often SQS has delivered the message, this time included."""
        return int(self.record["attributes"]["ApproximateReceiveCount"])

    @property
    def sent(self) -> str:
        """When the message was put into the queue."""
        milliseconds = int(self.record["attributes"]["SentTimestamp"])
        return clock.timestamp(datetime.fromtimestamp(milliseconds / 1000, UTC))

    @property
    def age(self) -> float:
        """Seconds since the message was put into the queue."""
        return (datetime.now(UTC) - clock.moment(self.sent)).total_seconds()

    @property
    def failed(self) -> int:
        """How many delivery attempts have failed, of those that count."""
        return self._noted("tried")

    @property
    def crashes(self) -> int:
        """How often a process was about to handle the message alone, and never noted how that ended."""
        return self._noted("crashes")

    @property
    def suspect(self) -> bool:
        """Whether the message is redelivered without a note of the reason: the process that had it has died."""
        return self.receive_count - 1 > self._noted("deliveries")

    @property
    def about(self) -> dict[str, Any]:
        """What each log line says of the delivery."""
        m = self.metadata
        message = {"message_id": self.id, "try": self.receive_count}
        event = {"event_id": m.id, "event_type": m.type, "stream": m.stream, "sequence": m.sequence}
        return {**message, **event, "correlation_id": m.correlation_id}

    def _noted(self, name: str) -> int:
        if self.row is None or self.row.details.get("message") != self.id:
            return 0
        return int(self.row.details.get(name, 0))
