"""The stand-in's own API besides Stripe's: its records, its faults, and actions of banks and customers."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from daybook.local.provider.server import intents, refunds
from daybook.local.provider.server.api import ORDER
from daybook.local.provider.server.refusal import Answer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from daybook.local.provider.server.account import Account, Charge, Intent, Refund
    from daybook.local.provider.server.api import Api

PREFIX = "/_stand-in/"


def answer(api: Api, method: str, path: str, params: Any) -> Answer:
    """Answer a request at a path below `PREFIX`; 404 if there is no such path."""
    match (method, *path.removeprefix(PREFIX).split("/")):
        case ("GET", "book"):
            return Answer(HTTPStatus.OK, _book(api))
        case ("POST", "faults"):
            for rule in params:
                api.faults.inject(rule)
        case ("GET", "faults", identifier):
            return Answer(HTTPStatus.OK, {"count": api.faults.count(identifier)})
        case ("DELETE", "faults", identifier):
            api.faults.lift(identifier)
        case ("POST", "settle"):
            return _settle(api.account, params)
        case ("POST", "settle-refund"):
            return _settle_refund(api.account, params)
        case ("POST", "forget-keys"):
            api.keys.forget()
        case ("POST", "reset"):
            api.forget()
        case _:
            return Answer(HTTPStatus.NOT_FOUND, {"error": f"{method} {path}: no such path"})
    return Answer(HTTPStatus.OK, {})


def _settle(account: Account, params: Mapping[str, Any]) -> Answer:
    with account.lock:
        waiting = [
            intent
            for intent in account.intents.values()
            if intent.status in ("processing", "requires_action")
            and intent.id == (params["intent"] or intent.id)
            and params["order"] in (None, intent.metadata.get(ORDER))
        ]
        if len(waiting) != 1:
            message = (
                f"{len(waiting)} payments wait to be settled, of order {params['order']}, intent {params['intent']}"
            )
            return Answer(HTTPStatus.CONFLICT, {"error": message})
        return Answer(HTTPStatus.OK, intents.settle(account, waiting[0], params["fails"]).as_stripe())


def _settle_refund(account: Account, params: Mapping[str, Any]) -> Answer:
    with account.lock:
        may_change = {"pending", "succeeded"} if params["fails"] else {"pending"}
        waiting = [
            refund
            for refund in account.refunds.values()
            if refund.status in may_change
            and refund.charge.intent.metadata.get(ORDER) == params["order"]
            and params["refund"] in (None, refund.id)
        ]
        if len(waiting) != 1:
            message = (
                f"{len(waiting)} refunds of the order {params['order']} can be settled so, refund {params['refund']}"
            )
            return Answer(HTTPStatus.CONFLICT, {"error": message})
        return Answer(HTTPStatus.OK, refunds.settle(waiting[0], params["fails"]).as_stripe())


def _book(api: Api) -> dict[str, Any]:
    account = api.account
    with account.lock:
        return {
            "payments": [_payment(intent) for intent in account.intents.values()],
            "charges": [_charge(charge) for charge in account.charges.values()],
            "refunds": [_refund(refund) for refund in account.refunds.values()],
            "calls": dict(api.calls),
        }


def _payment(intent: Intent) -> dict[str, Any]:
    return {**_money(intent, intent.amount), "id": intent.id, "status": intent.status, "at": intent.at}


def _charge(charge: Charge) -> dict[str, Any]:
    return {
        **_money(charge.intent, charge.intent.amount),
        "id": charge.id,
        "payment": charge.intent.id,
        "status": charge.status,
        "failure": charge.failure,
        "payment_method": charge.method.name,
        "idempotency_key": charge.key,
        "at": charge.at,
    }


def _refund(refund: Refund) -> dict[str, Any]:
    money = _money(refund.charge.intent, refund.amount)
    return {
        **money,
        "id": refund.id,
        "payment": refund.charge.intent.id,
        "charge": refund.charge.id,
        "metadata": money["metadata"] | refund.metadata,
        "status": refund.status,
        "failure": refund.failure,
        "idempotency_key": refund.key,
        "at": refund.at,
    }


def _money(intent: Intent, amount: int) -> dict[str, Any]:
    return {
        "order": intent.metadata.get(ORDER),
        "amount": amount,
        "currency": intent.currency,
        "metadata": intent.metadata,
    }
