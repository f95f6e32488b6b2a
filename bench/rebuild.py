"""How many events a second a view is made anew from, and held against."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from bench import history
from bench.flow import NeverQuiet
from bench.replay import paused
from daybook.local.system import STAGE, up
from daybook.operate.connection import Connection
from daybook.operate.views.rebuild import rebuild
from daybook.operate.views.verify import verify
from daybook.operate.views.views import View

if TYPE_CHECKING:
    from bench.aims import Aim
    from daybook.local.progress import Progress

_VIEW, _KEEPER = "account-days", "tally-transaction"


def measure(progress: Progress, *, events: int) -> list[Aim]:
    """Write a past of transactions that a view's function seems to have handled, and make the view anew from it.

    What the rebuild waits for, that invocations before it end, is left out. Raises NeverQuiet if the view that was made
    is not what the past says.
    """
    with up(progress) as cloud:
        connection = Connection(STAGE, cloud.session(), endpoint=cloud.endpoint)
        with paused(connection, "publish"):
            with progress.step(f"writing {events} transactions"):
                puts = history.transactions(connection.names, events, committed_by=[_KEEPER])
                history.write(connection.dynamodb, puts)
            view, since = View.named(connection, _VIEW), datetime.now(UTC) - timedelta(hours=1)
            with progress.step("warming up"):  # the function's processes start
                verify(view, since, pause=lambda _: None)
            with progress.step(f"making {_VIEW} anew"):
                began = time.perf_counter()
                # Nothing else is handled here, so that there is nothing to wait for.
                done = rebuild(view, since, pause=lambda _: None)
                rebuilt = time.perf_counter() - began
            with progress.step("holding it against the store"):
                began = time.perf_counter()
                found = verify(view, since, pause=lambda _: None)
                verified = time.perf_counter() - began
    if done.events != events or found.differences or found.busy:
        msg = f"{_VIEW} was made from {done.events} of {events} events, and {len(found.differences)} rows differ"
        raise NeverQuiet(msg)
    progress.say(f"  rebuild  {events / rebuilt:7.1f} events a second, into {found.rows} rows")
    progress.say(f"  verify   {events / verified:7.1f} events a second")
    return []
