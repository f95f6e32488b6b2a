"""The compliance service with its tables in memory. Amounts are minor units, days are in March 2026."""

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
    Basis,
    ComplianceCaseChanged,
    ComplianceCaseOpened,
    ExchangeRateMissing,
    ExchangeRateSet,
    ReportingThresholdSet,
    ReversalNotApplied,
    SanctionsListLoaded,
    SanctionsMatchDecided,
    ScreeningDue,
    TransactionNotScreened,
)
from functions.compliance import (
    activate_list,
    decide_match,
    sanctions_list,
    screen_again,
    screen_reversal,
    screen_transaction,
    set_rate,
    set_threshold,
)
from functions.compliance.cash import CashDay
from functions.compliance.sanctions_list import ActiveList, Listed, ListPart
from tests.unit.builders import Message, from_the_bus, recorded
from tests.unit.world import World

DOLLARS = 100
LIMIT = 10_000 * DOLLARS

_numbers = count(1)


def on(day: int, hour: float = 12) -> datetime:
    """This hour of this day of March, in UTC. Day 0 is the last day of February."""
    return datetime(2026, 3, 1, tzinfo=UTC) + timedelta(days=day - 1, hours=hour)


def transaction_data(**other: Any) -> dict[str, Any]:
    """What the core system sends; by default a deposit of cash in dollars on the 2nd."""
    defaults: dict[str, Any] = {
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
    return defaults | other


def cash(amount: int = LIMIT + 1, *, day: int = 2, hour: float = 12, **other: Any) -> TransactionPosted:
    return TransactionPosted.model_validate(
        transaction_data(amount=amount, posted_at=clock.timestamp(on(day, hour)), **other)
    )


def a_transfer(
    name: str, *, day: int = 2, account: str = "", country: str = "", born_on: str | None = None, **other: Any
) -> TransactionPosted:
    """A transfer to a person with this name."""
    defaults = {"channel": "transfer", "direction": "debit", "place": None, "posted_at": clock.timestamp(on(day))}
    counterparty = {"name": name, "account": account, "country": country, "born_on": born_on}
    return TransactionPosted.model_validate(transaction_data(**{**defaults, "counterparty": counterparty, **other}))


def reversal(of: TransactionPosted, **other: Any) -> TransactionReversed:
    """The reversal of a transaction, a day later, with other data in these fields."""
    reversed_at = clock.timestamp(of.posted_at + timedelta(days=1))
    return TransactionReversed.model_validate({**of.model_dump(mode="json"), "reversed_at": reversed_at, **other})


def a_threshold(currency: str = "USD", revision: int = 1, **other: Any) -> ReportingThresholdSet:
    """By default 5,000 dollars, with 4,000 to 5,000 just below it, from January on."""
    defaults: dict[str, Any] = {
        "valid_from": "2026-01-01",
        "amount": 5_000 * DOLLARS,
        "margin": 1_000 * DOLLARS,
        "days": 7,
    }
    return ReportingThresholdSet.model_validate({"currency": currency, "revision": revision, **defaults, **other})


def a_rate(rate: str, currency: str = "EUR", revision: int = 1, **other: Any) -> ExchangeRateSet:
    """By default from January on."""
    defaults: dict[str, Any] = {"valid_from": "2026-01-01", "currency": currency, "rate": rate, "revision": revision}
    return ExchangeRateSet.model_validate(defaults | other)


@dataclass(frozen=True)
class Case:
    """A case, as its stream shows it."""

    opened: ComplianceCaseOpened
    changed: list[ComplianceCaseChanged]

    @property
    def rule(self) -> str:
        return self.opened.rule

    @property
    def total(self) -> int:
        """Its sum now: for cash in the currency of the threshold, else in its only currency."""
        return self.basis.total.amount if self.basis.total else self.basis.sums[0].amount

    @property
    def basis(self) -> Basis:
        """Its transactions now."""
        return (self.changed[-1] if self.changed else self.opened).basis

    @property
    def sums(self) -> dict[str, int]:
        """Its sums now, by the currency that was paid."""
        return {each.currency: each.amount for each in self.basis.sums}

    @property
    def transactions(self) -> list[str]:
        """The ids of its transactions now."""
        return list(self.basis.transactions)


class Compliance:
    """The service in a world."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._fired: set[str] = set()

    # --- events ------------------------------------------------------------------------------------------------------

    def posts(self, *transactions: TransactionPosted) -> list[Envelope]:
        return [self._receive(screen_transaction.handler, each) for each in transactions]

    def reverses(self, *transactions: TransactionPosted, **other: Any) -> list[Envelope]:
        """Reverse the transactions, with other data in these fields."""
        return [self._receive(screen_reversal.handler, reversal(each, **other)) for each in transactions]

    def converts(self, *rates: ExchangeRateSet) -> None:
        self.world.receive(set_rate.handler, *rates)

    def sets(self, *thresholds: ReportingThresholdSet) -> None:
        self.world.receive(set_threshold.handler, *thresholds)

    def writes(self, version: str, names: Iterable[tuple[int, str] | Listed], **other: Any) -> SanctionsListLoaded:
        """Write a list as the operator's command does. Returns the event that the command sends."""
        listed = [Listed(*each) for each in names]
        parts = sanctions_list.write(listed)
        keys = sanctions_list.keys(version, len(parts))
        self.world.put(*(ListPart(part=key, content=part) for key, part in zip(keys, parts, strict=True)))
        defaults = {
            "list_version": version,
            "loaded_at": clock.timestamp(on(1)),
            "entries": len({each.entry for each in listed}),
            "names": len(listed),
            "parts": len(parts),
            "sha256": sanctions_list.digest(parts),
            "min_similarity": 88,
        }
        return SanctionsListLoaded.model_validate(defaults | other)

    def lists(
        self,
        *names: str,
        version: str = "L-1",
        years: tuple[int, ...] = (),
        countries: tuple[str, ...] = (),
        **other: Any,
    ) -> None:
        """Activate a list whose entries have the numbers 1, 2, 3 and so on, and these birth years and countries."""
        listed = [Listed(number, name, years, countries) for number, name in enumerate(names, 1)]
        loaded = self.writes(version, listed, **other)
        self.world.receive(activate_list.handler, loaded)

    def decides(self, case: Case, decision: str = "not_this_person", *, hour: float = 12) -> None:
        """A person decides about the first entry of a case."""
        decided = {
            "case_id": case.opened.case_id,
            "counterparty": case.opened.case_id.rpartition(":")[2],
            "list_name": case.opened.matches[0].list_name,
            "entry": case.opened.matches[0].entry,
            "decision": decision,
            "reason": "Another date of birth",
            "decided_by": "S-1",
            "decided_at": clock.timestamp(on(3, hour)),
        }
        self.world.receive(decide_match.handler, SanctionsMatchDecided.model_validate(decided))

    def screens_again(self) -> int:
        """Fire the timers of screening and those that they set. Returns the number of counterparties' blocks."""
        before = len(self._fired)
        while waiting := [
            item
            for item in self.world.items("due")
            if item.get("type") == "ScreeningDue" and item["id"] not in self._fired
        ]:
            self._fired.update(item["id"] for item in waiting)
            for item in waiting:
                self.world.receive(screen_again.handler, ScreeningDue.read(item["data"], version=1))
        return len(self._fired) - before

    def receives(self, loaded: SanctionsListLoaded) -> list[Message]:
        """Deliver the event of a loaded list. Returns the messages that are redelivered."""
        return self.world.deliver(activate_list.handler, from_the_bus(recorded(loaded)))

    def _receive(self, handler: Any, event: Event) -> Envelope:
        envelope = recorded(event)
        assert self.world.deliver(handler, from_the_bus(envelope)) == []
        return envelope

    # --- results -----------------------------------------------------------------------------------------------------

    @property
    def cases(self) -> list[Case]:
        """All cases, ordered by id."""
        ids = [item["id"] for item in self.world.items("cases")]
        return [_case(self.world.events(f"case/{case_id}")) for case_id in ids]

    @property
    def rules(self) -> list[str]:
        """The rules of all cases."""
        return [case.rule for case in self.cases]

    @property
    def not_screened(self) -> dict[str, str]:
        """Ids of transactions that were not screened, with the reason."""
        events = self._events("screening/")
        return {each.authorisation_id: each.reason for each in events if isinstance(each, TransactionNotScreened)}

    @property
    def not_applied(self) -> list[ReversalNotApplied]:
        """Reversals with other data than their transactions."""
        return [each for each in self._events("reversal/") if isinstance(each, ReversalNotApplied)]

    @property
    def missing_rates(self) -> list[tuple[str, str]]:
        """Currency and business day of each missing rate."""
        events = [each for each in self._events("rate/") if isinstance(each, ExchangeRateMissing)]
        return [(each.currency, str(each.business_day)) for each in events]

    def _events(self, kind: str) -> list[Event]:
        streams = {envelope.metadata.stream for envelope in self.world.recorded()}
        return [each for stream in sorted(streams) if stream.startswith(kind) for each in self.world.events(stream)]

    @property
    def version(self) -> str:
        """The version of the active list `sdn`."""
        row = self.world.row(ActiveList, "sdn")
        return row.list_version if row else ""

    def day(self, day: int, *, direction: str = "credit", currency: str = "USD") -> tuple[int, int]:
        """The sum and the number of the customer's cash transactions on this day."""
        row = self.world.row(CashDay, f"cus-19b2:{direction}:{currency}:{on(day).date()}")
        return (row.total, row.count) if row else (0, 0)


def _case(events: list[Event]) -> Case:
    opened, *changed = events
    assert isinstance(opened, ComplianceCaseOpened)
    return Case(opened, [each for each in changed if isinstance(each, ComplianceCaseChanged)])
