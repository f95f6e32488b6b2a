"""`daybook publish`: publish the events of a period again."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from daybook.contracts import clock
from daybook.operate import missing_events
from daybook.operate.cli.operation import preview, progress, report
from daybook.operate.cli.options import Apply, AsJson, Reason, Stage, Until
from daybook.operate.cli.stage import connected
from daybook.operate.drawing import number_of
from daybook.operate.moments import InvalidTime
from daybook.operate.operation import check_reason
from daybook.operate.publish.publish import NotPublished, Publication
from daybook.operate.terminal import daybook
from daybook.store.journal import Span

EXAMPLES = """
**Examples**

- `daybook publish --since 2d --until 1h`
- `daybook publish --since 2026-03-01T00:00:00Z --until 2026-03-02T00:00:00Z --apply --reason "publish was stopped"`
"""


def publish(
    *,
    since: Annotated[
        str, typer.Option(metavar="TIME", help="Events recorded at this time or later: `2d` ago, or RFC 3339.")
    ],
    until: Until = None,
    reason: Reason = "",
    stage: Stage = "dev",
    apply: Apply = False,
    as_json: AsJson = False,
) -> None:
    """Put all events that were recorded in a period on the event bus again.

    Use it after an outage of more than 24 hours: the function publish reads the table's change stream, which keeps
    changes for 24 hours. This command reads the journal. The events go to all consumers; a consumer does not process an
    event again. To deliver missing events to one consumer, `daybook replay` is cheaper.

    Exit codes: 0 success; 1 republish has failed; 2 the command failed; 130 interrupted by Ctrl-C.
    """
    with connected(stage) as connection:
        check_reason(reason, required=False)
        now = datetime.now(UTC)
        span = missing_events.span(connection, since, until, now)
        if until is None:
            span = Span(span.since, min(span.until, now))  # a period that ends in the past
        if span.since >= span.until or span.until > now:
            raise InvalidTime(f"--until {until or 'now'} must be after --since, and not in the future")
        publication = Publication(connection, span)
        about: dict[str, object] = {"since": clock.timestamp(span.since), "until": clock.timestamp(span.until)}
        recorded = f"recorded from {clock.timestamp(span.since)[:19]}Z to {clock.timestamp(span.until)[:19]}Z"
        if not apply:
            number = 0
            with progress("reading the journal") as update:
                for more in publication.count():
                    number += more
                    update(number_of(number))
            preview(
                about | {"recorded": number},
                f"{number_of(number)} {recorded}.",
                "Would put all of them on the event bus again, for all subscribed consumers. A consumer does not "
                "process "
                "an event twice, but each delivery has a cost.",
                do="To publish them",
                as_json=as_json,
            )
            return

        def next_command() -> str:
            options: dict[str, str | bool] = {"since": publication.following or "", "until": str(about["until"])}
            return f"To continue: {daybook('publish', **options, apply=True, stage=stage)}"

        def interrupted() -> str:
            publication.record(reason)
            return f"Interrupted; {number_of(publication.published)} published. {next_command()}"

        try:
            with progress("publishing", interrupted, next_command) as update:
                for _ in publication.run():
                    update(f"{number_of(publication.published)} published, up to {publication.following}")
        except NotPublished:
            publication.record(reason)
            raise
        operation = publication.record(reason)
        published = f"Published again: {number_of(publication.published)}, {recorded}."
        report(about | {"published": publication.published, "operation": operation}, published, as_json=as_json)
