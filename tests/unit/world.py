"""The stage of the unit tests, and the options of the application's functions."""

from daybook.testing.world import (
    ACCOUNT,
    DEAD_LETTERS,
    NAMES,
    QUEUE,
    REGION,
    Context,
    DeadLetter,
    Handler,
    World,
    environment,
    errors,
    tables,
)

SENDER = "shop@example.com"
PAGER = f"arn:aws:sns:{REGION}:{ACCOUNT}:{NAMES.of('pager')}"

__all__ = [
    "ACCOUNT",
    "DEAD_LETTERS",
    "NAMES",
    "PAGER",
    "QUEUE",
    "REGION",
    "SENDER",
    "Context",
    "DeadLetter",
    "Handler",
    "World",
    "environment",
    "errors",
    "tables",
]
