"""`daybook publish`: put a span of the past on the event bus again."""

from datetime import UTC, datetime
from typing import Annotated

import typer
from botocore.exceptions import BotoCoreError, ClientError

from daybook.contracts import clock
from daybook.operate import missing_events
from daybook.operate.cli.operation import preview, progress, report
from daybook.operate.cli.options import Apply, AsJson, Reason, Stage, Until
from daybook.operate.cli.printing import note
from daybook.operate.cli.reaching import connected
from daybook.operate.drawing import number_of
from daybook.operate.moments import BadMoment
from daybook.operate.operation import because
from daybook.operate.publish.publish import NotPublished, Publication
from daybook.store.journal import Span

EXAMPLES = """
**Examples**

- `daybook publish --since 2d --until 1h`
- `daybook publish --since 2026-03-01T00:00:00Z --until 2026-03-02T00:00:00Z --apply --reason "publish was stopped"`
"""


def publish(
    *,
    since: Annotated[str, typer.Option(metavar="TIME", help="Recorded from then on: `2d` ago, or RFC 3339.")],
    until: Until = None,
    reason: Reason = "",
    stage: Stage = "dev",
    apply: Apply = False,
    as_json: AsJson = False,
) -> None:
    """Put all events that were recorded in a span of time on the event bus again.

    For the day after an outage. Publish reads the store's DynamoDB stream, which keeps events for 24 hours; events that
    were not published by then are taken from the journal. They go to all consumers: a consumer does not process again
    what it has processed. To give one consumer its missing events, `daybook replay` is cheaper.

    Exit codes: 0 done; 1 republish has failed on the way; 2 the command could not do its work; 130 stopped by Ctrl-C.
    """
    with connected(stage) as connection:
        because(reason, required=False)
        now = datetime.now(UTC)
        span = missing_events.span(connection, since, until, now)
        if until is None:
            span = Span(span.since, min(span.until, now))  # publish takes only what is past
        if span.since >= span.until or span.until > now:
            msg = f"publish takes a span of the past; --until {until or 'now'} is not after --since, or lies ahead"
            raise BadMoment(msg)
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
                "Publish would put all of them on the event bus again. They would go to every consumer that listens; "
                "what a consumer has processed is not processed again, and costs a delivery each.",
                do="To publish them",
                as_json=as_json,
            )
            return

        def how_to_go_on() -> str:
            options = f"--since {publication.following} --until {about['until']} --apply --stage {stage}"
            return f"To go on: daybook publish {options}"

        def interrupted() -> str:
            publication.record(reason)
            return f"Interrupted; {number_of(publication.published)} published. {how_to_go_on()}"

        try:
            with progress("publishing", interrupted) as update:
                for _ in publication.run():
                    update(f"{number_of(publication.published)} published, up to {publication.following}")
        except NotPublished:
            publication.record(reason)
            note(how_to_go_on())
            raise
        except (BotoCoreError, ClientError):
            note(how_to_go_on())
            raise
        operation = publication.record(reason)
        published = f"Published again: {number_of(publication.published)}, {recorded}."
        report(about | {"published": publication.published, "operation": operation}, published, as_json=as_json)
