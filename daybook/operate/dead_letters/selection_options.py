"""Options that say which dead letters are meant, the same for all commands on them."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from daybook.operate import moments
from daybook.operate.dead_letters.index import Selection
from daybook.operate.errors import NotAStream

ConsumerOption = Annotated[str | None, typer.Option("--consumer", help="Only of this consumer: `reserve-stock`.")]
ErrorOption = Annotated[str | None, typer.Option("--error", help="Only of this kind of failure: `KeyError`.")]
TypeOption = Annotated[str | None, typer.Option("--type", help="Only of this type of event: `OrderPlaced`.")]
StreamOption = Annotated[
    str | None,
    typer.Option("--stream", help="Only on one stream (`order/1001`), or on all streams of a kind (`order/`)."),
]
SinceOption = Annotated[
    str | None, typer.Option("--since", metavar="TIME", help="Only what died since: `2h`, `3d` ago, or RFC 3339.")
]


def selection(
    consumer: str | None, error: str | None, event_type: str | None, stream: str | None, since: str | None
) -> Selection:
    """The selection that the options make. Raises BadMoment, NotAStream."""
    if stream is not None and "/" not in stream:
        raise NotAStream(stream)
    begin = moments.moment(since, datetime.now(UTC)) if since else None
    return Selection(consumer=consumer, error=error, type=event_type, stream=stream, since=begin)
