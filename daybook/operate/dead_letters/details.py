"""Everything that is known about one dead letter."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, Self

from daybook.contracts import clock
from daybook.contracts.card_search import is_removed
from daybook.contracts.envelope import Envelope
from daybook.operate.connection import LOCAL, Connection
from daybook.operate.consumers import Consumer, consumers
from daybook.operate.dead_letters.index import DeadLetter, NoSuchDeadLetter, body, named
from daybook.operate.dead_letters.remedies import ADMIT, Remedy, remedy
from daybook.operate.dead_letters.retry import FIRE_TIMERS
from daybook.operate.masking import shown
from daybook.operate.terminal import command_line, daybook
from daybook.store.ledger import LedgerEntry

# Clocks differ, and log lines arrive late.
_MARGIN = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Details:
    """A dead letter with its ledger row. `event` is the recorded event, None if it was never recorded."""

    connection: Connection
    dead_letter: DeadLetter
    entry: LedgerEntry
    body: str
    event: Envelope | None
    consumer: Consumer | None

    @classmethod
    def of(cls, connection: Connection, name: str) -> Self:
        """The dead letter with this id, read consistently. Raises NoSuchDeadLetter, BodyNotFound."""
        dead_letter = named(connection, name)
        entry = connection.ledger.find(dead_letter.event, dead_letter.consumer)
        if entry is None or entry.done:
            raise NoSuchDeadLetter(f"{dead_letter.id} is no longer dead: it was processed or discarded a moment ago")
        recorded = dead_letter.consumer not in {ADMIT, FIRE_TIMERS}
        event = dead_letter.event_in_store(connection) if recorded else None
        consumer = consumers(connection).get(dead_letter.consumer)
        return cls(connection, dead_letter, entry, body(connection, entry), event, consumer)

    @property
    def attempts(self) -> Sequence[Mapping[str, str]]:
        """The failed delivery attempts, the first one first: `at`, `error` and `reason` of each."""
        return [{name: str(each[name]) for name in ("at", "error", "reason")} for each in self.entry.failed_attempts]

    @property
    def revealed(self) -> str:
        """The data of the event as they are stored or, if it was never recorded, the message."""
        return self.event.data if self.event else self.body

    @property
    def size(self) -> int:
        """Size of the body in bytes."""
        return len(self.body.encode())

    @property
    def sha256(self) -> str:
        """SHA-256 of the body, in hexadecimal."""
        return hashlib.sha256(self.body.encode()).hexdigest()

    @property
    def log_group(self) -> str:
        """The consumer's log group (daybook/constructs/function.py)."""
        return f"/aws/lambda/{self.connection.names.of(self.dead_letter.consumer)}"

    @property
    def logs(self) -> str:
        """The AWS command that prints the log lines of the delivery attempts."""
        times = [self.dead_letter.at, *(each["at"] for each in self.attempts)]
        first, end = (clock.moment(at) for at in (min(times), max(times)))
        # A message that could not be parsed has no event id.
        known = not self.dead_letter.event.startswith("body-")
        words = ["aws", "logs", "filter-log-events", "--log-group-name", self.log_group]
        words += ["--filter-pattern", f'"{self.dead_letter.event}"'] if known else []
        words += ["--start-time", _milliseconds(first - _MARGIN), "--end-time", _milliseconds(end + _MARGIN)]
        words += ["--query", "events[].message", "--output", "text"]
        if self.connection.stage == LOCAL:
            words += ["--endpoint-url", str(self.connection.sqs.meta.endpoint_url)]
        return command_line(*words)

    @property
    def next(self) -> Mapping[str, str]:
        """The possible next steps: a label, and the command. The recommended one comes first."""
        name, stage = self.dead_letter.id, self.connection.stage
        retry = {"retry it": daybook("dead", "retry", name, apply=True, stage=stage)}
        edit = {"edit it": daybook("dead", "edit", name, stage=stage)} if self.dead_letter.consumer == ADMIT else {}
        discard = {"discard it": daybook("dead", "discard", name, reason="…", apply=True, stage=stage)}
        match remedy(self.dead_letter.consumer, self.dead_letter.error, self.consumer):
            case Remedy.RESOLVE:
                outcomes = {"it had no effect": "no-effect", "it took effect": "took-effect"}
                resolve = {
                    label: daybook("dead", "resolve", name, outcome=outcome, stage=stage)
                    for label, outcome in outcomes.items()
                }
                return resolve | discard
            case Remedy.EDIT:
                return edit | discard
            case Remedy.DISCARD | Remedy.FORGED | Remedy.NOT_PROVEN:
                return discard | retry
            case Remedy.UNPROVEN_ROW:
                return retry | discard
            case Remedy.RETRY:
                return retry | edit | discard

    def as_data(self, *, reveal: bool = False) -> dict[str, Any]:
        """All of it as JSON data. Personal fields and the body are included only with `reveal`."""
        data: dict[str, Any] = {"id": self.dead_letter.id, **asdict(self.dead_letter)}
        data |= {"attempts": self.attempts, "retried": self.entry.details.get("retried")}
        if self.event:
            content = json.loads(self.event.data) if reveal else shown(self.event)
            data["recorded"] = {"metadata": asdict(self.event.metadata), "data": content}
        data["body"] = {"bytes": self.size, "sha256": self.sha256, "card_numbers_removed": is_removed(self.body)}
        data["body"] |= {"text": self.body} if reveal else {}
        return data | {"log_group": self.log_group, "logs": self.logs, "next": dict(self.next)}


def _milliseconds(moment: datetime) -> str:
    return str(round(moment.timestamp() * 1000))
