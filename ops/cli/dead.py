"""`daybook dead`: what could not be processed, and what to do about it."""

import typer

from ops.cli import dead_edit, dead_resolve

app = typer.Typer(no_args_is_help=True, rich_markup_mode="markdown")


@app.callback()
def dead() -> None:
    """Decide about what could not be processed."""


app.command(epilog=dead_edit.EXAMPLES)(dead_edit.edit)
app.command(epilog=dead_resolve.EXAMPLES)(dead_resolve.resolve)
