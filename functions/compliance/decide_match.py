"""Remember what a person has decided about a counterparty and an entry. The decision that was made last applies."""

from daybook.consumers.reaction import reaction
from daybook.consumers.work import Work
from events.compliance import SanctionsMatchDecided
from functions.compliance.counterparty import Decision, match_key


@reaction(SanctionsMatchDecided)
def handler(decided: SanctionsMatchDecided, work: Work) -> None:
    row = work.read(Decision, match_key(decided.list_name, decided.entry, decided.counterparty))
    if row.decided_at and decided.decided_at <= row.decided_at:
        return
    work.save(
        row.evolve(
            decision=decided.decision,
            reason=decided.reason,
            decided_by=decided.decided_by,
            decided_at=decided.decided_at,
        )
    )
