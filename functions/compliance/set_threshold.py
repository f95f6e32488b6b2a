"""Store a threshold. It applies to transactions that are screened from now on, not to earlier ones."""

from daybook.consumers.reaction import reaction
from daybook.consumers.work import Work
from events.compliance import ReportingThresholdSet, Threshold
from functions.compliance.thresholds import Revised, ThresholdRow


@reaction(ReportingThresholdSet)
def handler(new: ReportingThresholdSet, work: Work) -> None:
    row = work.read(ThresholdRow, new.currency)
    if new.valid_from in row.since and new.revision <= row.since[new.valid_from].revision:
        return
    threshold = Threshold.model_validate({name: getattr(new, name) for name in Threshold.model_fields})
    revised = Revised(threshold=threshold, revision=new.revision)
    work.save(row.evolve(since={**row.since, new.valid_from: revised}))
