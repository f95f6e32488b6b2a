"""Tables on the terminal."""

from collections.abc import Iterable, Sequence

from rich.table import Table


def table(
    title: str, columns: Sequence[str], rows: Iterable[Sequence[object]], *, numbers: Sequence[str] = ()
) -> Table:
    """A table of these columns, each row with a cell for each. Columns of `numbers` are set to the right."""
    drawn = Table(title=title, title_justify="left", title_style="bold")
    for name in columns:
        drawn.add_column(name, justify="right" if name in numbers else "left")
    for row in rows:
        drawn.add_row(*map(str, row))
    return drawn
