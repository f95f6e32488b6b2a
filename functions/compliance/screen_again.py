"""Compare the counterparties of one block with an active list, then schedule the block before it.

A new list starts one such sequence for each shard. So each delivery is small, however many counterparties there are.
"""

from daybook.consumers.reaction import reaction
from daybook.consumers.work import Work
from events.compliance import ComplianceCaseChanged, ComplianceCaseOpened, ScreeningDue
from functions.compliance.counterparty import SHARDS, Block, KnownCounterparty, block_key
from functions.compliance.sanctions import compare
from functions.compliance.sanctions_list import ActiveList


@reaction(ScreeningDue, emits=(ComplianceCaseOpened, ComplianceCaseChanged, ScreeningDue))
def handler(due: ScreeningDue, work: Work) -> None:
    shard = SHARDS.all_ids("shard")[due.shard]
    number = work.read(Block, shard).latest if due.block is None else due.block
    block = work.read(Block, block_key(shard, number))
    if block.last_day is None or (due.since and block.last_day < due.since):
        return
    active = work.read(ActiveList, due.list_name)
    for known in work.read_all(KnownCounterparty, block.counterparties).values():
        if known.last_day and (due.since is None or known.last_day >= due.since):
            compare(work, known, active)
    if number:
        work.schedule(ScreeningDue.model_validate({**dict(due), "block": number - 1}), work.now)
