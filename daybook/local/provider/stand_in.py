"""The stand-in as tests and the demo know it: a provider whose books are open, and which fails on request."""

from __future__ import annotations

import http.client
import json
from contextlib import contextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from daybook.local.provider.book import Book

if TYPE_CHECKING:
    from collections.abc import Iterator

    from daybook.local.provider.fault import Fault

_TIMEOUT = 10  # seconds


class NothingToSettle(LookupError):
    """Not exactly one payment of that order or intent waits to be settled. Look into the `book`, or name the intent."""


class StandIn:
    """A running stand-in, at an `endpoint` that was given by the `Provider` that runs it."""

    endpoint: str
    key = "sk_test_standin"
    """A secret key that it takes. It takes every key of Stripe's test mode."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint

    def book(self) -> Book:
        """All that is in the provider's books by now."""
        return Book.read(self._ask("GET", "book"))

    @contextmanager
    def brings(self, *faults: Fault) -> Iterator[None]:
        """Let the faults strike every call that begins in the block. Blocks may be nested."""
        self._ask("POST", "faults", [fault.rule() for fault in faults])
        try:
            yield
        finally:
            for fault in faults:
                self._ask("DELETE", f"faults/{fault.id}")

    def brought(self, fault: Fault) -> int:
        """How often the fault has struck so far."""
        return int(self._ask("GET", f"faults/{fault.id}")["count"])

    def settle(self, order: str | None = None, *, payment: str | None = None, fails: str | None = None) -> None:
        """Let a payment that is in processing, or that waits for its customer to authenticate, succeed.

        It is named by its order or by the payment intent's id. `fails`: the error code with which it fails instead,
        such as `insufficient_funds` or `payment_intent_authentication_failure`. Raises NothingToSettle.
        """
        self._ask("POST", "settle", {"order": order, "intent": payment, "fails": fails})

    def forget_keys(self) -> None:
        """Forget all idempotency keys, as Stripe does when they are 24 hours old."""
        self._ask("POST", "forget-keys")

    def reset(self) -> None:
        """Begin anew, with empty books, no key used and no fault at work."""
        self._ask("POST", "reset")

    def _ask(self, method: str, what: str, body: Any = None) -> Any:
        connection = http.client.HTTPConnection(urlsplit(self.endpoint).netloc, timeout=_TIMEOUT)
        try:
            connection.request(method, f"/_stand-in/{what}", json.dumps(body))
            answer = connection.getresponse()
            said = json.loads(answer.read())
        finally:
            connection.close()
        if answer.status == HTTPStatus.CONFLICT:
            raise NothingToSettle(said["error"])
        if answer.status != HTTPStatus.OK:
            raise RuntimeError(said["error"])
        return said
