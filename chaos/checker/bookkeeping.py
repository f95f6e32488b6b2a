"""What holds for any business: events are stored once, in whole streams, and have one account at each consumer."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from decimal import Decimal
from itertools import pairwise
from typing import Any

from chaos.checker.breach import Breach, Invariant
from chaos.checker.world import Event, Row, Sent, World

ADMIT = "admit"
_COMMITTED, _DEAD, _DISCARDED = "committed", "dead", "discarded"
_ENDS = frozenset({_COMMITTED, _DEAD, _DISCARDED})


def stored_once(world: World) -> Iterator[Breach]:
    """What was sent is in the store once, as it was sent; or it was refused as it may be."""
    admitted: dict[str, list[Row]] = defaultdict(list)
    for (_, consumer), row in world.accounts.items():
        if consumer == ADMIT and row["state"] == _COMMITTED:
            admitted[row["producer_id"]].append(row)
    refused = [row for (_, consumer), row in world.accounts.items() if consumer == ADMIT and row["state"] != _COMMITTED]
    why = _why_refused(refused)
    for sent in {(sent.type, sent.producer_id): sent for sent in world.sent}.values():
        yield from _became(sent, admitted.get(sent.producer_id, ()), why.get(sent.producer_id, ()), world)
    for event, times in Counter(event.id for event in world.events()).items():
        if times > 1:
            yield Breach(f"event {event} is in the store {times} times")
    for row in (row for rows in admitted.values() for row in rows):
        if _at(world, row["stream"], row["sequence"]) != row["event"]:
            yield Breach(
                f"event {row['event']} was admitted, and its place {row['stream']} #{row['sequence']} is another's"
            )


def _why_refused(rows: Sequence[Row]) -> Mapping[str, list[str]]:
    """By the producer's id, the kinds of error for which events were refused."""
    why: dict[str, list[str]] = defaultdict(list)
    for row in rows:
        with suppress(KeyError, TypeError, ValueError):
            why[json.loads(row["body"])["detail"]["metadata"]["id"]].append(row["error"])
    return why


def _as_read(data: Mapping[str, Any]) -> Any:
    """Data as they are read from the store."""
    return json.loads(json.dumps(data), parse_float=Decimal)


def _became(sent: Sent, admitted: Sequence[Row], refused: Sequence[str], world: World) -> Iterator[Breach]:
    name = f"{sent.type} {sent.producer_id}"
    if len(admitted) > 1:
        yield Breach(f"{name} was admitted {len(admitted)} times")
    elif admitted:
        stored = world.by_id.get(admitted[0]["event"])
        if not sent.taken:
            yield Breach(f"{name} was admitted, and should have been refused")
        elif stored is None:
            yield Breach(f"{name} was admitted, and is not in the store")
        elif (stored.type, stored.data) != (sent.type, _as_read(sent.data)):
            yield Breach(f"{name} is in the store with other content than was sent")
    elif not refused:
        yield Breach(f"{name} was neither admitted nor refused")
    elif not set(refused) <= sent.refused:
        yield Breach(f"{name} was refused as {', '.join(sorted(set(refused) - sent.refused))}")


def _at(world: World, stream: str, sequence: int) -> str | None:
    return next((event.id for event in world.streams.get(stream, ()) if event.sequence == sequence), None)


def whole(world: World) -> Iterator[Breach]:
    """Every stream is 1, 2, 3 …, and each event carries the hash of the one before it."""
    for stream, events in world.streams.items():
        sequences = [event.sequence for event in events]
        if sequences != list(range(1, len(events) + 1)):
            yield Breach(f"{stream} is not 1, 2, 3 …: it has {sequences}")
        for before, event in pairwise(events):
            if event.previous != before.hash:
                yield Breach(f"{stream} #{event.sequence} does not follow what stands before it")
            if event.recorded_at < before.recorded_at:
                yield Breach(f"{stream} #{event.sequence} was recorded before its predecessor")


def accounted(world: World) -> Iterator[Breach]:
    """Every event has come to one end at every consumer that listens: committed, dead with a reason, or discarded."""
    decided = {
        (letter["event"], letter["consumer"])
        for act in world.events("DeadLettersDiscarded")
        for letter in act.data["letters"]
        if act.data["reason"] and act.data["operator"]
    }
    for event in world.events():
        for consumer in world.listeners.get(event.type, ()):
            row = world.accounts.get((event.id, consumer))
            state = row["state"] if row else "nothing"
            if state not in _ENDS and not _waits_behind_a_dead_one(world, event, consumer):
                yield Breach(f"{consumer} has no account of {event.type} {event.id}: the ledger says {state}")
    for (name, consumer), row in world.accounts.items():
        if row["state"] == _DEAD and not (row.get("error") and row.get("reason")):
            yield Breach(f"{name} is dead at {consumer}, and nothing says why")
        if row["state"] == _DEAD and not (row.get("body") or row.get("body_key")):
            yield Breach(f"{name} is dead at {consumer}, and its message is gone")
        if row["state"] == _DISCARDED and (name, consumer) not in decided:
            yield Breach(f"{name} is discarded at {consumer}, and nobody has said why")


def _waits_behind_a_dead_one(world: World, event: Event, consumer: str) -> bool:
    return consumer in world.ordered and any(
        earlier.sequence < event.sequence and world.state(earlier.id, consumer) == _DEAD
        for earlier in world.streams[event.stream]
    )


def recorded_first(world: World) -> Iterator[Breach]:
    """What was handled is in the store, and what is in the store was admitted, or emitted by whoever says so."""
    for (name, consumer), row in world.accounts.items():
        if row["state"] != _COMMITTED:
            continue
        if name not in world.by_id:
            yield Breach(f"{consumer} has handled {name}, which is not in the store")
        for emitted in row.get("emitted", ()):
            if emitted not in world.by_id:
                yield Breach(f"{consumer} has emitted {emitted} for {name}, and it is not in the store")
    for event in world.events():
        if world.state(event.id, ADMIT) == _COMMITTED or event.stream.startswith("operation/"):
            continue
        if world.state(event.causation_id or "", event.producer) != _COMMITTED:
            yield Breach(
                f"{event.type} {event.id} is in the store, and {event.producer} has not committed what caused it"
            )


def in_order(world: World) -> Iterator[Breach]:
    """An ordered consumer goes through a stream in its order, and behind what is dead it handles nothing."""
    for consumer in world.ordered:
        listened = {event_type for event_type, consumers in world.listeners.items() if consumer in consumers}
        for stream, events in world.streams.items():
            open_at = None
            for event in events:
                if event.type not in listened:
                    continue
                state = world.state(event.id, consumer)
                if state == _COMMITTED and open_at is not None:
                    yield Breach(
                        f"{consumer} has handled {stream} #{event.sequence}, though #{open_at} has come to no end"
                    )
                if state not in {_COMMITTED, _DISCARDED} and open_at is None:
                    open_at = event.sequence


STORED_ONCE = Invariant("every accepted event is stored once", stored_once)
WHOLE = Invariant("no stream has a gap", whole)
ACCOUNTED = Invariant("every event has exactly one account at every consumer", accounted)
RECORDED_FIRST = Invariant("what is handled is in the store, and came there by a decision", recorded_first)
IN_ORDER = Invariant("an ordered consumer handles a stream in its order", in_order)

BOOKKEEPING = (STORED_ONCE, WHOLE, ACCOUNTED, RECORDED_FIRST, IN_ORDER)
