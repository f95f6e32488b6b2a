"""Output for the terminal: tables, and a trace as a tree of events, consumers, and emitted events."""

from collections.abc import Iterable, Sequence
from datetime import timedelta

from rich.console import Console
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from daybook.contracts.values import RECORDED_MINOR_UNIT_DIGITS
from daybook.operate.masking import shown
from daybook.operate.terminal import json_text, plain
from daybook.operate.trace.trace import UNKNOWN, WAITING, Delivery, Step, Trace

_STYLES = {"committed": "green", "skipped": "green", WAITING: "yellow", UNKNOWN: "dim"}
_OTHER = "bold red"

# Unicode blocks that fill 0 to 7 eighths of a cell.
_EIGHTHS = ("", "▏", "▎", "▍", "▌", "▋", "▊", "▉")
_FULL = "█"


def draw(trace: Trace, console: Console, *, with_data: bool = False) -> None:
    """Print the trace and a summary line. `with_data` also prints the data of events, with personal fields hidden."""
    tree = Tree(_heading(trace), guide_style="dim")
    drawn: set[str] = set()
    waiting = [(step, tree) for step in reversed(trace.roots)]
    while waiting:
        step, above = waiting.pop()
        if step.event.metadata.id in drawn:
            continue
        drawn.add(step.event.metadata.id)
        branch = above.add(_event(trace, step))
        if with_data:
            branch.add(Text(json_text(shown(step.event)), style="dim"))
        emitted: list[tuple[Step, Tree]] = []
        for delivery in step.deliveries:
            under = branch.add(_delivery(trace, step, delivery))
            for event_id in delivery.emitted:
                if found := trace.step(event_id):
                    emitted.append((found, under))
                else:
                    under.add(Text(f"{plain(event_id)}: not in the index yet", style="dim"))
        waiting += reversed(emitted)
    console.print(tree)
    console.print(_summary(trace))


def table(
    title: str, columns: Sequence[str], rows: Iterable[Sequence[object]], *, numbers: Sequence[str] = ()
) -> Table:
    """A table with these columns and rows. The columns in `numbers` are right-aligned."""
    drawn = Table(title=Text(plain(title)), title_justify="left", title_style="bold")
    for name in columns:
        drawn.add_column(name, justify="right" if name in numbers else "left")
    for row in rows:
        drawn.add_row(*(Text(plain(str(cell))) for cell in row))  # not parsed as markup
    return drawn


def number_of(number: int, noun: str = "event") -> str:
    """`1 event`, `2 events`, `2 deliveries`."""
    if number == 1:
        return f"1 {noun}"
    return f"{number} {noun[:-1]}ies" if noun.endswith("y") else f"{number} {noun}s"


def bar(number: int, most: int, *, width: int) -> str:
    """A bar with a length proportional to the number; `most` fills the width. Every positive number is visible."""
    eighths = max(1, round(8 * width * number / most)) if number > 0 else 0
    return _FULL * (eighths // 8) + _EIGHTHS[eighths % 8]


def amount(minor_units: int, currency: str) -> str:
    """An amount with the digits of its currency: `42.50`, and `1250` for 1250 yen. Exact for any size."""
    digits = RECORDED_MINOR_UNIT_DIGITS[currency]
    whole, part = divmod(abs(minor_units), 10**digits)
    sign = "-" if minor_units < 0 else ""
    return f"{sign}{whole}.{part:0{digits}d}" if digits else f"{sign}{whole}"


def since(duration: timedelta) -> str:
    """A duration in short form: `+850 ms`, `+12.3 s`, `+5 min`, `+3 h`, `+2 days`."""
    milliseconds = round(duration / timedelta(milliseconds=1))
    for unit, size, limit in (("ms", 1, 10_000), ("s", 1_000, 600_000), ("min", 60_000, 36_000_000)):
        if abs(milliseconds) < limit:
            number = f"{milliseconds / size:+.1f}" if unit == "s" else f"{milliseconds / size:+.0f}"
            return f"{number} {unit}"
    hours = milliseconds / 3_600_000
    return f"{hours:+.0f} h" if abs(hours) < 48 else f"{hours / 24:+.0f} days"  # noqa: PLR2004 - two days


def _heading(trace: Trace) -> Text:
    heading = Text(plain(trace.what), style="bold")
    match trace.correlations:
        case (only,) if only != trace.what:
            heading.append(f"  correlation {plain(only)}", style="not bold dim")
        case (_, _, *_):
            heading.append(f"  {len(trace.correlations)} correlations", style="not bold dim")
    return heading


def _event(trace: Trace, step: Step) -> Text:
    m = step.event.metadata
    return Text.assemble(
        (plain(m.type), "bold cyan"),
        f"  {plain(m.stream)} #{m.sequence}",
        (f"  {since(trace.since_beginning(step.event, m.recorded_at))}", "dim"),
        (f"  from {plain(m.producer)}", "dim"),
    )


def _delivery(trace: Trace, step: Step, delivery: Delivery) -> Text:
    style = _STYLES.get(delivery.state, _OTHER)
    text = "no record; the event is too old to be in a queue" if delivery.state == UNKNOWN else delivery.state
    line = Text.assemble(plain(delivery.consumer), "  ", (plain(text), style))
    if delivery.at:
        line.append(f"  {since(trace.since_beginning(step.event, delivery.at))}", style="dim")
    return line


def _summary(trace: Trace) -> Text:
    counts = f"{number_of(len(trace.steps), 'event')}, {number_of(trace.deliveries, 'delivery')}"
    summary = Text.assemble(counts, ", ", (f"waiting {trace.waiting}", "yellow" if trace.waiting else ""))
    if trace.cut:
        summary.append(" (more events exist; raise --limit)", style="yellow")
    return summary
