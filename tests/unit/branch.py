"""A bank, and compliance that hears of what moves there. Amounts are minor units, days those of March 2026."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from daybook.contracts import clock
from daybook.contracts.contract import Event
from daybook.contracts.envelope import Envelope
from events.accounts import TransactionPosted, TransactionReversed
from events.compliance import (
    ComplianceCaseChanged,
    ComplianceCaseOpened,
    ReportingThresholdSet,
    SanctionsListLoaded,
    TransactionNotScreened,
)
from functions.compliance import adopt_list, screen_reversal, screen_transaction, set_threshold
from functions.compliance import sanctions_list as sanctions
from functions.compliance.cash import CashDay
from functions.compliance.sanctions_list import Listed, ListInForce, ListPart
from tests.unit.builders import Message, from_the_bus, recorded
from tests.unit.world import World

DOLLARS = 100
LIMIT = 10_000 * DOLLARS

_numbers = count(1)


def on(day: int, hour: float = 12) -> datetime:
    """That hour of that day of March, in UTC; days before the first are February's."""
    return datetime(2026, 3, 1, tzinfo=UTC) + timedelta(days=day - 1, hours=hour)


def moved(**other: Any) -> dict[str, Any]:
    """What the bank's core sends of money that has moved: a deposit of cash in dollars on the 2nd, unless told."""
    usual: dict[str, Any] = {
        "authorisation_id": f"A-{next(_numbers)}",
        "account_id": "acc-7f3e",
        "customer_id": "cus-19b2",
        "opened_on": "2019-04-01",
        "direction": "credit",
        "amount": LIMIT + 1,
        "currency": "USD",
        "channel": "cash",
        "place": {"country": "US", "city": "Springfield"},
        "posted_at": clock.timestamp(on(2)),
    }
    return usual | other


def cash(amount: int = LIMIT + 1, *, day: int = 2, hour: float = 12, **other: Any) -> TransactionPosted:
    return TransactionPosted.model_validate(moved(amount=amount, posted_at=clock.timestamp(on(day, hour)), **other))


def a_transfer(name: str, *, day: int = 2, account: str = "", **other: Any) -> TransactionPosted:
    """A transfer to somebody of that name."""
    usual = {"channel": "transfer", "direction": "debit", "place": None, "posted_at": clock.timestamp(on(day))}
    counterparty = {"name": name, "account": account}
    return TransactionPosted.model_validate(moved(**{**usual, "counterparty": counterparty, **other}))


def reversal(of: TransactionPosted) -> TransactionReversed:
    """The transaction is taken back a day later."""
    reversed_at = clock.timestamp(of.posted_at + timedelta(days=1))
    return TransactionReversed.model_validate({**of.model_dump(mode="json"), "reversed_at": reversed_at})


def a_threshold(currency: str = "USD", revision: int = 1, **other: Any) -> ReportingThresholdSet:
    """5,000 dollars from the beginning on, where just below is from 4,000 on, unless told."""
    usual: dict[str, Any] = {
        "holds_from": "2026-01-01",
        "amount": 5_000 * DOLLARS,
        "margin": 1_000 * DOLLARS,
        "days": 7,
    }
    return ReportingThresholdSet.model_validate({"currency": currency, "revision": revision, **usual, **other})


@dataclass(frozen=True)
class Case:
    """A case, by what its stream says."""

    opened: ComplianceCaseOpened
    changed: list[ComplianceCaseChanged]

    @property
    def rule(self) -> str:
        return self.opened.rule

    @property
    def total(self) -> int:
        """What it comes to now, in its one currency."""
        (total,) = (self.changed[-1] if self.changed else self.opened).basis.sums
        return total.amount

    @property
    def rests_on(self) -> list[str]:
        """The transactions that it rests on now."""
        return list((self.changed[-1] if self.changed else self.opened).basis.transactions)


class Branch:
    """The bank in the world."""

    def __init__(self, world: World) -> None:
        self.world = world

    # --- acts -------------------------------------------------------------------------------------------------------

    def posts(self, *transactions: TransactionPosted) -> list[Envelope]:
        return [self._told(screen_transaction.handler, each) for each in transactions]

    def reverses(self, *transactions: TransactionPosted) -> list[Envelope]:
        return [self._told(screen_reversal.handler, reversal(each)) for each in transactions]

    def sets(self, *thresholds: ReportingThresholdSet) -> None:
        self.world.receive(set_threshold.handler, *thresholds)

    def writes(self, version: str, names: Iterable[tuple[int, str]], **other: Any) -> SanctionsListLoaded:
        """Write a list as the operator's command does; the answer is what would be told of it."""
        listed = [Listed(*each) for each in names]
        parts = sanctions.written(listed)
        keys = sanctions.keys(version, len(parts))
        self.world.put(*(ListPart(part=key, content=part) for key, part in zip(keys, parts, strict=True)))
        usual = {
            "list_version": version,
            "loaded_at": clock.timestamp(on(1)),
            "entries": len({each.entry for each in listed}),
            "names": len(listed),
            "parts": len(parts),
            "sha256": sanctions.digest(parts),
            "least_likeness": 88,
        }
        return SanctionsListLoaded.model_validate(usual | other)

    def lists(self, *names: str, version: str = "L-1", **other: Any) -> None:
        """Bring a list into force, whose entries are numbered from 1 on."""
        loaded = self.writes(version, enumerate(names, 1), **other)
        self.world.receive(adopt_list.handler, loaded)

    def tells_of(self, loaded: SanctionsListLoaded) -> list[Message]:
        """Tell of a loaded list. The answer are the messages that come again."""
        return self.world.deliver(adopt_list.handler, from_the_bus(recorded(loaded)))

    def _told(self, handler: Any, event: Event) -> Envelope:
        envelope = recorded(event)
        assert self.world.deliver(handler, from_the_bus(envelope)) == []
        return envelope

    # --- what there is afterwards -----------------------------------------------------------------------------------

    @property
    def cases(self) -> list[Case]:
        """All cases, by their names."""
        ids = [item["id"] for item in self.world.items("cases")]
        return [_case(self.world.events(f"case/{case_id}")) for case_id in ids]

    @property
    def rules(self) -> list[str]:
        """The rules of all cases."""
        return [case.rule for case in self.cases]

    @property
    def not_screened(self) -> dict[str, str]:
        """Transactions that could not be judged, and why."""
        streams = {envelope.metadata.stream for envelope in self.world.recorded()}
        told = [each for stream in streams if stream.startswith("screening/") for each in self.world.events(stream)]
        return {each.authorisation_id: each.because for each in told if isinstance(each, TransactionNotScreened)}

    @property
    def version(self) -> str:
        """Which list is in force."""
        row = self.world.row(ListInForce, "sdn")
        return row.list_version if row else ""

    def day(self, day: int, *, direction: str = "credit", currency: str = "USD") -> tuple[int, int]:
        """What the customer's cash of that day comes to, and how many transactions that is."""
        row = self.world.row(CashDay, f"cus-19b2:{direction}:{currency}:{on(day).date()}")
        return (row.total, row.count) if row else (0, 0)


def _case(events: list[Event]) -> Case:
    opened, *changed = events
    assert isinstance(opened, ComplianceCaseOpened)
    return Case(opened, [each for each in changed if isinstance(each, ComplianceCaseChanged)])
