"""The options that select dead letters: by id, by their properties, or all of them."""

import heapq
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Annotated

import typer

from daybook.contracts.identity import stream_name
from daybook.operate import moments
from daybook.operate.connection import Connection
from daybook.operate.dead_letters import index
from daybook.operate.dead_letters.index import DeadLetter, Selection
from daybook.operate.errors import NotAStream, OperatorError

# typer reads the options of a command from its signature, so each command on dead letters repeats this list.
Ids = Annotated[
    list[str] | None,
    typer.Argument(metavar="[ID]...", help="Event ids, or EVENT@CONSUMER. Or select by options."),
]
ConsumerOption = Annotated[
    str | None, typer.Option("--consumer", help="Only dead letters of this consumer, for example `reserve-stock`.")
]
ErrorOption = Annotated[
    str | None, typer.Option("--error", help="Only dead letters with this error, for example `KeyError`.")
]
TypeOption = Annotated[str | None, typer.Option("--type", help="Only events of this type, for example `OrderPlaced`.")]
StreamOption = Annotated[
    str | None,
    typer.Option("--stream", help="Only events on one stream (`order/1001`), or on all streams of a kind (`order/`)."),
]
SinceOption = Annotated[
    str | None,
    typer.Option(
        "--since", metavar="TIME", help="Only events that died at this time or later: `2h` or `3d` ago, or RFC 3339."
    ),
]
Everything = Annotated[bool, typer.Option("--all", help="All dead letters of the stage.")]


class NotSelected(OperatorError):
    """The command does not select dead letters, or selects them in two ways."""


def selection(
    consumer: str | None, error: str | None, event_type: str | None, stream: str | None, since: str | None
) -> Selection:
    """The selection given by the options. Raises InvalidTime, NotAStream."""
    if stream is not None and "/" not in stream:
        raise NotAStream(stream)
    earliest = moments.moment(since, datetime.now(UTC)) if since else None
    on = stream_name(stream) if stream else None
    return Selection(consumer=consumer, error=error, type=event_type, stream=on, since=earliest)


def selected_dead_letters(
    connection: Connection,
    ids: Sequence[str] | None,
    selected: Selection,
    *,
    everything: bool,
    first: int | None = None,
) -> Iterable[DeadLetter]:
    """The selected dead letters, read lazily; with `first`, only that many, the oldest.

    Raises NotSelected, and NoSuchDeadLetter.
    """
    if ids and not selected.everything:
        raise NotSelected("select dead letters by their ids or by options, not by both")
    if (ids or not selected.everything) and everything:
        raise NotSelected("--all selects every dead letter of the stage; remove it, or remove the other selection")
    if not ids and selected.everything and not everything:
        raise NotSelected(
            "select dead letters: by id, by --consumer, --error, --type, --stream or --since, or with --all"
        )
    found: Iterable[DeadLetter] = index.dead_letters(connection, selected)
    if ids:
        found = [index.named(connection, each) for each in dict.fromkeys(ids)]
    return (
        found
        if first is None
        else heapq.nsmallest(first, found, key=lambda dead_letter: (dead_letter.at, dead_letter.id))
    )
