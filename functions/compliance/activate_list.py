"""Activate a loaded sanctions list, if its content is complete. Of each list, the version loaded last is active.

Then known counterparties are compared with it: all of them with the first version, else those of the last days.
"""

from datetime import timedelta
from typing import Final

from daybook.consumers.failure import NonRetryable
from daybook.consumers.reaction import reaction
from daybook.consumers.work import Work
from events.compliance import DEFAULT_LIST, SanctionsListLoaded, ScreeningDue
from functions.compliance import sanctions_list
from functions.compliance.counterparty import SHARDS
from functions.compliance.sanctions import content
from functions.compliance.sanctions_list import ActiveList

_OWN: Final = {"name", "others"}  # fields of the row that the event does not have


@reaction(SanctionsListLoaded, emits=(ScreeningDue,))
def handler(loaded: SanctionsListLoaded, work: Work) -> None:
    active = work.read(ActiveList, loaded.list_name)
    if active.loaded_at and loaded.loaded_at <= active.loaded_at:
        return
    if sanctions_list.digest(content(work, loaded.list_version, loaded.parts)) != loaded.sha256:
        msg = "the stored content of the list does not match its hash; load the list again"
        raise NonRetryable(msg)
    work.save(active.evolve(**{name: getattr(loaded, name) for name in ActiveList.model_fields.keys() - _OWN}))
    first = work.read(ActiveList, DEFAULT_LIST)
    if loaded.list_name not in (DEFAULT_LIST, *first.others):
        work.save(first.evolve(others=(*first.others, loaded.list_name)))
    since = (loaded.loaded_at - timedelta(days=loaded.screen_again_days)).date() if active.list_version else None
    for shard in range(SHARDS.number):
        due = ScreeningDue(
            screening=f"{loaded.list_version}:{shard}", list_name=loaded.list_name, shard=shard, since=since
        )
        work.schedule(due, work.now)
