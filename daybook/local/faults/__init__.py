"""Inject faults into the AWS calls of the functions of a local run.

    faults = Faults(folder)
    with up(progress, extra=faults.environment) as cloud:
        with faults.inject(Fault.death(function="reserve-stock", operation="TransactWriteItems", when="after")):
            ...

The functions' processes import `worker`; no bundle contains it.
"""

from daybook.local.faults.fault import ALWAYS, Chance, Every, Fault, Only
from daybook.local.faults.guard import Guard
from daybook.local.faults.injection import Faults
from daybook.local.faults.long_timeouts import BARRIER_TIMEOUT, long_timeouts
from daybook.local.faults.recording import Call, Use

__all__ = [
    "ALWAYS",
    "BARRIER_TIMEOUT",
    "Call",
    "Chance",
    "Every",
    "Fault",
    "Faults",
    "Guard",
    "Only",
    "Use",
    "long_timeouts",
]
