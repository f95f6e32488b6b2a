"""The sanctions list in force, and transfers with somebody whose name stands in it."""

from daybook.consumers.work import Work
from events.accounts import Counterparty, Transaction
from events.compliance import ComplianceCaseOpened, TransactionNotScreened
from functions.compliance import sanctions_list as sanctions
from functions.compliance.case import LEGAL_SOURCES, Case, basis, keep_case
from functions.compliance.cash import business_day
from functions.compliance.names import NameIndex
from functions.compliance.sanctions_list import LIST, ListInForce, ListPart

# The index of the version that this process has looked at last. A version's content never changes.
_kept: dict[str, NameIndex] = {}


def content(work: Work, version: str, parts: int) -> list[str]:
    """The content of a version of the list, part by part; empty parts where there is nothing."""
    rows = work.read_all(ListPart, sanctions.keys(version, parts))
    return [row.content for row in rows.values()]


def screen(work: Work, transaction: Transaction, counterparty: Counterparty) -> None:
    """Hold the counterparty's name against the list. A new list counts from the first transaction that finds it in
    force. There is one case for the dealings of a customer with an entry on a business day.
    """
    listed = work.read(ListInForce, LIST)
    if not listed.list_version:
        work.emit(
            TransactionNotScreened(
                authorisation_id=transaction.authorisation_id, customer_id=transaction.customer_id, because="no_list"
            )
        )
        return
    matches = _index(work, listed).like(counterparty.name, least=listed.least_likeness)
    if not matches:
        return
    day = business_day(transaction)
    case_id = f"sanctions:{transaction.customer_id}:{matches[0].entry}:{day}"
    before = work.read(Case, case_id).basis or basis({}, (), count=0)
    sums = {each.currency: each.amount for each in before.sums}
    sums[transaction.currency] = sums.get(transaction.currency, 0) + transaction.amount
    ids = (*before.transactions, transaction.authorisation_id)
    opening = ComplianceCaseOpened(
        case_id=case_id,
        rule="sanctioned_name",
        legal_source=LEGAL_SOURCES["sanctioned_name"],
        customer_id=transaction.customer_id,
        business_day=day,
        matches=matches,
        list_version=listed.list_version,
        basis=basis(sums, ids, count=before.count + 1),
    )
    keep_case(work, opening, grave=True)


def _index(work: Work, listed: ListInForce) -> NameIndex:
    if listed.list_version not in _kept:
        made = NameIndex(sanctions.read(content(work, listed.list_version, listed.parts)))
        _kept.clear()
        _kept[listed.list_version] = made
    return _kept[listed.list_version]
