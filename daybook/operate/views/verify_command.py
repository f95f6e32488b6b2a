"""`daybook verify`: compare a view with the store."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from daybook.operate import missing_events
from daybook.operate.cli.operation import progress
from daybook.operate.cli.options import AsJson, Stage
from daybook.operate.cli.printing import answer, fail
from daybook.operate.cli.reaching import connected
from daybook.operate.drawing import number_of
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

_MOST_LISTED = 50


def verify(
    view: ViewName,
    *,
    stage: Stage = "dev",
    since: Since = None,
    reveal: Annotated[
        bool, typer.Option("--reveal", help="Show what is there and what should be; it may be about people.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Compute a view again from the store, as its deployed functions map events, and compare it with the live one.

    Changes nothing. All rows are held in memory. Events that are dead, discarded, or not processed yet are not part of
    a view, and are counted. Events keep arriving meanwhile: a row that differs is compared again, and one that keeps
    changing is listed as busy. With `--json`, one object for each difference, then one for the whole.

    Exit code 1: something differs; `daybook rebuild` corrects it.
    """
    with connected(stage) as connection:
        found = View.named(connection, view)
        start = missing_events.span(connection, since, None, datetime.now(UTC)).since
        with progress("reading the journal") as update:
            verified = verifying.verify(found, start, progress=update)
        number = len(verified.differences)
        for difference in verified.differences if as_json else verified.differences[:_MOST_LISTED]:
            answer(_data(difference, reveal=reveal), _line(difference, reveal=reveal), as_json=as_json)
        data = {"view": view, "rows": verified.rows, "events": verified.events, "differences": number}
        answer(
            {**data, "busy": verified.busy, "left_out": dict(verified.left_out)},
            *_summary(view, verified),
            as_json=as_json,
        )
        if number:
            mend = f"to rebuild it: daybook rebuild {view} --apply --stage {stage}"
            fail(f"{number} rows differ from what the store says; {mend}", exit_code=1)


def _line(difference: Difference, *, reveal: bool) -> str:
    if difference.what != "differs":
        return f"{difference.key}  {difference.what}"
    if not reveal:
        return f"{difference.key}  differs in {', '.join(difference.fields)}"
    fields = (f"{name} is {is_!r} and should be {should!r}" for name, (is_, should) in difference.fields.items())
    return f"{difference.key}  {'; '.join(fields)}"


def _data(difference: Difference, *, reveal: bool) -> dict[str, Any]:
    data: dict[str, Any] = {"key": difference.key, "what": difference.what, "fields": list(difference.fields)}
    values = {name: {"is": str(a), "should_be": str(b)} for name, (a, b) in difference.fields.items()}
    return data | ({"values": values} if reveal else {})


def _summary(view: str, verified: Verified) -> Iterator[str]:
    if len(verified.differences) > _MOST_LISTED:
        yield f"… and {len(verified.differences) - _MOST_LISTED} more (--json lists all)"
    well = "" if verified.differences else ": each is as the store says"
    yield f"{view}: {verified.rows} rows, from {number_of(verified.events)}, were compared{well}."
    if verified.left_out:
        left = ", ".join(f"{number} {state}" for state, number in sorted(verified.left_out.items()))
        yield f"Not in the view: {left}."
    if verified.busy:
        yield f"{len(verified.busy)} rows kept changing, and were not compared to the end."
