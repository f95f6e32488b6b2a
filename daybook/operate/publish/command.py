"""`daybook publish`: put a span of the past on the event bus once more."""

import json
from datetime import UTC, datetime
from typing import Annotated

import typer
from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console

from daybook.contracts import clock
from daybook.operate import missing_events as gap
from daybook.operate.cli.interruption import INTERRUPTED
from daybook.operate.cli.options import Apply, AsJson, Reason, Stage
from daybook.operate.cli.printing import note, number_of_events
from daybook.operate.cli.reaching import connected
from daybook.operate.moments import BadMoment
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
    until: Annotated[
        str | None, typer.Option(metavar="TIME", help="Recorded before then; until 5 minutes ago unless given.")
    ] = None,
    reason: Reason = "",
    stage: Stage = "dev",
    apply: Apply = False,
    as_json: AsJson = False,
) -> None:
    """Put all that was recorded in a span of time on the event bus once more.

    For the day after an outage. Publish reads the store's stream, and DynamoDB keeps that for 24 hours; what was not
    published by then is taken from the journal. It goes to all consumers: what they have done, they do not do again.
    To give one consumer what it lacks, `daybook replay` is the cheaper way.

    Exit codes: 0 done; 1 publish has failed on the way; 2 the command could not do its work; 130 stopped by Ctrl-C.
    """
    with connected(stage) as connection:
        now = datetime.now(UTC)
        span = gap.span(connection, since, until, now)
        if until is None:
            span = Span(span.since, min(span.until, now))  # publish takes only what is past
        if span.since >= span.until or span.until > now:
            msg = f"publish takes a span of the past; --until {until or 'now'} is not after --since, or lies ahead"
            raise BadMoment(msg)
        publication = Publication(connection, span)
        if not apply:
            _tell(publication, span, as_json=as_json)
            return
        try:
            with Console(stderr=True).status("publishing …") as status:
                for progress in publication.run():
                    status.update(f"{number_of_events(progress.published)} published, up to {progress.following} …")
        except KeyboardInterrupt:
            publication.record(reason)
            note(f"Stopped; {number_of_events(publication.published)} published")
            note(_how_to_go_on(publication, span, stage))
            raise typer.Exit(INTERRUPTED) from None
        except NotPublished:
            publication.record(reason)
            note(_how_to_go_on(publication, span, stage))
            raise
        except (BotoCoreError, ClientError):
            note(_how_to_go_on(publication, span, stage))
            raise
        operation = publication.record(reason)
        number = publication.published
        if as_json:
            typer.echo(json.dumps({**_about(span), "published": number, "applied": True, "operation": operation}))
        else:
            typer.echo(f"Published once more: {number_of_events(number)}, recorded {_spelled(span)}.")


def _tell(publication: Publication, span: Span, *, as_json: bool) -> None:
    recorded = 0
    with Console(stderr=True).status("reading the journal …") as status:
        for more in publication.count():
            recorded += more
            status.update(f"{number_of_events(recorded)} …")
    if as_json:
        typer.echo(json.dumps({**_about(span), "recorded": recorded, "applied": False}))
        return
    typer.echo(f"{number_of_events(recorded)} recorded {_spelled(span)}.")
    typer.echo(
        "Publish would put all of them on the event bus once more. They would go to every consumer that listens; what "
        "was done is not done again, and costs a delivery each."
    )
    typer.echo("Nothing was changed. To publish them, repeat the command with --apply.")


def _how_to_go_on(publication: Publication, span: Span, stage: str) -> str:
    return (
        f"To go on: daybook publish --since {publication.following} --until {clock.timestamp(span.until)} --apply "
        f"--stage {stage}"
    )


def _about(span: Span) -> dict[str, object]:
    return {"since": clock.timestamp(span.since), "until": clock.timestamp(span.until)}


def _spelled(span: Span) -> str:
    return f"from {clock.timestamp(span.since)[:19]}Z to {clock.timestamp(span.until)[:19]}Z"
