"""The keys of the ledger's table, in which rows of several kinds stand: partition key `event`, sort key `consumer`.

No event's id has a `#` in it or is `switch` (daybook/contracts/identity.py), so no row is taken for one of another
kind.
"""

# The partition key of the switches of all consumers, so that one query lists them.
SWITCHES = "switch"

Key = dict[str, str]


def of_event(event: str, consumer: str) -> Key:
    """The processing status of an event at a consumer."""
    return {"event": event, "consumer": consumer}


def of_effect(purpose: str, consumer: str) -> Key:
    """The record of an effect, which is written before the external system is called."""
    return {"event": f"attempt#{purpose}", "consumer": consumer}


def of_cursor(stream: str, consumer: str) -> Key:
    """How far an ordered consumer has come in a stream."""
    return {"event": f"cursor#{stream}", "consumer": consumer}


def of_switch(consumer: str) -> Key:
    """Whether a consumer gets messages: its pause and its breaker."""
    return {"event": SWITCHES, "consumer": consumer}


def of_operation(operation: str, partition: str) -> Key:
    """How far an operator's replay has come, in one of the parts that are read in parallel."""
    return {"event": f"operation#{operation}", "consumer": partition}
