"""What all commands share that change something. Each runs in the same order:

1. Without `--apply`, `preview` says what would happen, and how to do it.
2. With `--apply`, the work is done in a block `progress`, which shows how far it is. Ctrl-C ends the command with a
   sentence that says what is done and how to go on. The operation is recorded by `daybook.operate.operation`.
3. `report` says what was done.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import typer
from rich.console import Console, RenderableType

from daybook.operate.cli.printing import answer, note

INTERRUPTED = 130  # the exit code that shells give a program that Ctrl-C has ended


def preview(data: Mapping[str, object], *lines: RenderableType, do: str = "To do it", as_json: bool) -> None:
    """Say what would happen: in `lines`, or as `data` for programs."""
    how = f"Nothing was changed. {do}, repeat the command with --apply."
    answer({**data, "applied": False}, *lines, how, as_json=as_json)


def report(data: Mapping[str, object], *lines: RenderableType, as_json: bool) -> None:
    """Say what was done."""
    answer({**data, "applied": True}, *lines, as_json=as_json)


@contextmanager
def progress(
    doing: str, interrupted: Callable[[], str] = lambda: "Interrupted; nothing was changed"
) -> Iterator[Callable[[str], None]]:
    """In the block, standard error shows what is being done; the block may update that. Ctrl-C ends the command with
    the sentence `interrupted`.
    """
    try:
        with Console(stderr=True).status(f"{doing} …") as status:
            yield lambda text: status.update(f"{text} …")
    except KeyboardInterrupt:
        note(interrupted())
        raise typer.Exit(INTERRUPTED) from None
