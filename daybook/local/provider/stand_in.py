"""The client side of the stand-in, for tests and the demo: read its records, inject faults."""

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
    """There is not exactly one payment or refund for that order that can be settled so. Read the `book`, or name it."""


class StandIn:
    """A running stand-in at an `endpoint`."""

    endpoint: str
    key = "sk_test_standin"
    """A valid secret key. The stand-in accepts every key of Stripe's test mode."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint

    def book(self) -> Book:
        """The provider's records as they are now."""
        return Book.read(self._ask("GET", "book"))

    @contextmanager
    def inject(self, *faults: Fault) -> Iterator[None]:
        """Inject the faults into every call that begins in the block. Blocks may be nested."""
        self._ask("POST", "faults", [fault.rule() for fault in faults])
        try:
            yield
        finally:
            for fault in faults:
                self._ask("DELETE", f"faults/{fault.id}")

    def injected_count(self, fault: Fault) -> int:
        """How often the fault was injected so far."""
        return int(self._ask("GET", f"faults/{fault.id}")["count"])

    def settle(self, order: str | None = None, *, payment: str | None = None, fails: str | None = None) -> None:
        """Let a payment succeed that is processing or waits for the customer to authenticate.

        It is named by its order or by the payment intent's id. `fails`: let it fail with this error code instead, such
        as
        `insufficient_funds` or `payment_intent_authentication_failure`. Raises NothingToSettle.
        """
        self._ask("POST", "settle", {"order": order, "intent": payment, "fails": fails})

    def settle_refund(self, order: str, *, refund: str | None = None, fails: str | None = None) -> None:
        """Let a pending refund of the order succeed. It may be named by its id.

        `fails`: let it fail with this reason, such as `expired_or_canceled_card`, even if it has succeeded, as
        docs.stripe.com/refunds#failed-refunds describes it. Raises NothingToSettle.
        """
        self._ask("POST", "settle-refund", {"order": order, "refund": refund, "fails": fails})

    def forget_keys(self) -> None:
        """Forget all idempotency keys, as Stripe does after 24 hours."""
        self._ask("POST", "forget-keys")

    def reset(self) -> None:
        """Remove all records, idempotency keys and faults."""
        self._ask("POST", "reset")

    def _ask(self, method: str, what: str, body: Any = None) -> Any:
        connection = http.client.HTTPConnection(urlsplit(self.endpoint).netloc, timeout=_TIMEOUT)
        try:
            connection.request(method, f"/_stand-in/{what}", json.dumps(body))
            answer = connection.getresponse()
            content = json.loads(answer.read())
        finally:
            connection.close()
        if answer.status == HTTPStatus.CONFLICT:
            raise NothingToSettle(content["error"])
        if answer.status != HTTPStatus.OK:
            raise RuntimeError(content["error"])
        return content
