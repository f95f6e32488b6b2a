"""One dead letter, with all that is known of it."""

import hashlib
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Self

from daybook.contracts import clock
from daybook.contracts.envelope import Envelope
from daybook.operate.connection import LOCAL, Connection
from daybook.operate.consumers import Consumer, consumers
from daybook.operate.dead_letters.index import Letter, NoSuchLetter, body, named
from daybook.operate.dead_letters.remedies import ADMIT, Remedy, remedy
from daybook.operate.dead_letters.retry import FIRE_TIMERS
from daybook.operate.masking import shown
from daybook.store.event_store import from_item
from daybook.store.ledger import Entry

# Clocks differ, and what is logged is told a moment later.
_AROUND = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Try:
    """A try that has failed: when, and of what."""

    at: str
    error: str
    reason: str


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A letter that is dead at this moment. `event` is what it is about, if that is recorded."""

    connection: Connection
    letter: Letter
    entry: Entry
    body: str
    event: Envelope | None
    consumer: Consumer | None

    @classmethod
    def of(cls, connection: Connection, name: str) -> Self:
        """The letter of that name, read consistently. Raises NoSuchLetter, and NoBody."""
        letter = named(connection, name)
        entry = connection.ledger.find(letter.event, letter.consumer)
        if entry is None or entry.done:
            msg = f"{letter.id} has just been done"
            raise NoSuchLetter(msg)
        return cls(
            connection,
            letter,
            entry,
            body(connection, entry),
            _recorded(connection, letter),
            consumers(connection).get(letter.consumer),
        )

    @property
    def tries(self) -> Sequence[Try]:
        """All tries that have failed, the first one first."""
        return [Try(str(told["at"]), str(told["error"]), str(told["reason"])) for told in self.entry.tries]

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
        return f"/aws/lambda/{self.connection.names.of(self.letter.consumer)}"

    @property
    def logs(self) -> str:
        """The command that shows the log lines of its tries."""
        times = [self.letter.at, *(each.at for each in self.tries)]
        begin, end = (clock.moment(at) for at in (min(times), max(times)))
        # What could not be read has no event's id; its lines tell only of the message.
        known = not self.letter.event.startswith("body-")
        words = ["aws", "logs", "filter-log-events", "--log-group-name", self.log_group]
        words += ["--filter-pattern", f'"{self.letter.event}"'] if known else []
        words += ["--start-time", _milliseconds(clock.timestamp(begin - _AROUND))]
        words += ["--end-time", _milliseconds(clock.timestamp(end + _AROUND))]
        words += ["--query", "events[].message", "--output", "text"]
        if self.connection.stage == LOCAL:
            words += ["--endpoint-url", str(self.connection.sqs.meta.endpoint_url)]
        return shlex.join(words)

    @property
    def next(self) -> Mapping[str, str]:
        """What can be done about it: what for, and the command. What helps most comes first."""
        name, stage = self.letter.id, f"--stage {self.connection.stage}"
        again = {"try it again": f"daybook dead retry {name} --apply {stage}"}
        mend = {"mend it": f"daybook dead edit {name} {stage}"} if self.letter.consumer == ADMIT else {}
        give_up = {"give it up": f'daybook dead discard {name} --reason "…" --apply {stage}'}
        match remedy(self.letter.consumer, self.letter.error, self.consumer):
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
        told: dict[str, Any] = {"id": self.letter.id, "event": self.letter.event, "consumer": self.letter.consumer}
        told |= {"at": self.letter.at, "error": self.letter.error, "reason": self.letter.reason}
        told |= {"type": self.letter.type, "stream": self.letter.stream, "sequence": self.letter.sequence}
        told["tries"] = [{"at": each.at, "error": each.error, "reason": each.reason} for each in self.tries]
        told["retried"] = self.entry.details.get("retried")
        if self.event:
            m = self.event.metadata
            metadata = {name: getattr(m, name) for name in m.__dataclass_fields__}
            told["recorded"] = {"metadata": metadata, "data": shown(self.event)}
        told["body"] = {"bytes": self.size, "sha256": self.sha256} | ({"text": self.body} if reveal else {})
        return told | {"log_group": self.log_group, "logs": self.logs, "next": dict(self.next)}


def _recorded(connection: Connection, letter: Letter) -> Envelope | None:
    """The event that the letter is about, as the store has it."""
    if letter.consumer in {ADMIT, FIRE_TIMERS}:
        return None
    if not letter.stream:
        return None
    key = {"stream": letter.stream, "sequence": letter.sequence}
    found = next(connection.items(connection.names.store, [key]), None)
    event = from_item(found) if found else None
    # What a message says of its place may not be so.
    return event if event and event.metadata.id == letter.event else None


def _milliseconds(moment: str) -> str:
    return str(round(clock.moment(moment).timestamp() * 1000))
