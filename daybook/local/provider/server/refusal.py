"""Stripe's errors: docs.stripe.com/api/errors and docs.stripe.com/error-codes."""

from __future__ import annotations

from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

INVALID = "invalid_request_error"


@dataclass(frozen=True, slots=True)
class Answer:
    """A response: an HTTP status, one of Stripe's objects or an error, and headers."""

    status: int
    body: Mapping[str, Any]
    headers: Mapping[str, str] = field(default_factory=dict)


class Rejection(Exception):
    """Stripe rejects the request.

    `kind` is the error's type, `param` the invalid parameter, `more` other fields of the error, such as payment_intent
    or decline_code.
    """

    def __init__(
        self, status: int, kind: str, message: str, code: str | None = None, param: str | None = None, **more: Any
    ) -> None:
        super().__init__(message)
        self.status = status
        self.headers: dict[str, str] = {}
        page = f"https://stripe.com/docs/error-codes/{code.replace('_', '-')}" if code else None
        fields = {"code": code, "doc_url": page, "message": message, "param": param, "type": kind, **more}
        self.error = {name: value for name, value in fields.items() if value is not None}

    def answer(self) -> Answer:
        """The response for this error."""
        return Answer(self.status, {"error": self.error}, self.headers)


def invalid(code: str | None, message: str, param: str | None = None, **more: Any) -> Rejection:
    """400: the request can never succeed."""
    return Rejection(HTTPStatus.BAD_REQUEST, INVALID, message, code, param, **more)


def missing(what: str, identifier: str, param: str, status: int = HTTPStatus.BAD_REQUEST) -> Rejection:
    """The object does not exist: 400 if a parameter names it, 404 if the path does."""
    return Rejection(status, INVALID, f"No such {what}: '{identifier}'", "resource_missing", param)


def unexpected_state(intent: Mapping[str, Any], message: str) -> Rejection:
    """The intent's state does not allow this: docs.stripe.com/error-codes."""
    return invalid("payment_intent_unexpected_state", message, payment_intent=intent)
