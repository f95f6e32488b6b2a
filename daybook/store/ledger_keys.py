"""The keys of the ledger's table, which holds several kinds of rows. The partition key `key` is the only key.

A consumer's own rows begin with `<consumer>#`, so that its role may write these rows and no others. Rows of the system
begin with `#`. Names of consumers and event ids contain no `#`, and no event id is `switch`
(daybook/contracts/identity.py), so two kinds of rows never have the same key.
"""

Key = dict[str, str]

# The register of all consumers that ever subscribed.
REGISTER: Key = {"key": "#register"}
# The number of shards of the journal, by hour.
SHARDS: Key = {"key": "#shards"}

# Patterns in which `*` is any text, as IAM compares keys.
ALL_SWITCHES = "*#switch"
NOT_OF_EVENTS = ("#*", "*#effect#*", "*#cursor#*", ALL_SWITCHES)


def all_of(consumer: str) -> str:
    """The pattern of all rows of a consumer."""
    return f"{consumer}#*"


def of_event(event: str, consumer: str) -> Key:
    """The processing status of an event at a consumer."""
    return {"key": f"{consumer}#{event}"}


def of_effect(idempotency_key: str, consumer: str) -> Key:
    """The record of an effect, which is written before the external system is called."""
    return {"key": f"{consumer}#effect#{idempotency_key}"}


def of_cursor(stream: str, consumer: str) -> Key:
    """The position of an ordered consumer in a stream."""
    return {"key": f"{consumer}#cursor#{stream}"}


def of_switch(consumer: str) -> Key:
    """Whether a consumer receives messages: its pause and its circuit breaker."""
    return {"key": f"{consumer}#switch"}


def is_of_system(key: str) -> bool:
    """Whether it is the key of a row of the system: the register, the shards, or the progress of a replay."""
    return key in {REGISTER["key"], SHARDS["key"]} or key.startswith("#operation#")


def of_checkpoint(operation: str, partition: str) -> Key:
    """The progress of a replay in one of the parts that it reads in parallel."""
    return {"key": f"#operation#{operation}#{partition}"}


def split(key: str) -> tuple[str, str]:
    """The consumer of a row, which is empty for a row of the system, and the rest of its key."""
    consumer, _, rest = key.partition("#")
    return consumer, rest


def is_of_cursor(key: str) -> bool:
    """Whether the row is the position of an ordered consumer in a stream."""
    return split(key)[1].startswith("cursor#")


def is_of_event(key: str) -> bool:
    """Whether the row is the processing status of an event at a consumer."""
    consumer, event = split(key)
    return bool(consumer and event) and "#" not in event and event != "switch"
