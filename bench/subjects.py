"""The handlers to compare, each in its own process, with the environment of its deployment.

Imports little, because processes that measure import times start here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

OURS, DOCUMENTED, PLAIN = "ours", "documented", "plain"

MODULES = {
    OURS: "functions.inventory.reserve_stock",
    DOCUMENTED: "bench.handlers.documented",
    PLAIN: "bench.handlers.plain",
}

STAGE = "bench"
PREFIXES = {OURS: f"daybook-{STAGE}-", DOCUMENTED: "documented-", PLAIN: "plain-"}
BUS = "documented"

# The settings that Powertools' documentation uses.
_POWERTOOLS = {"POWERTOOLS_LOG_LEVEL": "INFO"}


def environment(subject: str) -> Mapping[str, str]:
    """The environment variables that its stack would set."""
    prefix = PREFIXES[subject]
    if subject == OURS:
        queue = f"https://sqs.us-east-1.amazonaws.com/000000000000/{prefix}reserve-stock"
        return _POWERTOOLS | {
            "DAYBOOK_STAGE": STAGE,
            "DAYBOOK_QUEUE_URL": queue,
            "DAYBOOK_DEAD_LETTER_QUEUE_URL": f"{queue}-dead",
            "DAYBOOK_RETRY": '{"max_attempts": 5, "max_crashes": 3, "first_backoff": 30, "max_backoff": 900, '
            '"retry_window": 3600}',
            "DAYBOOK_TABLE_STOCK": f"{prefix}stock",
            "DAYBOOK_TABLE_RESERVATIONS": f"{prefix}reservations",
        }
    if subject == DOCUMENTED:
        return _POWERTOOLS | {
            "POWERTOOLS_SERVICE_NAME": "reserve-stock",
            "POWERTOOLS_METRICS_NAMESPACE": "Documented",
            "STOCK_TABLE": f"{prefix}stock",
            "RESERVATIONS_TABLE": f"{prefix}reservations",
            "IDEMPOTENCY_TABLE": f"{prefix}idempotency",
            "EVENT_BUS": BUS,
        }
    return {"TABLE": f"{prefix}events"}
