"""Check the counterparty of a transfer against the active sanctions lists."""

from typing import Final

from daybook.consumers.work import Work
from events.accounts import Transaction
from events.compliance import DEFAULT_LIST, ComplianceCaseOpened, Match, TransactionNotScreened
from functions.compliance import sanctions_list
from functions.compliance.case import LEGAL_SOURCES, basis, update_case
from functions.compliance.counterparty import KnownCounterparty, remember, undecided
from functions.compliance.names import NameIndex
from functions.compliance.sanctions_list import ActiveList, ListPart, entry_key
from functions.compliance.spelling import is_comparable

_OTHER_SOURCES: Final = {
    "eu": "Regulations under Article 215 TFEU: funds of the persons and organisations that they list are frozen"
}
# Of each list, the version that this process used last, and its index. The content of a version never changes.
_cached_index: dict[str, tuple[str, NameIndex]] = {}


def content(work: Work, version: str, parts: int) -> list[str]:
    """The content of a version of a list, in parts. A part that is missing is empty."""
    rows = work.read_all(ListPart, sanctions_list.keys(version, parts))
    return [row.content for row in rows.values()]


def screen(work: Work, transaction: Transaction) -> None:
    """Compare the name of a transfer's counterparty with the lists that are active now.

    Without a list the counterparty is compared later, when the first list is loaded.
    """
    work.prefetch((ActiveList, [DEFAULT_LIST]))
    known = remember(work, transaction)
    similar = [compare(work, known, active) for active in _active_lists(work)]
    if not similar:
        work.emit(TransactionNotScreened.of(transaction, "no_list"))
    elif not any(similar) and not is_comparable(known.name):
        work.emit(TransactionNotScreened.of(transaction, "name_not_comparable"))


def compare(work: Work, known: KnownCounterparty, active: ActiveList) -> bool:
    """Compare a counterparty with an active list, and open or change its case. Returns whether its name is similar.

    Each combination of customer, entry of a list and counterparty is one case, on whatever days the transfers are.
    Matches of which a person has decided that they are not the counterparty open no case.
    """
    similar = _index(work, active).matches(
        known.name, min_similarity=active.min_similarity, born_on=known.born_on, country=known.country
    )
    of_list = [Match.model_validate({**dict(match), "list_name": active.name}) for match in similar]
    matches = undecided(work, known.counterparty, of_list)
    if matches and known.first_day:
        opening = ComplianceCaseOpened(
            case_id=f"sanctions:{known.customer_id}:{entry_key(active.name, matches[0].entry)}:{known.counterparty}",
            rule="sanctioned_name",
            legal_source=_OTHER_SOURCES.get(active.name, LEGAL_SOURCES["sanctioned_name"]),
            customer_id=known.customer_id,
            business_day=known.first_day,
            matches=matches,
            list_name=active.name,
            list_version=active.list_version,
            basis=basis(known.sums, known.transactions, count=known.count),
        )
        update_case(work, opening, may_open=True)
    return bool(similar)


def _active_lists(work: Work) -> list[ActiveList]:
    first = work.read(ActiveList, DEFAULT_LIST)
    others = work.read_all(ActiveList, first.others) if first.others else {}
    return [each for each in (first, *others.values()) if each.list_version]


def _index(work: Work, active: ActiveList) -> NameIndex:
    cached = _cached_index.get(active.name)
    if cached is None or cached[0] != active.list_version:
        index = NameIndex(sanctions_list.read(content(work, active.list_version, active.parts)))
        _cached_index[active.name] = cached = (active.list_version, index)
    return cached[1]
