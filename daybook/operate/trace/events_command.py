"""`daybook events`: list recorded events."""

from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.text import Text

from daybook.application import catalogue
from daybook.operate import moments
from daybook.operate.cli.options import AsJson, Stage
from daybook.operate.cli.printing import answer, note, note_that_the_index_lags
from daybook.operate.cli.stage import connected
from daybook.operate.errors import STREAM_NAME_FORMAT
from daybook.operate.send.entries import closest
from daybook.operate.terminal import plain
from daybook.operate.trace import listing
from daybook.store.journal import JournalEntry

EXAMPLES = """
**Examples**

- `daybook events --since 15m`
- `daybook events --type OrderPlaced --since 2026-03-01T00:00:00Z --until 2026-03-02T00:00:00Z --limit 1000`
- `daybook events --stream order/ --json | jq -r .stream | sort -u`
"""


def events(
    *,
    stage: Stage = "dev",
    event_type: Annotated[
        str | None, typer.Option("--type", help="Only events of this type, for example `OrderPlaced`.")
    ] = None,
    stream: Annotated[
        str | None,
        typer.Option(help="Only events on one stream (`order/1001`), or on all streams of a kind (`order/`)."),
    ] = None,
    since: Annotated[
        str,
        typer.Option(
            metavar="TIME", help="Only events recorded at this time or later: `15m`, `2h`, `3d` ago, or RFC 3339."
        ),
    ] = "24h",
    until: Annotated[
        str | None, typer.Option(metavar="TIME", help="Only events recorded before this time. Default: now.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="Maximum number of events.")] = 50,
    as_json: AsJson = False,
) -> None:
    """List recorded events, the newest first: time of recording, type, stream and sequence, and id.

    Events are read from the journal, which is eventually consistent. With `--stream` and one stream, they are read from
    the store, which is consistent. With `--json`, prints one object per line. Data is not shown; use `daybook trace
    --data`.
    """
    with connected(stage) as connection:
        span = moments.span(since, until, datetime.now(UTC))
        found = listing.events(connection, span, event_type=event_type, stream=stream, limit=limit)
        for line, drawn in zip(found.lines, _rows(found.lines), strict=True):
            answer(asdict(line), drawn, as_json=as_json)
        if not found.lines:
            unknown = closest(event_type) if event_type and event_type not in catalogue() else ""
            period = f"since {since}{f' until {until}' if until else ''}"
            note(f"No events{_on(stream)} {period}{_stream_name_hint(stream)}{unknown}")
        if found.cut:
            note(f"Only the newest {limit} are shown. Raise --limit, or use --until")
        if not found.consistent and datetime.now(UTC) - span.until < moments.INDEX_LAG:
            note_that_the_index_lags(stage)


def _on(stream: str | None) -> str:
    if not stream:
        return ""
    return f" on {stream}" if "/" in stream.rstrip("/") else f" on any stream {stream.rstrip('/')}/…"


def _stream_name_hint(stream: str | None) -> str:
    return f"; {STREAM_NAME_FORMAT}" if stream and "/" not in stream else ""


def _rows(lines: tuple[JournalEntry, ...]) -> Iterator[Text]:
    places = [f"{plain(line.stream)} #{line.sequence}" for line in lines]
    types = max((len(plain(line.type)) for line in lines), default=0)
    widest = max(map(len, places), default=0)
    for line, place in zip(lines, places, strict=True):
        yield Text.assemble(
            (f"{line.recorded_at[:23]}Z", "dim"),
            (f"  {plain(line.type):{types}}", "bold cyan"),
            f"  {place:{widest}}  ",
            (plain(line.id), "dim"),
        )
