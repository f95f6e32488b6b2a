"""One dead letter, with all that is known of it."""

import hashlib
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, Self

from daybook.contracts import clock
from daybook.contracts.envelope import Envelope
from daybook.operate.connection import LOCAL, Connection
from daybook.operate.consumers import Consumer, consumers
from daybook.operate.dead_letters.index import DeadLetter, NoSuchDeadLetter, body, named
from daybook.operate.dead_letters.remedies import ADMIT, Remedy, remedy
from daybook.operate.dead_letters.retry import FIRE_TIMERS
from daybook.operate.masking import shown
from daybook.store.ledger import Entry

# Clocks differ, and log lines arrive a moment later.
_AROUND = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Details:
    """A dead letter that is dead at this moment. `event` is what it is about, if that is recorded."""

    connection: Connection
    dead_letter: DeadLetter
    entry: Entry
    body: str
    event: Envelope | None
    consumer: Consumer | None

    @classmethod
    def of(cls, connection: Connection, name: str) -> Self:
        """The dead letter of that name, read consistently. Raises NoSuchDeadLetter, and NoBody."""
        dead_letter = named(connection, name)
        entry = connection.ledger.find(dead_letter.event, dead_letter.consumer)
        if entry is None or entry.done:
            msg = f"{dead_letter.id} has just been done"
            raise NoSuchDeadLetter(msg)
        recorded = dead_letter.consumer not in {ADMIT, FIRE_TIMERS}
        event = dead_letter.event_in_store(connection) if recorded else None
        consumer = consumers(connection).get(dead_letter.consumer)
        return cls(connection, dead_letter, entry, body(connection, entry), event, consumer)

    @property
    def attempts(self) -> Sequence[Mapping[str, str]]:
        """The delivery attempts that have failed, the first one first: when (`at`), `error` and `reason` of each."""
        return [{name: str(each[name]) for name in ("at", "error", "reason")} for each in self.entry.tries]

    @property
    def size(self) -> int:
        """Bytes of the body."""
        return len(self.body.encode())

    @property
    def sha256(self) -> str:
        """Of the body, in hexadecimal."""
        return hashlib.sha256(self.body.encode()).hexdigest()

    @property
    def log_group(self) -> str:
        """Where the consumer's log lines are (daybook/constructs/function.py)."""
        return f"/aws/lambda/{self.connection.names.of(self.dead_letter.consumer)}"

    @property
    def logs(self) -> str:
        """The command that shows the log lines of its tries."""
        times = [self.dead_letter.at, *(each["at"] for each in self.attempts)]
        begin, end = (clock.moment(at) for at in (min(times), max(times)))
        # What could not be read has no event's id; its lines name only the message.
        known = not self.dead_letter.event.startswith("body-")
        words = ["aws", "logs", "filter-log-events", "--log-group-name", self.log_group]
        words += ["--filter-pattern", f'"{self.dead_letter.event}"'] if known else []
        words += ["--start-time", _milliseconds(begin - _AROUND), "--end-time", _milliseconds(end + _AROUND)]
        words += ["--query", "events[].message", "--output", "text"]
        if self.connection.stage == LOCAL:
            words += ["--endpoint-url", str(self.connection.sqs.meta.endpoint_url)]
        return shlex.join(words)

    @property
    def next(self) -> Mapping[str, str]:
        """What can be done about it: what for, and the command. What helps most comes first."""
        name, stage = self.dead_letter.id, f"--stage {self.connection.stage}"
        again = {"retry it": f"daybook dead retry {name} --apply {stage}"}
        mend = {"edit it": f"daybook dead edit {name} {stage}"} if self.dead_letter.consumer == ADMIT else {}
        give_up = {"discard it": f'daybook dead discard {name} --reason "…" --apply {stage}'}
        match remedy(self.dead_letter.consumer, self.dead_letter.error, self.consumer):
            case Remedy.RESOLVE:
                resolve = f"daybook dead resolve {name} --outcome"
                nothing = {"it did nothing": f"{resolve} no-effect {stage}"}
                return nothing | {"it took effect": f"{resolve} took-effect {stage}"} | give_up
            case Remedy.MEND:
                return mend | give_up
            case Remedy.GIVE_UP:
                return give_up | again
            case Remedy.RETRY:
                return again | mend | give_up

    def as_data(self, *, reveal: bool = False) -> dict[str, Any]:
        """All of it as what JSON can hold. The body only if it is to be revealed: it may be about a person."""
        data: dict[str, Any] = {"id": self.dead_letter.id, **asdict(self.dead_letter)}
        data |= {"attempts": self.attempts, "retried": self.entry.details.get("retried")}
        if self.event:
            data["recorded"] = {"metadata": asdict(self.event.metadata), "data": shown(self.event)}
        data["body"] = {"bytes": self.size, "sha256": self.sha256} | ({"text": self.body} if reveal else {})
        return data | {"log_group": self.log_group, "logs": self.logs, "next": dict(self.next)}


def _milliseconds(moment: datetime) -> str:
    return str(round(moment.timestamp() * 1000))
