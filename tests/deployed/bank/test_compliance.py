"""Compliance, deployed: cash of one day, structuring, thresholds, and the sanctions list."""

import uuid
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from daybook.contracts.contract import Event
from daybook.local.faults import Fault, Faults
from events.compliance import ComplianceCaseOpened, SanctionsMatchDecided
from functions.compliance.counterparty import SHARDS, Block, KnownCounterparty, block_key
from tests.deployed.deployed import Deployed, an_event, paused, short_visibility_timeout
from tests.deployed.hospital.test_equipment import fires_timers
from tests.deployed.test_commands import daybook
from tests.local.processes import unique, until
from tests.ops.bank.test_sanctions import alt, sdn
from tests.unit.bank.compliance import DOLLARS, LIMIT, a_rate, a_threshold, a_transfer, cash, reversal

BELOW = 9_500 * DOLLARS
LISTED = "VOLKOV, Dmitri Anatolyevich"


def test_cash_of_one_day_is_one_case_even_if_a_process_dies(system: Deployed, faults: Faults) -> None:
    customer = unique("cus")
    died = Fault.death("after", function="screen-transaction", operation="TransactWriteItems", mentions=customer)
    with (
        short_visibility_timeout(system, "screen-transaction", until_true=lambda: faults.injected_count(died)),
        faults.inject(died),
    ):
        receives(system, *(cash(4_000 * DOLLARS, customer_id=customer, authorisation_id=unique("A")) for _ in range(5)))

    assert faults.injected_count(died) == 1
    (case,) = cases(system, customer)
    assert (case.rule, system.types(case.stream).count("ComplianceCaseOpened")) == ("cash_of_one_day", 1)
    row = system.row("cash-days", f"{customer}:credit:USD:2026-03-02", of="screen-transaction")
    assert (row["total"], row["count"]) == (20_000 * DOLLARS, 5)


def test_a_transaction_whose_reversal_is_handled_first_never_counts(system: Deployed) -> None:
    customer = unique("cus")
    transaction = cash(LIMIT + 1, customer_id=customer, authorisation_id=unique("A"))
    with paused(system, "screen-transaction"):
        (posted,) = sends(system, transaction)
        (reversed_,) = sends(system, reversal(transaction))
        until(lambda: "committed" in system.log_messages("screen-reversal", reversed_), what="the reversal is handled")
    system.finishes(posted, reversed_)

    assert cases(system, customer) == []
    row = system.row("cash-transactions", transaction.authorisation_id, of="screen-transaction")
    assert row["counted"] is None
    assert row["reversal"]["amount"] == transaction.amount


def test_cash_just_below_the_threshold_on_several_days_opens_a_case(system: Deployed) -> None:
    customer = unique("cus")
    deposits = [cash(BELOW, day=day, customer_id=customer, authorisation_id=unique("A")) for day in (2, 4, 6)]
    receives(system, *deposits)

    (case,) = cases(system, customer)
    assert case.rule == "structuring"
    # Any two of the three may have arrived first and opened the case.
    first = min(each.posted_at for each in deposits if each.authorisation_id in case.basis.transactions)
    assert case.business_day == first.date()


def test_cash_without_a_threshold_is_not_screened(system: Deployed) -> None:
    customer = unique("cus")
    unscreened = cash(10**9, currency="ISK", customer_id=customer, authorisation_id=unique("A"))
    receives(system, unscreened)
    assert cases(system, customer) == []
    assert system.types(f"screening/{unscreened.authorisation_id}").count("TransactionNotScreened") == 1

    receives(system, a_threshold("ISK", amount=1_400_000, margin=0))
    receives(system, cash(1_400_001, currency="ISK", day=3, customer_id=customer, authorisation_id=unique("A")))

    assert [case.rule for case in cases(system, customer)] == ["cash_over_threshold"]


def test_an_operator_loads_a_list_and_transfers_are_compared_with_it(system: Deployed, tmp_path: Path) -> None:
    customer = unique("cus")
    preview = loads(system, tmp_path, LISTED)
    assert "Would load 2 names of 1 entries" in preview.stdout
    before = active_version(system)
    done = loads(system, tmp_path, LISTED, "--apply", "--force")
    assert done.returncode == 0, done.stderr
    until(lambda: active_version(system) != before, what="the list is active")

    similar = a_transfer("Dmitri Volkow", customer_id=customer, authorisation_id=unique("A"))
    receives(system, similar, a_transfer("Ada Lovelace", customer_id=customer, authorisation_id=unique("A")))
    (case,) = cases(system, customer)
    assert (case.rule, case.basis.transactions) == ("sanctioned_name", (similar.authorisation_id,))

    broken = loads(system, tmp_path, "", "--apply", "--force")
    assert broken.returncode == 2
    assert "line 1 has no name" in broken.stderr
    assert active_version(system) == case.list_version


def test_rows_and_logs_contain_neither_names_nor_accounts_of_counterparties(system: Deployed, tmp_path: Path) -> None:
    name, number = unique("Volkov"), unique("DE02")
    loads(system, tmp_path, LISTED, "--apply", "--force")
    transfer = a_transfer(f"Dmitri {name}", account=number, customer_id=unique("cus"), authorisation_id=unique("A"))
    receives(system, transfer)

    logs = "".join(file.read_text(errors="replace") for file in system.cloud.logs.iterdir())
    assert name not in logs
    assert number not in logs
    rows = [system.items(system.table(table, "screen-transaction")) for table in _TABLES]
    assert name not in str(rows)
    assert number not in str(rows)


def all_that_may_happen(system: Deployed, folder: Path) -> None:
    """Make each function of the service use all of its permissions."""
    customer = unique("cus")
    pseudonym, cases = uuid.uuid4().hex[:16], system.table("cases", "screen-transaction")
    transfers: list[str] = []
    for _ in range(2):  # the first version opens a case, the second changes it
        transfers.append(unique("A"))
        remember_counterparty(system, customer, pseudonym, transfers)
        loads(system, folder, LISTED, "--apply", "--force")
        until(
            lambda: fires_timers(system) and transfers[-1] in str(system.items(cases)),
            what="the transfers of a known counterparty are in a case",
        )
    near = [cash(BELOW, day=day, customer_id=customer, authorisation_id=unique("A")) for day in (2, 2, 3)]
    posted = [
        a_transfer("Dmitri Anatolyevich Volkov", customer_id=customer, authorisation_id=unique("A")) for _ in range(2)
    ]
    rates = [a_rate("0.72", "CAD", revision=_revision() + number) for number in (0, 1)]
    receives(system, a_threshold("CAD", revision=_revision()), *rates, *near, *posted)
    receives(system, cash(1, currency="XPF", customer_id=customer, authorisation_id=unique("A")))
    receives(system, *(reversal(each) for each in near[1:]), reversal(near[0], amount=1))
    other = cash(BELOW, day=4, customer_id=customer, authorisation_id=unique("A"))
    (early,) = sends(system, reversal(other, amount=1))
    until(lambda: "committed" in system.log_messages("screen-reversal", early), what="the reversal is handled first")
    receives(system, other)
    decided = {**SanctionsMatchDecided.example, "counterparty": uuid.uuid4().hex[:16]}
    receives(system, SanctionsMatchDecided.model_validate(decided))


def remember_counterparty(system: Deployed, customer: str, pseudonym: str, transfers: Sequence[str]) -> None:
    """Write a counterparty with the listed name, as screening does for transfers of today, into a second block."""
    today, key = datetime.now(UTC).date(), f"{customer}:{pseudonym}"
    shard = SHARDS.shard_id("shard", key)
    known = KnownCounterparty(
        customer_counterparty=key,
        name="Dmitri Anatolyevich Volkov",
        customer_id=customer,
        counterparty=pseudonym,
        first_day=today,
        last_day=today,
        sums={"EUR": 100 * len(transfers)},
        count=len(transfers),
        transactions=tuple(transfers),
    )
    block = Block(block=block_key(shard, 1), counterparties=(key,), last_day=today)
    for row in (known, block, Block(block=shard, latest=1)):
        table = system.table(row.table, "screen-transaction")
        system.cloud.client("dynamodb").put_item(TableName=table, Item=row.to_item(1))


_TABLES = ("cases", "cash-transactions", "cash-days", "recent-cash", "sanctions")


def entry(event: Event) -> dict[str, Any]:
    """The event as its source sends it."""
    data = event.model_dump(mode="json", exclude_none=True)
    return an_event(event.contract.type, data, source=event.contract.sources[0])


def sends(system: Deployed, *events: Event) -> list[str]:
    return system.sends(*map(entry, events))


def receives(system: Deployed, *events: Event) -> None:
    """Send events one by one and wait until they and their consequences are processed."""
    system.receives(*map(entry, events))


def loads(system: Deployed, folder: Path, name: str, *options: str) -> Any:
    """Run the command that loads a list; the list has one entry with two names."""
    (folder / "SDN.CSV").write_text(sdn((173, name)))
    (folder / "ALT.CSV").write_text(alt((173, "VOLKOV, Dmitri")))
    return daybook(system, "sanctions", "load", str(folder / "SDN.CSV"), str(folder / "ALT.CSV"), *options)


def active_version(system: Deployed) -> str | None:
    """The version of the active list."""
    version: str | None = system.row("sanctions", "sdn", of="activate-list").get("list_version")
    return version


def cases(system: Deployed, customer: str) -> list[ComplianceCaseOpened]:
    """All cases of a customer, as they were opened."""
    rows = system.items(system.table("cases", "screen-transaction"))
    return sorted(_opened(system, rows, customer), key=lambda case: case.case_id)


def _opened(system: Deployed, rows: list[dict[str, Any]], customer: str) -> Iterator[ComplianceCaseOpened]:
    for row in rows:
        if row["customer_id"] == customer:
            envelope = next(system.connection.store.stream(f"case/{row['id']}"))
            yield ComplianceCaseOpened.read(envelope.data, version=1)


def _revision() -> int:
    """A higher one than any before."""
    return int(datetime.now(UTC).timestamp() * 1000)
