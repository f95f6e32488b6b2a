"""The keys of the ledger's table, which holds several kinds of rows: partition key `event`, sort key `consumer`.

An event id never contains `#` and is never `switch` (daybook/contracts/identity.py), so the kinds cannot be confused.
"""

# The partition key of all consumers' switches, so that one query lists them.
SWITCHES = "switch"

Key = dict[str, str]


def of_event(event: str, consumer: str) -> Key:
    """The processing status of an event at a consumer."""
    return {"event": event, "consumer": consumer}


def of_effect(idempotency_key: str, consumer: str) -> Key:
    """The record of an effect, which is written before the external system is called."""
    return {"event": f"effect#{idempotency_key}", "consumer": consumer}


def of_cursor(stream: str, consumer: str) -> Key:
    """The position of an ordered consumer in a stream."""
    return {"event": f"cursor#{stream}", "consumer": consumer}


def of_switch(consumer: str) -> Key:
    """Whether a consumer receives messages: its pause and its circuit breaker."""
    return {"event": SWITCHES, "consumer": consumer}


def of_checkpoints(operation: str) -> str:
    """The partition key of a replay's checkpoints: one row for each part that is read in parallel, which sorts them."""
    return f"operation#{operation}"
