"""`daybook shards`: the number of the journal's shards."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from daybook.contracts import clock
from daybook.operate.cli.operation import preview, report
from daybook.operate.cli.options import Apply, AsJson, Reason, Stage
from daybook.operate.cli.printing import answer
from daybook.operate.cli.stage import connected
from daybook.operate.connection import Connection
from daybook.operate.operation import check_reason
from daybook.operate.shards.shards import Announcement

EXAMPLES = """
**Examples**

- `daybook shards`
- `daybook shards 64 --reason "the sale begins at noon" --apply --stage prod`
"""


def shards(
    number: Annotated[int | None, typer.Argument(metavar="[NUMBER]", help="The new number: a multiple of 8.")] = None,
    *,
    reason: Reason = "",
    stage: Stage = "dev",
    apply: Apply = False,
    as_json: AsJson = False,
) -> None:
    """Show the number of the journal's shards, or change it from an hour on that begins in one to two hours.

    Each shard accepts 1,000 events a second. If they are too few, DynamoDB throttles the event store. If they are more
    than needed, commands that read the journal take longer: they make a query for each shard of each hour.
    """
    with connected(stage) as connection:
        now = datetime.now(UTC)
        if number is None:
            _show(connection, now, as_json=as_json)
            return
        check_reason(reason, required=False)
        announcement = Announcement(connection, number, now)
        hour = clock.timestamp(announcement.hour)
        about = {"shards": number, "before": announcement.before, "hour": hour}
        change = f"{number} shards instead of {announcement.before} from {hour[:16]}Z on"
        if number == announcement.before:
            answer(
                {**about, "applied": False},
                f"The journal has {number} shards. There is nothing to do.",
                as_json=as_json,
            )
        elif not apply:
            preview(about, f"Each hour of the journal would have {change}.", as_json=as_json)
        else:
            operation = announcement.commit(reason)
            report(about | {"operation": operation}, f"Each hour of the journal has {change}.", as_json=as_json)


def _show(connection: Connection, now: datetime, *, as_json: bool) -> None:
    announced, hour = connection.journal_shards.announced(), clock.timestamp(now)
    current = connection.journal_shards.valid(hour, announced)
    later = {since: shards for since, shards in sorted(announced.items()) if since > hour}
    lines = [f"From {since}:00Z on it has {shards}." for since, shards in later.items()]
    answer({"shards": current, "announced": later}, f"The journal has {current} shards.", *lines, as_json=as_json)
