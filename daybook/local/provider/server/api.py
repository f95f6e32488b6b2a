"""Handles a request: authentication, operation, faults, idempotency key, account."""

from __future__ import annotations

import secrets
from collections import Counter
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from daybook.local.provider.server import operations
from daybook.local.provider.server.account import Account
from daybook.local.provider.server.faults import ActiveFault, ActiveFaults, Call
from daybook.local.provider.server.idempotency import Keys
from daybook.local.provider.server.refusal import INVALID, Answer, Rejection

if TYPE_CHECKING:
    from collections.abc import Mapping

    from daybook.local.provider.server.operations import Operation

ORDER = "order"  # the metadata key of an intent's order id
_KEYS = ("sk_test_", "rk_test_")  # secret and restricted keys of test mode: docs.stripe.com/keys
_SHOWN = 4  # characters of a key, at its end, that Stripe's message shows


@dataclass(frozen=True, slots=True)
class Request:
    """A parsed request."""

    method: str
    path: str
    form: Mapping[str, Any]
    authorization: str | None
    idempotency_key: str | None


class Api:
    """Stripe's API with an account that is empty at first."""

    def __init__(self) -> None:
        self.account = Account()
        self.keys = Keys()
        self.faults = ActiveFaults()
        self.calls: Counter[str] = Counter()

    def forget(self) -> None:
        """Remove all records, idempotency keys and faults."""
        self.faults.forget()
        with self.account.lock:
            self.account.forget()
            self.calls.clear()
        self.keys.forget()

    def answer(self, request: Request) -> Answer | None:
        """The answer to send; None if the connection is to be dropped without one."""
        number = {"Request-Id": f"req_{secrets.token_hex(7)}"}
        if request.idempotency_key:
            number["Idempotency-Key"] = request.idempotency_key
        answer = self._answer(request)
        return replace(answer, headers={**number, **answer.headers}) if answer else None

    def _answer(self, request: Request) -> Answer | None:
        try:
            _authenticate(request.authorization)
            operation, identifier = operations.find(request.method, request.path)
        except Rejection as refusal:
            return refusal.answer()
        with self.account.lock:
            self.calls[operation.name] += 1
            fault = self.faults.on(self._call(operation, identifier, request.form))
        if fault is None:
            return self._once(operation, identifier, request)
        if fault.applies("dropped", "before"):
            return None
        if not fault.kept and fault.applies("error", "before"):
            return fault.answer()
        answer = self._once(operation, identifier, request, fault)
        fault.delay("after")
        if not fault.kept and fault.applies("error", "after"):
            return fault.answer()
        return None if fault.applies("dropped", "after") else answer

    def _once(
        self, operation: Operation, identifier: str, request: Request, fault: ActiveFault | None = None
    ) -> Answer:
        """Execute the operation, or repeat the answer to the same idempotency key.

        Errors before the execution are not kept: an invalid request, a key that is in use.
        """
        key = request.idempotency_key if request.method == "POST" else None
        try:
            params = operation.read(request.form)
            if before := self.keys.claim(key, request.path, params):
                return before
        except Rejection as refusal:
            return refusal.answer()
        answer = self._execute(operation, identifier, params, key, fault)
        self.keys.keep(key, answer)
        return answer

    def _execute(
        self,
        operation: Operation,
        identifier: str,
        params: Mapping[str, Any],
        key: str | None,
        fault: ActiveFault | None,
    ) -> Answer:
        if fault:
            fault.delay("before")
            if fault.kept and fault.applies("error", "before"):
                return fault.answer()
        try:
            with self.account.lock:
                answer = Answer(HTTPStatus.OK, operation.perform(self.account, identifier, params, key))
        except Rejection as refusal:
            answer = refusal.answer()
        return fault.answer() if fault and fault.kept and fault.applies("error", "after") else answer

    def _call(self, operation: Operation, identifier: str, form: Mapping[str, Any]) -> Call:
        """The properties by which faults select calls. A call about an intent has its order and payment method."""
        intents = self.account.intents
        refund = self.account.refunds.get(identifier)
        intent = intents.get(identifier) or intents.get(str(form.get("payment_intent")))
        intent = intent or (refund.charge.intent if refund else None)
        metadata = form.get("metadata")
        order = metadata.get(ORDER) if isinstance(metadata, dict) else None
        method = form.get("payment_method")
        if intent:
            order = intent.metadata.get(ORDER, order)
            method = method or (intent.method.name if intent.method else None)
        return Call(operation.name, order, intent.id if intent else None, method)


def _authenticate(authorization: str | None) -> None:
    """docs.stripe.com/api/authentication."""
    kind, _, key = (authorization or "").partition(" ")
    if kind != "Bearer" or not key:
        raise Rejection(
            HTTPStatus.UNAUTHORIZED,
            INVALID,
            "You did not provide an API key. You need to provide your API key in the Authorization header, using "
            "Bearer auth (e.g. 'Authorization: Bearer YOUR_SECRET_KEY'). See "
            "https://stripe.com/docs/api#authentication for details, or we can help at https://support.stripe.com/.",
        )
    if not key.startswith(_KEYS) or key in _KEYS:
        hidden = "*" * max(len(key) - _SHOWN, 0) + key[-_SHOWN:]
        raise Rejection(HTTPStatus.UNAUTHORIZED, INVALID, f"Invalid API Key provided: {hidden}")
