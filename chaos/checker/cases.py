"""Cases, suspicions and alarms: each decision is in the store once and is based on stored events.

This does not check whether a rule is right, which would mean to implement it a second time.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from chaos.checker.orders import COMMITTED
from chaos.checker.snapshot import Event, Snapshot
from chaos.checker.violation import Invariant, Violation

_FIRST, _HIGHEST = 1, 3  # levels of an alarm


def _bank(snapshot: Snapshot) -> Iterator[Violation]:
    posted = {event.data["authorisation_id"]: event for event in snapshot.events("TransactionPosted")}
    for event_type in ("TransactionPosted", "TransactionReversed", "FraudSuspected", "TransactionNotScreened"):
        for transaction in _duplicates(event.data["authorisation_id"] for event in snapshot.events(event_type)):
            yield Violation(f"transaction {transaction} has more than one {event_type}")
    for suspicion in snapshot.events("FraudSuspected"):
        yield from _suspicion(suspicion, posted.get(suspicion.data["authorisation_id"]))
    rows = {row["id"]: row for row in snapshot.tables["cases"]}
    cases = _by(snapshot, "case_id", "ComplianceCaseOpened", "ComplianceCaseChanged")
    reversed_transactions = _screened_reversals(snapshot, posted)
    for case in sorted({*rows, *cases}):
        events = cases.get(case, [])
        yield from _opening(f"case {case}", events, "ComplianceCaseOpened")
        last_basis = events[-1].data["basis"] if events else None
        if (rows.get(case) or {}).get("basis") != last_basis:
            yield Violation(f"the row of case {case} has another basis than its last event")
        if last_basis:
            yield from _basis(case, events, posted, reversed_transactions)


def _suspicion(suspicion: Event, transaction: Event | None) -> Iterator[Violation]:
    """A suspicion has the data of its transaction, and a score that is the sum of its reasons."""
    data = suspicion.data
    same = ("account_id", "customer_id", "amount", "currency", "channel", "posted_at")
    if transaction is None or any(data[name] != transaction.data[name] for name in same):
        yield Violation(f"suspicion {suspicion.id} does not match a posted transaction")
    if data["score"] != sum(reason["weight"] for reason in data["reasons"]) or data["score"] < data["threshold"]:
        yield Violation(f"suspicion {suspicion.id} has a score that does not match its reasons or its threshold")


def _screened_reversals(snapshot: Snapshot, posted: Mapping[str, Event]) -> set[str]:
    """Reversed transactions of which both events were screened: no cash case may contain them."""
    return {
        event.data["authorisation_id"]
        for event in snapshot.events("TransactionReversed")
        if snapshot.state(event.id, "screen-reversal") == COMMITTED
        and (transaction := posted.get(event.data["authorisation_id"]))
        and snapshot.state(transaction.id, "screen-transaction") == COMMITTED
    }


def _basis(
    case: str, events: Sequence[Event], posted: Mapping[str, Event], reversed_transactions: set[str]
) -> Iterator[Violation]:
    """A case contains each transaction of its person at most once, and its sums match them."""
    basis, customer = events[-1].data["basis"], events[0].data["customer_id"]
    named: Sequence[str] = basis["transactions"]
    for transaction in _duplicates(named):
        yield Violation(f"case {case} contains transaction {transaction} more than once")
    unrelated = [each for each in named if each not in posted or customer not in _persons(posted[each])]
    for transaction in unrelated:
        yield Violation(f"case {case} contains transaction {transaction}, which is not its customer's")
    if events[0].data["rule"] != "sanctioned_name":  # a payment with a listed person stays a case after a reversal
        for transaction in sorted(reversed_transactions.intersection(named)):
            yield Violation(f"case {case} contains transaction {transaction}, which was reversed")
    if len(named) > basis["count"]:
        yield Violation(f"case {case} lists more transactions than its count")
    if len(named) == basis["count"] and not unrelated:  # a case with many transactions lists only the first
        sums: Counter[str] = Counter()
        for transaction in named:
            sums[posted[transaction].data["currency"]] += posted[transaction].data["amount"]
        expected = Counter({each["currency"]: each["amount"] for each in basis["sums"]})
        if +expected != +sums:
            yield Violation(f"case {case} has another sum than its transactions")


def _persons(transaction: Event) -> set[str]:
    """The owner of the account, and the person who conducted a cash transaction for the owner."""
    return {transaction.data["customer_id"], transaction.data.get("conducted_by") or ""}


def _alarms(snapshot: Snapshot) -> Iterator[Violation]:
    rows = {row["id"]: row for row in snapshot.tables["alarms"]}
    types = ("EquipmentAlarmRaised", "EquipmentAlarmEscalated", "EquipmentAlarmCleared", "EquipmentAlarmAcknowledged")
    alarms = _by(snapshot, "alarm_id", *types)
    for alarm in sorted({*rows, *alarms}):
        events = alarms.get(alarm, [])
        yield from _opening(f"alarm {alarm}", events, "EquipmentAlarmRaised")
        levels = [event.data["level"] for event in events if event.type == "EquipmentAlarmEscalated"]
        if levels != list(range(_FIRST + 1, _FIRST + 1 + len(levels))) or len(levels) >= _HIGHEST:
            yield Violation(f"alarm {alarm} has the levels {levels}; expected each level once, at most {_HIGHEST}")
        cleared = [event for event in events if event.type == "EquipmentAlarmCleared"]
        if len(cleared) > 1:
            yield Violation(f"alarm {alarm} was cleared {len(cleared)} times")
        acknowledged = any(
            event.type == "EquipmentAlarmAcknowledged" and snapshot.state(event.id, "acknowledge-alarm") == COMMITTED
            for event in events
        )
        row, stage = rows.get(alarm, {}), "cleared" if cleared else "acknowledged" if acknowledged else "raised"
        if (row.get("stage"), row.get("level")) != (stage, max(levels, default=_FIRST)):
            yield Violation(
                f"the row of alarm {alarm} is {row.get('stage')} at level {row.get('level')}; "
                f"expected from its events: {stage} at level {max(levels, default=_FIRST)}"
            )


def _opening(name: str, events: Sequence[Event], opening: str) -> Iterator[Violation]:
    """The opening event is the first of the stream, and the only one."""
    opened = [event.type == opening for event in events]
    if opened[:1] != [True] or any(opened[1:]):
        yield Violation(f"{name} was opened {sum(opened)} times, or not with the first event of its stream")


def _by(snapshot: Snapshot, name: str, *types: str) -> dict[str, list[Event]]:
    """The events of these types by the value of a field, in the order of their stream."""
    found: dict[str, list[Event]] = {}
    for event in snapshot.events(*types):
        found.setdefault(event.data[name], []).append(event)
    return found


def _duplicates(names: Iterable[Any]) -> list[str]:
    return sorted(name for name, times in Counter(names).items() if times > 1)


BANK = Invariant("each case, suspicion and reversal has one event, and is based on posted transactions", _bank)
ALARMS = Invariant("each alarm is raised once, escalates level by level, and is cleared at most once", _alarms)
