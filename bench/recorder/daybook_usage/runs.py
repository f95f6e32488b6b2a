"""Record how long a function runs, and its number of messages."""

import time
from collections.abc import Callable
from typing import Any

from .record import record


def timed(handler: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """Wrap the handler so that each run is recorded."""

    def run(event: Any, context: Any) -> Any:
        records = event.get("Records", []) if isinstance(event, dict) else []
        began, busy = time.perf_counter(), time.process_time()
        try:
            return handler(event, context)
        finally:
            record(
                kind="run",
                seconds=time.perf_counter() - began,
                processor=time.process_time() - busy,
                messages=len(records),
                bytes=sum(len(record.get("body", "")) for record in records),
            )

    return run
