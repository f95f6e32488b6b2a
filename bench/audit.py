"""How fast the history is checked, and that the memory this takes does not grow with its length.

`daybook audit check` runs as a process of its own on a cloud that holds nothing but a store, a ledger, and the rules
and queues of two consumers. Events and rows are made by the kernel's own code, and put into the tables as they are.
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
from bench.aims import Aim
from daybook.local.cloud import Cloud
from daybook.local.errors import LocalRunError
from daybook.local.interrupts import single_interrupt
from daybook.local.system import STAGE
from daybook.runtime.names import Names
from events.accounts import TransactionPosted

if TYPE_CHECKING:
    from daybook.local.progress import Progress

_CONSUMERS = ("tally-transaction", "score-transaction")
_A_TENTH = 10
_KIB = 1024


class NotWhole(LocalRunError):
    """The check has found something in tables that nobody has damaged: its figures would mean nothing."""


def measure(progress: Progress, *, events: int) -> list[Aim]:
    """Check a tenth of the events, then all of them. Raises NotWhole."""
    names, tenth = Names(STAGE), max(1, events // _A_TENTH)
    with single_interrupt(), Cloud() as cloud:
        dynamodb = cloud.client("dynamodb")
        with progress.step("furnishing the cloud"):
            keys = {"store": tables.OURS["store"], "ledger": tables.OURS["ledger"]}
            tables.create(dynamodb, names.of(""), keys)
            _listen(cloud, names)
        with progress.step(f"writing {tenth} events and their accounts"):
            history.write(dynamodb, history.transactions(names, tenth, committed_by=_CONSUMERS))
        few = _check(progress, cloud, tenth)
        with progress.step(f"writing {events - tenth} more"):
            history.write(dynamodb, history.transactions(names, events - tenth, committed_by=_CONSUMERS))
        many = _check(progress, cloud, events)
    return [Aim(f"peak memory of the check, {events} events to {tenth}", many / few, at_most=1.1)]


def _check(progress: Progress, cloud: Cloud, events: int) -> float:
    """Returns the most memory that the process had, in MiB."""
    daybook = str(Path(sys.executable).with_name("daybook"))
    with progress.step(f"checking {events} events"):
        began = time.perf_counter()
        with tempfile.TemporaryFile("w+") as said:
            process = subprocess.Popen(
                [daybook, "audit", "check", "--stage", STAGE, "--settled", "0s", "--json"],
                env={"PATH": os.environ["PATH"], **cloud.reach},
                stdout=said,
                stderr=said,
            )
            try:
                _, status, used = os.wait4(process.pid, 0)
            except BaseException:
                process.kill()
                raise
            seconds = time.perf_counter() - began
            said.seek(0)
            told = said.read().splitlines()
        if status or json.loads(told[-1])["checked"]["events"] != events:
            msg = f"the check has found what nobody has done: {told[:5]}"
            raise NotWhole(msg)
    cpu = used.ru_utime + used.ru_stime
    peak = used.ru_maxrss / _KIB
    progress.say(
        f"  {events:>7} events: {seconds:6.1f} s, {events / seconds:6.0f} a second; {cpu:.1f} s of "
        f"processor time, {cpu * 1e6 / events:.0f} µs an event; at most {peak:.0f} MiB"
    )
    return peak


def _listen(cloud: Cloud, names: Names) -> None:
    """What tells the check who should have got what."""
    bus, sqs = cloud.client("events"), cloud.client("sqs")
    contract = TransactionPosted.contract
    bus.create_event_bus(Name=names.event_bus)
    pattern = json.dumps({"source": [contract.published_source], "detail-type": [contract.type]})
    for consumer in _CONSUMERS:
        sqs.create_queue(QueueName=names.of(consumer))
        bus.put_rule(Name=names.of(consumer), EventBusName=names.event_bus, EventPattern=pattern)
