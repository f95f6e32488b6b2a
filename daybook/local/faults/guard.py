"""The guards in functions' own code that `Fault.without` removes, to show what each of them is good for."""

from enum import StrEnum


class Guard(StrEnum):
    """What keeps a promise. Conditions of transactions are not among them: see Fault.unguarded."""

    PARTIAL_ANSWER = "partial-answer"
    """A batch's answer names the messages that must come again."""
    STORE_FIRST = "store-first"
    """Nothing is on the event bus before it is in the store."""
    ATTEMPT = "attempt"
    """An effect notes its attempt before it calls the world outside."""
    CURSOR = "cursor"
    """An ordered consumer goes through a stream from its own cursor, whatever message nudges it."""
