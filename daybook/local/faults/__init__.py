"""What AWS may do to a function, brought about in the deployed functions of a local run that asks for it.

    faults = Faults(folder)
    with up(progress, extra=faults.environment) as cloud:
        with faults.bring(Fault.death(function="reserve-stock", operation="TransactWriteItems", when="after")):
            ...

`worker` is what the functions' processes import; no bundle holds it.
"""

from daybook.local.faults.fault import ALWAYS, Chance, Every, Fault, Only
from daybook.local.faults.guard import Guard
from daybook.local.faults.recording import Call, Use
from daybook.local.faults.seam import Faults
from daybook.local.faults.unhurried import MEETING, unhurried

__all__ = ["ALWAYS", "MEETING", "Call", "Chance", "Every", "Fault", "Faults", "Guard", "Only", "Use", "unhurried"]
