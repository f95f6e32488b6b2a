"""Watch the ledger: report changes of its rows that no code of this system makes.

It reads the change stream of the ledger's table. A filter of its event source mapping (FILTERS) lets only those changes
through that could be illegal, so it is not invoked while consumers work.
"""

from collections.abc import Mapping
from typing import Any

from daybook.runtime import observability
from daybook.runtime.settings import settings
from daybook.store.ledger import COMMITTED, DEAD, DISCARDED

CONSUMER = "watch-ledger"

# States that never change again, except that an event is committed if its effect was performed before it was discarded.
_FINAL = (COMMITTED, DISCARDED)

# Event patterns of Lambda's event filtering. Everything that `violation` can report matches one of them.
FILTERS: tuple[Mapping[str, Any], ...] = (
    {"eventName": ["REMOVE"]},
    {"dynamodb": {"OldImage": {"state": {"S": list(_FINAL)}}}},
    {"dynamodb": {"NewImage": {"state": {"S": [DISCARDED]}}}},
)


def handler(batch: Mapping[str, Any], _: Any) -> None:
    """Report each illegal change in a batch of the change stream: a log line, and a metric that sets off the alarm."""
    counts = observability.counts(settings().names.stage, CONSUMER)
    for record in batch["Records"]:
        change = record["dynamodb"]
        old, new = (_state(change.get(image)) for image in ("OldImage", "NewImage"))
        if text := violation(record["eventName"], old, new):
            about = {"change": text, "record": record["eventID"], "key": change["Keys"]["key"]["S"]}
            observability.logger(CONSUMER).critical("tampered", extra=about)
            counts.count(observability.TAMPERED)
    counts.flush()


def violation(change: str, old: str, new: str) -> str:
    """Why the change (INSERT, MODIFY or REMOVE) of a row from the state `old` to `new` is illegal, or empty.

    The state is empty for a row without one, and for a row that does not exist.
    """
    if change == "REMOVE":
        return "a row was deleted"
    if old in _FINAL and not (old == DISCARDED and new == COMMITTED):
        return f"a row was changed that is {old}"
    if new == DISCARDED and old != DEAD:
        return "an event was discarded that was not dead"
    return ""


def _state(image: Mapping[str, Any] | None) -> str:
    return str((image or {}).get("state", {}).get("S", ""))
