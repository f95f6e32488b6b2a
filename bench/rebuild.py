"""How many events per second a view is rebuilt from, and verified with."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from bench import history
from bench.flow import NotIdle
from bench.replay import paused
from daybook.local.system import STAGE, up
from daybook.operate.connection import Connection
from daybook.operate.views.rebuild import rebuild
from daybook.operate.views.verify import verify
from daybook.operate.views.views import View

if TYPE_CHECKING:
    from bench.targets import Target
    from daybook.local.progress import Progress

_VIEW, _KEEPER = "account-days", "tally-transaction"


def measure(progress: Progress, *, events: int) -> list[Target]:
    """Write a history of transactions that the view's function seems to have processed, and rebuild the view from it.

    The time in which a rebuild waits for earlier invocations is not included. Raises NotIdle if the rebuilt view is
    wrong.
    """
    with up(progress) as cloud:
        connection = Connection(STAGE, cloud.session(), endpoint=cloud.endpoint)
        with paused(connection, "publish"):
            with progress.step(f"writing {events} transactions"):
                puts = history.transactions(connection, events, committed_by=[_KEEPER])
                history.write(connection.dynamodb, puts)
            view, since = View.named(connection, _VIEW), datetime.now(UTC) - timedelta(hours=1)
            with progress.step("warming up"):  # the function's processes start
                verify(view, since, pause=lambda _: None)
            with progress.step(f"rebuilding {_VIEW}"):
                began = time.perf_counter()
                # No other events are processed here, so there is nothing to wait for.
                done = rebuild(view, since, pause=lambda _: None)
                rebuilt = time.perf_counter() - began
            with progress.step("verifying it against the store"):
                began = time.perf_counter()
                found = verify(view, since, pause=lambda _: None)
                verified = time.perf_counter() - began
    if done.events != events or found.differences or found.busy:
        msg = f"{_VIEW} was rebuilt from {done.events} of {events} events, and {len(found.differences)} rows differ"
        raise NotIdle(msg)
    progress.say(f"  rebuild  {events / rebuilt:7.1f} events per second, into {found.rows} rows")
    progress.say(f"  verify   {events / verified:7.1f} events per second")
    return []
