"""What the bank's and the ward's rows decide stands once in the store, and rests on what is there.

Whether a rule is right is not asked here: that would mean to write it a second time.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from chaos.checker.breach import Breach, Invariant
from chaos.checker.orders import COMMITTED
from chaos.checker.world import Event, World

_FIRST, _HIGHEST = 1, 3  # levels of an alarm


def _bank(world: World) -> Iterator[Breach]:
    posted = {event.data["authorisation_id"]: event for event in world.events("TransactionPosted")}
    for event_type in ("TransactionPosted", "TransactionReversed", "FraudSuspected", "TransactionNotScreened"):
        for transaction in _several(event.data["authorisation_id"] for event in world.events(event_type)):
            yield Breach(f"of transaction {transaction} there is more than one {event_type}")
    for suspicion in world.events("FraudSuspected"):
        yield from _suspicion(suspicion, posted.get(suspicion.data["authorisation_id"]))
    rows = {row["id"]: row for row in world.tables["cases"]}
    cases = _by(world, "case_id", "ComplianceCaseOpened", "ComplianceCaseChanged")
    reversed_ = _taken_back(world, posted)
    for case in sorted({*rows, *cases}):
        events = cases.get(case, [])
        yield from _opening(f"case {case}", events, "ComplianceCaseOpened")
        rests_on = events[-1].data["basis"] if events else None
        if (rows.get(case) or {}).get("basis") != rests_on:
            yield Breach(f"the row of case {case} rests on something else than its last event says")
        if rests_on:
            yield from _basis(case, events, posted, reversed_)


def _suspicion(suspicion: Event, transaction: Event | None) -> Iterator[Breach]:
    """A suspicion says of its transaction what that says of itself, and is as grave as its reasons are together."""
    told = suspicion.data
    same = ("account_id", "customer_id", "amount", "currency", "channel", "posted_at")
    if transaction is None or any(told[name] != transaction.data[name] for name in same):
        yield Breach(f"suspicion {suspicion.id} is about a transaction that was not posted, or not as it says")
    if told["score"] != sum(reason["weight"] for reason in told["reasons"]) or told["score"] < told["threshold"]:
        yield Breach(f"suspicion {suspicion.id} has another score than its reasons, or less than is enough")


def _taken_back(world: World, posted: Mapping[str, Event]) -> set[str]:
    """The transactions whose posting and whose reversal were both screened: no case of cash may rest on them."""
    return {
        event.data["authorisation_id"]
        for event in world.events("TransactionReversed")
        if world.state(event.id, "screen-reversal") == COMMITTED
        and (transaction := posted.get(event.data["authorisation_id"]))
        and world.state(transaction.id, "screen-transaction") == COMMITTED
    }


def _basis(case: str, events: Sequence[Event], posted: Mapping[str, Event], taken_back: set[str]) -> Iterator[Breach]:
    """A case rests on its customer's transactions, on each once, and comes to what they come to."""
    basis, customer = events[-1].data["basis"], events[0].data["customer_id"]
    named: Sequence[str] = basis["transactions"]
    for transaction in _several(named):
        yield Breach(f"case {case} rests on transaction {transaction} more than once")
    strange = [each for each in named if each not in posted or posted[each].data["customer_id"] != customer]
    for transaction in strange:
        yield Breach(f"case {case} rests on transaction {transaction}, which is none of its customer's")
    if events[0].data["rule"] != "sanctioned_name":  # that somebody dealt with one who is listed stays so
        for transaction in sorted(taken_back.intersection(named)):
            yield Breach(f"case {case} rests on transaction {transaction}, which was taken back")
    if len(named) > basis["count"]:
        yield Breach(f"case {case} names more transactions than it counts")
    if len(named) == basis["count"] and not strange:  # of many it names the first alone
        sums: Counter[str] = Counter()
        for transaction in named:
            sums[posted[transaction].data["currency"]] += posted[transaction].data["amount"]
        told = Counter({each["currency"]: each["amount"] for each in basis["sums"]})
        if +told != +sums:
            yield Breach(f"case {case} comes to something else than the transactions that it rests on")


def _alarms(world: World) -> Iterator[Breach]:
    rows = {row["id"]: row for row in world.tables["alarms"]}
    types = ("EquipmentAlarmRaised", "EquipmentAlarmEscalated", "EquipmentAlarmCleared", "EquipmentAlarmAcknowledged")
    alarms = _by(world, "alarm_id", *types)
    for alarm in sorted({*rows, *alarms}):
        events = alarms.get(alarm, [])
        yield from _opening(f"alarm {alarm}", events, "EquipmentAlarmRaised")
        levels = [event.data["level"] for event in events if event.type == "EquipmentAlarmEscalated"]
        if levels != list(range(_FIRST + 1, _FIRST + 1 + len(levels))) or len(levels) >= _HIGHEST:
            yield Breach(f"alarm {alarm} went up to the levels {levels}, and not one by one up to {_HIGHEST}")
        cleared = [event for event in events if event.type == "EquipmentAlarmCleared"]
        if len(cleared) > 1:
            yield Breach(f"alarm {alarm} was cleared {len(cleared)} times")
        acknowledged = any(
            event.type == "EquipmentAlarmAcknowledged" and world.state(event.id, "acknowledge-alarm") == COMMITTED
            for event in events
        )
        row, stage = rows.get(alarm, {}), "cleared" if cleared else "acknowledged" if acknowledged else "raised"
        if (row.get("stage"), row.get("level")) != (stage, max(levels, default=_FIRST)):
            yield Breach(
                f"the row of alarm {alarm} says {row.get('stage')} at level {row.get('level')}, "
                f"and by its events it is {stage} at level {max(levels, default=_FIRST)}"
            )


def _opening(name: str, events: Sequence[Event], opening: str) -> Iterator[Breach]:
    """Something is opened once, and first of all."""
    opened = [event.type == opening for event in events]
    if opened[:1] != [True] or any(opened[1:]):
        yield Breach(f"{name} was opened {sum(opened)} times, or not with the first event of its stream")


def _by(world: World, name: str, *types: str) -> dict[str, list[Event]]:
    """The events of these types by what they say under that name, in the order of their stream."""
    found: dict[str, list[Event]] = {}
    for event in world.events(*types):
        found.setdefault(event.data[name], []).append(event)
    return found


def _several(names: Iterable[Any]) -> list[str]:
    return sorted(name for name, times in Counter(names).items() if times > 1)


BANK = Invariant("each case, suspicion and reversal is told of once, and rests on transactions that were posted", _bank)
ALARMS = Invariant("each alarm is raised once, goes up level by level, and is cleared once at most", _alarms)
