"""What helps a dead letter, by its consumer and its error."""

from enum import StrEnum

from daybook.operate.consumers import Consumer
from daybook.operate.dead_letters.retry import OUTCOME_UNKNOWN

ADMIT = "admit"

# What admit says of an event that it refuses for what it is (daybook/backbone): it would be refused each time.
# Not among them is what passes: a version that is not deployed yet, and a stream that is not open yet.
REFUSED_FOR_GOOD = frozenset(
    {
        "BadMetadata",
        "BadTime",
        "ContractBroken",
        "EventTooLarge",
        "IdReused",
        "NoData",
        "NotAnEvent",
        "NotJson",
        "SourceNotAllowed",
        "StreamAlreadyOpen",
        "UnknownType",
    }
)
# What is dead at once at all others (daybook/consumers/delivery.py).
_GIVEN_UP_AT_ONCE = frozenset({"ContractBroken", "NotAnEnvelope", "NonRetryable"})


class Remedy(StrEnum):
    """What helps, and when."""

    RETRY = "once its cause is gone, retry it"
    MEND = "refused for its content, and a retry does not help: edit it, or discard it"
    RESOLVE = "it is not known whether it took effect: look in the external system, then record what you have found"
    GIVE_UP = "a retry does not help until the code is corrected: correct it, or discard the dead letter"


def remedy(consumer: str, error: str, deployed: Consumer | None) -> Remedy:
    """What helps dead letters that died of `error` at `consumer`. `deployed` is what it is, where it is deployed."""
    if error == OUTCOME_UNKNOWN and deployed and not deployed.can_ask:
        return Remedy.RESOLVE
    if consumer == ADMIT:
        return Remedy.MEND if error in REFUSED_FOR_GOOD else Remedy.RETRY
    return Remedy.GIVE_UP if error in _GIVEN_UP_AT_ONCE else Remedy.RETRY
