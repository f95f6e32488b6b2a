"""E-mail the customer that the order is cancelled, and why."""

from daybook.consumers.effect import effect
from daybook.consumers.effect_records import EffectRecord
from events.notifications import EmailRefused, EmailSent
from events.orders import OrderCancelled, articles
from functions.notifications.email import Content, Language, article_name, compose, language_of
from functions.notifications.send import send


def content(language: Language, order: OrderCancelled) -> Content:
    """The content of the e-mail."""
    if language == "de":
        return Content(
            f"Ihre Bestellung {order.order_id} ist storniert",
            [_reason_in_german(order), "Es geht um diese Bestellung:"],
            ["Wir würden uns freuen, wenn Sie es noch einmal versuchen."],
        )
    return Content(
        f"Your order {order.order_id} is cancelled",
        [_reason(order), "This was your order:"],
        ["We would be glad if you tried again."],
    )


def _reason(order: OrderCancelled) -> str:
    match order.reason:
        case "out_of_stock":
            missing = _missing(order)
            return (
                f"We are sorry: we no longer have enough of {missing}, so we had to cancel your order "
                f"{order.order_id}. You have not been charged."
            )
        case "payment_failed":
            return (
                f"Your payment was not accepted, so we have cancelled your order {order.order_id}. "
                "You have not been charged."
            )
        case "not_paid_in_time":
            return (
                f"Your payment did not arrive in time, so we have cancelled your order {order.order_id}. "
                "If it still arrives, we will refund it."
            )


def _reason_in_german(order: OrderCancelled) -> str:
    match order.reason:
        case "out_of_stock":
            missing = _missing(order)
            return (
                f"leider haben wir nicht mehr genug von {missing} und mussten Ihre Bestellung {order.order_id} "
                "stornieren. Es wurde nichts abgebucht."
            )
        case "payment_failed":
            return (
                f"Ihre Zahlung wurde nicht angenommen, daher haben wir Ihre Bestellung {order.order_id} storniert. "
                "Es wurde nichts abgebucht."
            )
        case "not_paid_in_time":
            return (
                f"Ihre Zahlung ist nicht rechtzeitig eingegangen, daher haben wir Ihre Bestellung {order.order_id} "
                "storniert. Sollte sie noch eintreffen, zahlen wir sie sofort zurück."
            )


def _missing(order: OrderCancelled) -> str:
    """The articles that are out of stock, as the customer knows them."""
    names = {line.sku: article_name(line) for line in articles(order.purchase.lines)}
    return ", ".join(names.get(sku, sku) for sku in order.missing)


@effect(OrderCancelled, idempotency_key="email/{order_id}/cancelled", emits=(EmailSent, EmailRefused))
def handler(order: OrderCancelled, record: EffectRecord) -> EmailSent | EmailRefused:
    with record.preparing():
        customer, lines = order.purchase.customer, order.purchase.lines
        email = compose(customer, content(language_of(customer), order), lines)
    return send(email, record, kind="cancelled", order_id=order.order_id)
