"""Invariants of every business: events are stored once, in complete streams, and have one status at each consumer."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from decimal import Decimal
from itertools import pairwise
from typing import Any

from chaos.checker.snapshot import Event, Row, Sent, Snapshot
from chaos.checker.violation import Invariant, Violation

ADMIT = "admit"
_COMMITTED, _DEAD, _DISCARDED = "committed", "dead", "discarded"
_ENDS = frozenset({_COMMITTED, _DEAD, _DISCARDED})


def stored_once(snapshot: Snapshot) -> Iterator[Violation]:
    """Every sent event is in the store once, unchanged; or it was rejected with an allowed error."""
    admitted: dict[str, list[Row]] = defaultdict(list)
    for (event_id, consumer), row in snapshot.statuses.items():
        if consumer == ADMIT and row["state"] == _COMMITTED:
            admitted[row["producer_id"]].append({**row, "event": event_id})
    rejected = [
        row for (_, consumer), row in snapshot.statuses.items() if consumer == ADMIT and row["state"] != _COMMITTED
    ]
    errors = _errors(rejected)
    for sent in {(sent.type, sent.producer_id): sent for sent in snapshot.sent}.values():
        yield from _check_sent(sent, admitted.get(sent.producer_id, ()), errors.get(sent.producer_id, ()), snapshot)
    for event, times in Counter(event.id for event in snapshot.events()).items():
        if times > 1:
            yield Violation(f"event {event} is in the store {times} times")
    for row in (row for rows in admitted.values() for row in rows):
        if _at(snapshot, row["stream"], row["sequence"]) != row["event"]:
            yield Violation(
                f"event {row['event']} was admitted, but {row['stream']} #{row['sequence']} is another event"
            )


def _errors(rows: Sequence[Row]) -> Mapping[str, list[str]]:
    """The errors of rejected events, by the producer's id."""
    errors: dict[str, list[str]] = defaultdict(list)
    for row in rows:
        with suppress(KeyError, TypeError, ValueError):
            errors[json.loads(row["body"])["detail"]["metadata"]["id"]].append(row["error"])
    return errors


def _as_read(data: Mapping[str, Any]) -> Any:
    """The data as it is read from the store."""
    return json.loads(json.dumps(data), parse_float=Decimal)


def _check_sent(
    sent: Sent, admitted: Sequence[Row], rejected: Sequence[str], snapshot: Snapshot
) -> Iterator[Violation]:
    name = f"{sent.type} {sent.producer_id}"
    if len(admitted) > 1:
        yield Violation(f"{name} was admitted {len(admitted)} times")
    elif admitted:
        stored = snapshot.by_id.get(admitted[0]["event"])
        if not sent.may_be_admitted:
            yield Violation(f"{name} was admitted, but should have been rejected")
        elif stored is None:
            yield Violation(f"{name} was admitted, but is not in the store")
        elif (stored.type, stored.data) != (sent.type, _as_read(sent.data)):
            yield Violation(f"{name} is in the store with different content")
    elif not rejected:
        yield Violation(f"{name} was neither admitted nor rejected")
    elif not set(rejected) <= sent.allowed_errors:
        yield Violation(f"{name} was rejected with {', '.join(sorted(set(rejected) - sent.allowed_errors))}")


def _at(snapshot: Snapshot, stream: str, sequence: int) -> str | None:
    return next((event.id for event in snapshot.streams.get(stream, ()) if event.sequence == sequence), None)


def whole(snapshot: Snapshot) -> Iterator[Violation]:
    """Every stream has the sequence numbers 1, 2, 3 …, and each event has the hash of the previous one."""
    for stream, events in snapshot.streams.items():
        sequences = [event.sequence for event in events]
        if sequences != list(range(1, len(events) + 1)):
            yield Violation(f"{stream} has the sequence numbers {sequences}")
        for before, event in pairwise(events):
            if event.previous != before.hash:
                yield Violation(f"{stream} #{event.sequence} does not have the hash of its predecessor")
            if event.recorded_at < before.recorded_at:
                yield Violation(f"{stream} #{event.sequence} was recorded before its predecessor")


def processed(snapshot: Snapshot) -> Iterator[Violation]:
    """Every event has one final status at every consumer: committed, dead with a reason, or discarded."""
    decided = {
        (dead_letter["event"], dead_letter["consumer"])
        for decision in snapshot.events("DeadLettersDiscarded")
        for dead_letter in decision.data["dead_letters"]
        if decision.data["reason"] and decision.data["operator"]
    }
    for event in snapshot.events():
        for consumer in snapshot.listeners.get(event.type, ()):
            row = snapshot.statuses.get((event.id, consumer))
            state = row["state"] if row else "nothing"
            if state not in _ENDS and not _is_blocked(snapshot, event, consumer):
                yield Violation(f"{consumer} has not finished {event.type} {event.id}: its status is {state}")
    for (name, consumer), row in snapshot.statuses.items():
        if row["state"] == _DEAD and not (row.get("error") and row.get("reason")):
            yield Violation(f"{name} is dead at {consumer} without a reason")
        if row["state"] == _DEAD and not (row.get("body") or row.get("body_key")):
            yield Violation(f"{name} is dead at {consumer} without its body")
        if row["state"] == _DISCARDED and (name, consumer) not in decided:
            yield Violation(f"{name} is discarded at {consumer} without a recorded decision")


def _is_blocked(snapshot: Snapshot, event: Event, consumer: str) -> bool:
    return consumer in snapshot.ordered and any(
        earlier.sequence < event.sequence and snapshot.state(earlier.id, consumer) == _DEAD
        for earlier in snapshot.streams[event.stream]
    )


def recorded_first(snapshot: Snapshot) -> Iterator[Violation]:
    """Every processed event is in the store, and every stored event was admitted or emitted by its producer."""
    for (name, consumer), row in snapshot.statuses.items():
        if row["state"] != _COMMITTED:
            continue
        if name not in snapshot.by_id:
            yield Violation(f"{consumer} has processed {name}, which is not in the store")
        for emitted in row.get("emitted", ()):
            if emitted not in snapshot.by_id:
                yield Violation(f"{consumer} has emitted {emitted} for {name}, but it is not in the store")
    for event in snapshot.events():
        if snapshot.state(event.id, ADMIT) == _COMMITTED or event.stream.startswith("operation/"):
            continue
        if snapshot.state(event.causation_id or "", event.producer) != _COMMITTED:
            yield Violation(
                f"{event.type} {event.id} is in the store, but {event.producer} has not committed the causing event"
            )


def in_order(snapshot: Snapshot) -> Iterator[Violation]:
    """An ordered consumer processes a stream in order, and nothing after a dead event."""
    for consumer in snapshot.ordered:
        listened = {event_type for event_type, consumers in snapshot.listeners.items() if consumer in consumers}
        for stream, events in snapshot.streams.items():
            open_at = None
            for event in events:
                if event.type not in listened:
                    continue
                state = snapshot.state(event.id, consumer)
                if state == _COMMITTED and open_at is not None:
                    yield Violation(f"{consumer} has processed {stream} #{event.sequence} before #{open_at}")
                if state not in {_COMMITTED, _DISCARDED} and open_at is None:
                    open_at = event.sequence


STORED_ONCE = Invariant("every accepted event is stored once", stored_once)
WHOLE = Invariant("no stream has missing sequence numbers", whole)
PROCESSED = Invariant("every event has one final status at every consumer", processed)
RECORDED_FIRST = Invariant("every processed event is in the store, and was admitted or emitted", recorded_first)
IN_ORDER = Invariant("an ordered consumer processes a stream in order", in_order)

PROCESSING = (STORED_ONCE, WHOLE, PROCESSED, RECORDED_FIRST, IN_ORDER)
