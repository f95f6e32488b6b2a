"""Bring a loaded sanctions list into force, once all of it is there. The one that was loaded last stays in force."""

from daybook.consumers.failure import NonRetryable
from daybook.consumers.reaction import reaction
from daybook.consumers.work import Work
from events.compliance import SanctionsListLoaded
from functions.compliance import sanctions_list as sanctions
from functions.compliance.sanctions import content
from functions.compliance.sanctions_list import LIST, ListInForce


@reaction(SanctionsListLoaded)
def handler(loaded: SanctionsListLoaded, work: Work) -> None:
    listed = work.read(ListInForce, LIST)
    if listed.loaded_at and loaded.loaded_at <= listed.loaded_at:
        return
    if sanctions.digest(content(work, loaded.list_version, loaded.parts)) != loaded.sha256:
        msg = "the content of the list is not there as it was told of; load it again"
        raise NonRetryable(msg)
    told = {name: getattr(loaded, name) for name in ListInForce.model_fields.keys() - {"name"}}
    work.save(ListInForce(name=LIST, **told))
