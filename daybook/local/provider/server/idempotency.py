"""Idempotency keys: docs.stripe.com/api/idempotent_requests and docs.stripe.com/error-low-level#idempotency."""

from __future__ import annotations

from dataclasses import dataclass, replace
from http import HTTPStatus
from threading import Lock
from typing import TYPE_CHECKING, Any

from daybook.local.provider.server.refusal import INVALID, Answer, Rejection, invalid

if TYPE_CHECKING:
    from collections.abc import Mapping

LONGEST_KEY = 255  # characters


@dataclass
class _Use:
    path: str
    params: Mapping[str, Any]
    answer: Answer | None = None  # None while the first request runs


class Keys:
    """The used keys, each with its request and answer. Requests without a key are not stored."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._uses: dict[str, _Use] = {}

    def claim(self, key: str | None, path: str, params: Mapping[str, Any]) -> Answer | None:
        """The earlier answer, marked as a replay; None if this request is the first and may run.

        Raises Rejection if the key was used for another request, or if its first request is still running.
        """
        if key is None:
            return None
        if len(key) > LONGEST_KEY:
            raise invalid(None, f"Idempotency keys are at most {LONGEST_KEY} characters long.")
        with self._lock:
            use = self._uses.setdefault(key, mine := _Use(path, params))
            if use is mine:
                return None
            if use.path != path:
                raise _misused(key, f"for the same endpoint they were first used for ('{path}' vs '{use.path}')")
            if use.params != params:
                raise _misused(key, "with the same parameters they were first used with")
            if use.answer is None:
                raise _in_use(key)
            return replace(use.answer, headers={**use.answer.headers, "Idempotent-Replayed": "true"})

    def keep(self, key: str | None, answer: Answer) -> None:
        """Store the answer for later requests with this key: "regardless of whether it succeeds or fails", 500
        included.
        """
        if key is not None:
            with self._lock:
                if key in self._uses:
                    self._uses[key].answer = answer

    def forget(self) -> None:
        """Forget all keys whose requests were answered, as Stripe may after 24 hours."""
        with self._lock:
            self._uses = {key: use for key, use in self._uses.items() if use.answer is None}


def _misused(key: str, rule: str) -> Rejection:
    return Rejection(
        HTTPStatus.BAD_REQUEST,
        "idempotency_error",
        f"Keys for idempotent requests can only be used {rule}. Try using a key other than '{key}' if you meant to "
        "execute a different request.",
    )


def _in_use(key: str) -> Rejection:
    return Rejection(
        HTTPStatus.CONFLICT,
        INVALID,
        "There is currently another in-progress request using this Idempotent Key (that probably means you submitted "
        f"twice, and the other request is still going through): {key}. Please try again later.",
        "idempotency_key_in_use",
    )
