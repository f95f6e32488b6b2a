"""The recommended next step for a dead letter, by its consumer and its error."""

from enum import StrEnum

from daybook.operate.consumers import Consumer
from daybook.operate.dead_letters.retry import OUTCOME_UNKNOWN

ADMIT = "admit"

# Errors for which admit always rejects the same event (daybook/backbone). Not included are errors that pass: a version
# that is not deployed yet, a stream that is not open yet, and an origin that the stage's settings do not allow yet.
NEVER_ADMITTED = frozenset(
    {
        "BadMetadata",
        "BadTime",
        "CardNumber",
        "ContractBroken",
        "DuplicateKey",
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
# Errors that consumers do not retry (daybook/consumers/delivery.py).
_NEVER_RETRIED = frozenset({"ContractBroken", "NotAnEnvelope", "NonRetryable"})


class Remedy(StrEnum):
    """The next step, with an explanation for operators."""

    RETRY = "retry it when the cause is fixed"
    EDIT = "its content was rejected, so a retry does not help: edit it, or discard it"
    RESOLVE = "the outcome of its effect is unknown: look in the external system, then record the outcome"
    FORGED = "its event is not recorded, so no retry helps: find out who sent the message, then discard the dead letter"
    NOT_PROVEN = (
        "its writer has not recorded the event or the timer, so no retry helps: find out who has, then discard the "
        "dead letter"
    )
    UNPROVEN_ROW = (
        "somebody has written or changed the ledger's row that its reason names. Find out whether the work was done: "
        "if so, restore the row from a backup, otherwise delete it; then retry"
    )
    DISCARD = "a retry does not help until the code is fixed: fix it, or discard the dead letter"


def remedy(consumer: str, error: str, deployed: Consumer | None) -> Remedy:
    """The next step for dead letters with this error. `deployed` is the consumer, None if it is not deployed."""
    if error == OUTCOME_UNKNOWN and deployed and not deployed.can_query:
        return Remedy.RESOLVE
    if error == "LedgerRowNotProven":
        return Remedy.UNPROVEN_ROW
    if error == "NotProven":
        return Remedy.NOT_PROVEN
    if consumer == ADMIT:
        return Remedy.EDIT if error in NEVER_ADMITTED else Remedy.RETRY
    if error == "NotRecorded":
        return Remedy.FORGED
    return Remedy.DISCARD if error in _NEVER_RETRIED else Remedy.RETRY
