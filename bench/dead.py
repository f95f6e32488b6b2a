"""How long `daybook dead` takes for many dead letters, and that its memory depends on the groups only."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import uuid
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.targets import Target
from daybook.contracts import clock
from daybook.local.system import STAGE, up
from daybook.operate.connection import Connection
from daybook.store.attributes import pack_item
from daybook.store.ledger import DEAD
from daybook.store.limits import BATCH_WRITE_ITEMS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from daybook.local.cloud import Cloud
    from daybook.local.progress import Progress

_CONSUMERS = ("reserve-stock", "charge-order", "confirm-order", "admit")
_ERRORS = ("KeyError", "AccessDeniedException", "NonRetryable")
_BODY = "x" * 1_500  # about as long as an order's message
_FEW = 10  # memory is compared with this fraction of the dead letters
_KIB = 1_024


def measure(progress: Progress, *, dead_letters: int) -> list[Target]:
    """Write dead letters to the ledger, and run `daybook dead` in a process of its own for several numbers of them."""
    with up(progress) as cloud:
        connection = Connection(STAGE, cloud.session(), endpoint=cloud.endpoint)
        nothing = _run(cloud, expected=0)
        few = dead_letters // _FEW
        with progress.step(f"writing {dead_letters} dead letters, and listing them"):
            _write_dead_letters(connection, 0, few)
            less = _run(cloud, expected=few)
            _write_dead_letters(connection, few, dead_letters)
            seconds, megabytes = _run(cloud, expected=dead_letters)
    for number, (took, peak) in {0: nothing, few: less, dead_letters: (seconds, megabytes)}.items():
        progress.say(f"  {number:>6} dead letters: {took:5.2f} s, peak {peak:5.1f} MB")
    return [
        Target(f"{dead_letters} dead letters in groups", seconds, maximum=10.0, unit="s"),
        Target(
            f"memory for {dead_letters} dead letters minus that for {few}", megabytes - less[1], maximum=10.0, unit="MB"
        ),
    ]


def _write_dead_letters(connection: Connection, first: int, end: int) -> None:
    """Write the dead letters with these numbers directly to the ledger."""
    items = _items(first, end)
    while some := [{"PutRequest": {"Item": item}} for item in islice(items, BATCH_WRITE_ITEMS)]:
        waiting: Any = {connection.names.ledger: some}
        while waiting:
            waiting = connection.dynamodb.batch_write_item(RequestItems=waiting).get("UnprocessedItems")


def _items(first: int, end: int) -> Iterator[dict[str, Any]]:
    began = datetime.now(UTC) - timedelta(hours=1)
    for number in range(first, end):
        consumer = _CONSUMERS[number % len(_CONSUMERS)]
        values = {
            "key": f"{consumer}#{uuid.UUID(int=number)}",
            "state": DEAD,
            "dead": consumer,
            "at": clock.timestamp(began + timedelta(milliseconds=number)),
            "error": _ERRORS[number % len(_ERRORS)],
            "reason": f"order {number} not found",
            "event_type": "OrderPlaced",
            "stream": f"order/{number}",
            "sequence": 1,
            "body": _BODY,
        }
        yield pack_item(values)


def _run(cloud: Cloud, *, expected: int) -> tuple[float, float]:
    """Run the command. Returns seconds, and the peak memory of its process in MB."""
    program = str(Path(sys.executable).with_name("daybook"))
    began = time.perf_counter()
    command = subprocess.Popen(
        [program, "dead", "--json", "--stage", STAGE],
        env={"PATH": os.environ["PATH"], **cloud.reach},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    with command:
        output = command.stdout.read() if command.stdout else ""
        _, status, used = os.wait4(command.pid, 0)
        command.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - began
    if command.returncode or json.loads(output)["count"] != expected:
        raise subprocess.CalledProcessError(command.returncode, "daybook dead", output)
    # Linux reports KiB, macOS bytes.
    peak = used.ru_maxrss if sys.platform == "darwin" else used.ru_maxrss * _KIB
    return seconds, peak / 1_000_000
