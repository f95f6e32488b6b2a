"""Compliance, deployed: cash is taken together, structuring is seen, and counterparties are held against a list."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from daybook.contracts.contract import Event
from daybook.local.faults import Fault, Faults
from events.compliance import ComplianceCaseOpened
from tests.deployed.deployed import Deployed, an_event, paused, short_visibility_timeout, unique
from tests.deployed.test_commands import daybook
from tests.local.processes import until
from tests.ops.test_sanctions import alt, sdn
from tests.unit.branch import DOLLARS, LIMIT, a_threshold, a_transfer, cash, reversal

BELOW = 9_500 * DOLLARS
LISTED = "VOLKOV, Dmitri Anatolyevich"


def test_cash_of_one_day_is_one_case_though_deliveries_are_doubled_and_processes_die(
    system: Deployed, faults: Faults
) -> None:
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


def test_what_is_reversed_while_it_was_on_its_way_never_counts(system: Deployed) -> None:
    customer = unique("cus")
    told = cash(LIMIT + 1, customer_id=customer, authorisation_id=unique("A"))
    with paused(system, "screen-transaction"):
        (posted,) = sends(system, told)
        (taken,) = sends(system, reversal(told))
        until(lambda: "committed" in system.log_messages("screen-reversal", taken), what="the reversal is seen")
    system.finishes(posted, taken)

    assert cases(system, customer) == []
    row = system.row("cash-transactions", told.authorisation_id, of="screen-transaction")
    assert row["stage"] == "reversed"


def test_cash_just_below_the_threshold_on_several_days_is_a_case(system: Deployed) -> None:
    customer = unique("cus")
    told = [cash(BELOW, day=day, customer_id=customer, authorisation_id=unique("A")) for day in (2, 4, 6)]
    receives(system, *told)

    (case,) = cases(system, customer)
    assert case.rule == "structuring"
    # Any two of the three may have come first, and have opened it.
    first = min(each.posted_at for each in told if each.authorisation_id in case.basis.transactions)
    assert case.business_day == first.date()


def test_a_currency_has_no_threshold_until_one_is_set(system: Deployed) -> None:
    customer = unique("cus")
    unjudged = cash(10**9, currency="ISK", customer_id=customer, authorisation_id=unique("A"))
    receives(system, unjudged)
    assert cases(system, customer) == []
    assert system.types(f"screening/{unjudged.authorisation_id}").count("TransactionNotScreened") == 1

    receives(system, a_threshold("ISK", amount=1_400_000, margin=0))
    receives(system, cash(1_400_001, currency="ISK", day=3, customer_id=customer, authorisation_id=unique("A")))

    assert [case.rule for case in cases(system, customer)] == ["cash_over_threshold"]


def test_an_operator_loads_a_list_and_names_are_held_against_it(system: Deployed, tmp_path: Path) -> None:
    customer = unique("cus")
    told = loads(system, tmp_path, LISTED)
    assert "Would load 2 names of 1 entries" in told.stdout
    before = in_force(system)
    done = loads(system, tmp_path, LISTED, "--apply", "--force")
    assert done.returncode == 0, done.stderr
    until(lambda: in_force(system) != before, what="the list is in force")

    like = a_transfer("Dmitri Volkow", customer_id=customer, authorisation_id=unique("A"))
    receives(system, like, a_transfer("Ada Lovelace", customer_id=customer, authorisation_id=unique("A")))
    (case,) = cases(system, customer)
    assert (case.rule, case.basis.transactions) == ("sanctioned_name", (like.authorisation_id,))

    broken = loads(system, tmp_path, "", "--apply", "--force")
    assert broken.returncode == 2
    assert "row 1 has no name" in broken.stderr
    assert in_force(system) == case.list_version


def test_neither_names_nor_accounts_of_counterparties_stand_in_what_is_kept_or_logged(
    system: Deployed, tmp_path: Path
) -> None:
    name, number = unique("Volkov"), unique("DE02")
    loads(system, tmp_path, LISTED, "--apply", "--force")
    told = a_transfer(f"Dmitri {name}", account=number, customer_id=unique("cus"), authorisation_id=unique("A"))
    receives(system, told)

    logs = "".join(file.read_text(errors="replace") for file in system.cloud.logs.iterdir())
    assert name not in logs
    assert number not in logs
    kept = [system.items(system.table(table, "screen-transaction")) for table in _TABLES]
    assert name not in str(kept)
    assert number not in str(kept)


def all_that_may_happen(system: Deployed, folder: Path) -> None:
    """Give each function of the service cause for all that it may do."""
    customer = unique("cus")
    before = in_force(system)
    loads(system, folder, LISTED, "--apply", "--force")
    until(lambda: in_force(system) != before, what="the list is in force")
    near = [cash(BELOW, day=day, customer_id=customer, authorisation_id=unique("A")) for day in (2, 2, 3)]
    transfers = [
        a_transfer("Dmitri Anatolyevich Volkov", customer_id=customer, authorisation_id=unique("A")) for _ in range(2)
    ]
    receives(system, a_threshold("CAD", revision=_revision()), *near, *transfers)
    receives(system, cash(1, currency="XPF", customer_id=customer, authorisation_id=unique("A")))
    receives(system, *(reversal(each) for each in near))


_TABLES = ("cases", "cash-transactions", "cash-days", "near-threshold", "sanctions")


def entry(event: Event) -> dict[str, Any]:
    """The event as its source sends it."""
    data = event.model_dump(mode="json", exclude_none=True)
    return an_event(event.contract.type, data, source=event.contract.sources[0])


def sends(system: Deployed, *events: Event) -> list[str]:
    return system.sends(*map(entry, events))


def receives(system: Deployed, *events: Event) -> None:
    """Send events one behind the other, and wait until all that comes of them is done."""
    system.receives(*map(entry, events))


def loads(system: Deployed, folder: Path, name: str, *options: str) -> Any:
    """Have the operator's command load a list of one entry with two names."""
    (folder / "SDN.CSV").write_text(sdn((173, name)))
    (folder / "ALT.CSV").write_text(alt((173, "VOLKOV, Dmitri")))
    return daybook(system, "sanctions", "load", str(folder / "SDN.CSV"), str(folder / "ALT.CSV"), *options)


def in_force(system: Deployed) -> str | None:
    """The version of the list that functions use."""
    version: str | None = system.row("sanctions", "sdn", of="adopt-list").get("list_version")
    return version


def cases(system: Deployed, customer: str) -> list[ComplianceCaseOpened]:
    """All cases about a customer, as they were opened."""
    rows = system.items(system.table("cases", "screen-transaction"))
    return sorted(_opened(system, rows, customer), key=lambda case: case.case_id)


def _opened(system: Deployed, rows: list[dict[str, Any]], customer: str) -> Iterator[ComplianceCaseOpened]:
    for row in rows:
        if row["customer_id"] == customer:
            envelope = next(system.connection.store.stream(f"case/{row['id']}"))
            yield ComplianceCaseOpened.read(envelope.data, version=1)


def _revision() -> int:
    """A later one than any before."""
    return int(datetime.now(UTC).timestamp() * 1000)
