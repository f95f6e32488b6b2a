"""Which dead letters a command is about: those that are named, those of a kind, or all if the operator says so."""

import heapq
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Annotated

import typer

from daybook.operate import moments
from daybook.operate.connection import Connection
from daybook.operate.dead_letters import index
from daybook.operate.dead_letters.index import DeadLetter, Selection
from daybook.operate.errors import NotAStream, OperatorError

# typer reads the options of a command from its signature, so that each command on dead letters names them all.
Ids = Annotated[
    list[str] | None,
    typer.Argument(metavar="[ID]...", help="Dead letters by event id or EVENT@CONSUMER; or select by the options."),
]
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
Everything = Annotated[bool, typer.Option("--all", help="Every dead letter of the stage.")]


class NotSelected(OperatorError):
    """The command does not say, or says twice, which dead letters it is about."""


def selection(
    consumer: str | None, error: str | None, event_type: str | None, stream: str | None, since: str | None
) -> Selection:
    """The selection that the options make. Raises BadMoment, NotAStream."""
    if stream is not None and "/" not in stream:
        raise NotAStream(stream)
    begin = moments.moment(since, datetime.now(UTC)) if since else None
    return Selection(consumer=consumer, error=error, type=event_type, stream=stream, since=begin)


def chosen(
    connection: Connection,
    ids: Sequence[str] | None,
    selected: Selection,
    *,
    everything: bool,
    first: int | None = None,
) -> Iterable[DeadLetter]:
    """The selected dead letters, read as they are asked for; with `first` only that many, the oldest.

    Raises NotSelected, and NoSuchDeadLetter.
    """
    if ids and not selected.everything:
        raise NotSelected("name dead letters by their ids, or select them by kind, not both")
    if (ids or not selected.everything) and everything:
        raise NotSelected("--all means every dead letter of the stage; leave it out, or name no others")
    if not ids and selected.everything and not everything:
        raise NotSelected(
            "say which dead letters: their ids, their kind (--consumer, --error, --type, --stream, --since), or --all"
        )
    found: Iterable[DeadLetter] = index.dead_letters(connection, selected)
    if ids:
        found = [index.named(connection, each) for each in dict.fromkeys(ids)]
    return (
        found
        if first is None
        else heapq.nsmallest(first, found, key=lambda dead_letter: (dead_letter.at, dead_letter.id))
    )
