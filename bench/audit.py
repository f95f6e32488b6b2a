"""How fast `daybook audit check` is, and that its memory does not grow with the number of events.

It runs as a process of its own, on a cloud with only a store, a ledger, and the rules and queues of two consumers.
daybook's own code creates the events and rows, which are written to the tables directly.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from bench import history, tables
from bench.targets import Target
from daybook.local.cloud import Cloud
from daybook.local.errors import LocalRunError
from daybook.local.interrupts import single_interrupt
from daybook.local.system import STAGE
from daybook.operate.connection import Connection
from daybook.runtime.names import Names
from events.accounts import TransactionPosted

if TYPE_CHECKING:
    from daybook.local.progress import Progress

_CONSUMERS = ("tally-transaction", "score-transaction")
_A_TENTH = 10
_KIB = 1024


class UnexpectedFindings(LocalRunError):
    """The check found a problem in valid tables, so its figures mean nothing."""


def measure(progress: Progress, *, events: int) -> list[Target]:
    """Check a tenth of the events, then all. Raises UnexpectedFindings."""
    names, tenth = Names(STAGE), max(1, events // _A_TENTH)
    with single_interrupt(), Cloud() as cloud:
        dynamodb, connection = cloud.client("dynamodb"), Connection(STAGE, cloud.session(), endpoint=cloud.endpoint)
        with progress.step("creating the resources"):
            needed = {name: tables.OURS[name] for name in ("store", "ledger", "keys")}
            tables.create(dynamodb, names.of(""), needed)
            tables.create_wrapping_key(cloud.client("kms"), names.proofs_key)
            _listen(cloud, names)
        with progress.step(f"writing {tenth} events and their rows in the ledger"):
            history.write(dynamodb, history.transactions(connection, tenth, committed_by=_CONSUMERS))
        few = _check(progress, cloud, tenth, processes=1)
        with progress.step(f"writing {events - tenth} more"):
            history.write(dynamodb, history.transactions(connection, events - tenth, committed_by=_CONSUMERS))
        many = _check(progress, cloud, events, processes=1)
        _check(progress, cloud, events, processes=2)
    return [Target(f"peak memory of the check, {events} events to {tenth}", many / few, maximum=1.1)]


def _check(progress: Progress, cloud: Cloud, events: int, *, processes: int) -> float:
    """Returns the peak memory of the largest process, in MiB."""
    daybook = str(Path(sys.executable).with_name("daybook"))
    with progress.step(f"checking {events} events in {processes} processes"):
        began = time.perf_counter()
        with tempfile.TemporaryFile("w+") as output:
            process = subprocess.Popen(
                [
                    daybook,
                    "audit",
                    "check",
                    "--stage",
                    STAGE,
                    "--settled",
                    "0s",
                    "--json",
                    "--processes",
                    str(processes),
                ],
                env={"PATH": os.environ["PATH"], **cloud.reach},
                stdout=output,
                stderr=output,
            )
            try:
                _, status, used = os.wait4(process.pid, 0)
            except BaseException:
                process.kill()
                raise
            seconds = time.perf_counter() - began
            output.seek(0)
            lines = output.read().splitlines()
        if status or json.loads(lines[-1])["checked"]["events"] != events:
            msg = f"the check found problems in valid tables: {lines[:5]}"
            raise UnexpectedFindings(msg)
    cpu = used.ru_utime + used.ru_stime
    peak = used.ru_maxrss / _KIB
    progress.say(
        f"  {events:>7} events: {seconds:6.1f} s, {events / seconds:6.0f} per second; {cpu:.1f} s of "
        f"processor time, {cpu * 1e6 / events:.0f} µs per event; at most {peak:.0f} MiB"
    )
    return peak


def _listen(cloud: Cloud, names: Names) -> None:
    """Create the rules and queues from which the check learns who consumes an event."""
    bus, sqs = cloud.client("events"), cloud.client("sqs")
    contract = TransactionPosted.contract
    bus.create_event_bus(Name=names.event_bus)
    pattern = json.dumps({"source": [contract.published_source], "detail-type": [contract.type]})
    for consumer in _CONSUMERS:
        sqs.create_queue(QueueName=names.of(consumer))
        bus.put_rule(Name=names.of(consumer), EventBusName=names.event_bus, EventPattern=pattern)
