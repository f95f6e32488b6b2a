"""Guards in the functions' own code that `Fault.without_guard` removes, to show that tests notice."""

from enum import StrEnum


class Guard(StrEnum):
    """Code that keeps a guarantee. For conditions of transactions, see `Fault.without_conditions`."""

    PARTIAL_ANSWER = "partial-answer"
    """The response for a batch names the messages that SQS must redeliver."""
    RECORDED = "recorded"
    """A consumer acts only on events that are in the store, and only on what is stored."""
    EFFECT_RECORD = "effect-record"
    """An effect writes its effect record before it calls an external system."""
    CURSOR = "cursor"
    """An ordered consumer reads a stream from its own cursor, whichever message wakes it up."""
