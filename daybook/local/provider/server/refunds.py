"""Refunds: docs.stripe.com/refunds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from daybook.local.provider.server import currencies
from daybook.local.provider.server.account import Charge, Refund
from daybook.local.provider.server.refusal import invalid, missing

if TYPE_CHECKING:
    from collections.abc import Mapping

    from daybook.local.provider.server.account import Account, RefundStatus


def create(account: Account, params: Mapping[str, Any], key: str | None) -> Refund:
    """Refund a payment, by default all that is left of it: docs.stripe.com/api/refunds/create."""
    charge = _charge(account, params)
    if not charge.left:
        raise invalid("charge_already_refunded", f"Charge {charge.id} has already been refunded.")
    amount: int = params.get("amount", charge.left)
    currency = charge.intent.currency
    if amount > charge.left:
        raise invalid(
            None,
            f"Refund amount ({currencies.money(amount, currency)}) is greater than unrefunded amount on charge "
            f"({currencies.money(charge.left, currency)})",
            "amount",
        )
    status: RefundStatus = "pending" if charge.method.behaviour.pending_refunds else "succeeded"
    metadata = params.get("metadata", {})
    refund = Refund(charge, currencies.whole(amount, currency), key, params.get("reason"), metadata, status)
    charge.refunded += amount
    account.refunds[refund.id] = refund
    return refund


def settle(refund: Refund, failure: str | None) -> Refund:
    """A pending refund succeeds, or a refund fails with this reason, even if it has succeeded.

    The amount of a failed refund can be refunded again: docs.stripe.com/refunds#failed-refunds.
    """
    refund.status, refund.failure = ("failed", failure) if failure else ("succeeded", None)
    if failure:
        refund.charge.refunded -= refund.amount
    return refund


def retrieve(account: Account, identifier: str) -> Refund:
    """The refund with that id."""
    if identifier not in account.refunds:
        raise missing("refund", identifier, "refund", 404)
    return account.refunds[identifier]


def select(account: Account, params: Mapping[str, Any]) -> list[Refund]:
    """The refunds of one payment, or all: docs.stripe.com/api/refunds/list."""
    if "payment_intent" in params:
        account.intent(params["payment_intent"], "payment_intent", 400)
    return [
        refund
        for refund in account.refunds.values()
        if refund.charge.intent.id == params.get("payment_intent", refund.charge.intent.id)
        and refund.charge.id == params.get("charge", refund.charge.id)
    ]


def _charge(account: Account, params: Mapping[str, Any]) -> Charge:
    if "payment_intent" in params:
        intent = account.intent(params["payment_intent"], "payment_intent", 400)
        charge = intent.charge
    elif params["charge"] in account.charges:
        charge = account.charges[params["charge"]]
        intent = charge.intent
    else:
        raise missing("charge", params["charge"], "charge")
    if charge is None or charge.status != "succeeded":
        raise invalid(
            None, f"This PaymentIntent ({intent.id}) does not have a successful charge to refund.", "payment_intent"
        )
    return charge
