"""Runs record-dead-letters as soon as a dead-letter queue has a message. EventBridge runs it each minute; nobody who
tries the system on a laptop, and no test, should wait for that.
"""

# ruff: noqa: SLF001 - what it reads is private in MiniStack

from __future__ import annotations

import threading
import time
from typing import Any

from ministack.services import eventbridge, sqs  # type: ignore[import-untyped]

_RULE = "record-dead-letters"
_LOOK_EACH = 0.2  # seconds
_GAP = 2  # seconds between two runs: a new process needs a second until it receives


def install() -> None:
    """Look for dead letters from now on."""
    threading.Thread(target=_run_for_ever, daemon=True).start()


def _run_for_ever() -> None:
    while True:
        time.sleep(_LOOK_EACH)
        for key, rule in list(eventbridge._rules._data.items()):
            name = rule["Name"]
            if name.endswith(_RULE) and _has_messages(name.removesuffix(_RULE)) and _is_over(key):
                eventbridge._rule_last_fired[key] = 0
                eventbridge._tick_scheduled_rules()


def _is_over(rule: Any) -> bool:
    return bool(time.time() - eventbridge._rule_last_fired.get(rule, 0) > _GAP)


def _has_messages(prefix: str) -> bool:
    now = time.time()
    return any(
        message.get("visible_at", 0) <= now
        for queue in list(sqs._queues._data.values())
        if queue["name"].startswith(prefix) and queue["name"].endswith("-dead")
        for message in list(queue["messages"])
    )
