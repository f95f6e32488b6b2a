"""`daybook verify`: compare a view with the store."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from daybook.operate import missing_events
from daybook.operate.cli.operation import progress
from daybook.operate.cli.options import AsJson, Stage
from daybook.operate.cli.printing import answer, fail
from daybook.operate.cli.stage import connected
from daybook.operate.drawing import number_of
from daybook.operate.terminal import daybook
from daybook.operate.views import verify as verifying
from daybook.operate.views.rebuild_command import Since, ViewName
from daybook.operate.views.verify import Difference, Verified
from daybook.operate.views.views import View

EXAMPLES = """
**Examples**

- `daybook verify order-status`
- `daybook verify order-status --json | jq -r .key`
- `daybook verify order-status --reveal --stage prod`
"""

_MAX_LISTED = 50


def verify(
    view: ViewName,
    *,
    stage: Stage = "dev",
    since: Since = None,
    reveal: Annotated[
        bool, typer.Option("--reveal", help="Show actual and expected values, which may be personal data.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Compute a view again from the store with its deployed functions, and compare it with the live view.

    Changes nothing. All rows are held in memory. Events that are dead, discarded, or not processed yet are not part of
    a view; they are counted. New events are processed during the comparison: a row that differs is compared again, and
    a row that keeps changing is listed as busy. With `--json`, prints one object per difference, and a summary.

    Exit code 1: rows differ. `daybook rebuild` corrects them.
    """
    with connected(stage) as connection:
        found = View.named(connection, view)
        start = missing_events.span(connection, since, None, datetime.now(UTC)).since
        with progress("reading the journal") as update:
            verified = verifying.verify(found, start, progress=update)
        number = len(verified.differences)
        for difference in verified.differences if as_json else verified.differences[:_MAX_LISTED]:
            answer(_data(difference, reveal=reveal), _line(difference, reveal=reveal), as_json=as_json)
        data = {"view": view, "rows": verified.rows, "events": verified.events, "differences": number}
        answer(
            {**data, "busy": verified.busy, "left_out": dict(verified.left_out)},
            *_summary(view, verified),
            as_json=as_json,
        )
        if number:
            rebuild = f"to rebuild it: {daybook('rebuild', view, apply=True, stage=stage)}"
            fail(f"{number} rows differ from the store; {rebuild}", exit_code=1)


def _line(difference: Difference, *, reveal: bool) -> str:
    if difference.what != "differs":
        return f"{difference.key}  {difference.what}"
    if not reveal:
        return f"{difference.key}  differs in {', '.join(difference.fields)}"
    fields = (f"{name} is {is_!r}, expected {should!r}" for name, (is_, should) in difference.fields.items())
    return f"{difference.key}  {'; '.join(fields)}"


def _data(difference: Difference, *, reveal: bool) -> dict[str, Any]:
    data: dict[str, Any] = {"key": difference.key, "what": difference.what, "fields": list(difference.fields)}
    values = {name: {"actual": str(a), "expected": str(b)} for name, (a, b) in difference.fields.items()}
    return data | ({"values": values} if reveal else {})


def _summary(view: str, verified: Verified) -> Iterator[str]:
    if len(verified.differences) > _MAX_LISTED:
        yield f"… and {len(verified.differences) - _MAX_LISTED} more (--json lists all)"
    result = "" if verified.differences else ": all match the store"
    yield f"{view}: {verified.rows} rows, from {number_of(verified.events)}, were compared{result}."
    if verified.left_out:
        left = ", ".join(f"{number} {state}" for state, number in sorted(verified.left_out.items()))
        yield f"Not in the view: {left}."
    if verified.busy:
        yield f"{len(verified.busy)} rows kept changing, and could not be compared."
