"""The steps of a command that changes something:

1. Without `--apply`, `preview` prints what would happen, and how to apply it.
2. With `--apply`, the work runs in a block `progress`, which shows the progress. Ctrl-C ends the command with a
   sentence that says what is done and how to continue. `daybook.operate.operation` records the operation.
3. `report` prints the result.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import typer
from rich.console import RenderableType
from rich.text import Text

from daybook.operate.cli.printing import answer, console, note

INTERRUPTED = 130  # the exit code of shells for a program that was ended by Ctrl-C


def preview(data: Mapping[str, object], *lines: RenderableType, do: str = "To apply it", as_json: bool) -> None:
    """Print what would happen: `lines`, or `data` as JSON."""
    how = f"Nothing was changed. {do}, repeat the command with --apply."
    answer({**data, "applied": False}, *lines, how, as_json=as_json)


def report(data: Mapping[str, object], *lines: RenderableType, as_json: bool) -> None:
    """Print what was done."""
    answer({**data, "applied": True}, *lines, as_json=as_json)


@contextmanager
def progress(
    doing: str,
    interrupted: Callable[[], str] = lambda: "Interrupted; nothing was changed",
    failed: Callable[[], str] | None = None,
) -> Iterator[Callable[[str], None]]:
    """Show the text `doing` on standard error during the block, which may update it. Ctrl-C ends the command with the
    sentence `interrupted`. After an error, the sentence `failed` is printed too.
    """
    try:
        with console(stderr=True).status(Text(f"{doing} …")) as status:
            yield lambda text: status.update(Text(f"{text} …"))
    except KeyboardInterrupt:
        note(interrupted())
        raise typer.Exit(INTERRUPTED) from None
    except Exception:
        if failed:
            note(failed())
        raise
