"""Write to the customer that the order is cancelled, and why."""

from daybook.consumers.effect import effect
from daybook.consumers.effect_records import EffectRecord
from events.notifications import EmailRefused, EmailSent
from events.orders import OrderCancelled
from functions.notifications.letter import Language, Words, language_of, letter
from functions.notifications.post import post


def words(language: Language, order: OrderCancelled) -> Words:
    """What the letter says."""
    if language == "de":
        return Words(
            f"Ihre Bestellung {order.order_id} ist storniert",
            [_reason_in_german(order), "Es geht um diese Bestellung:"],
            ["Wir würden uns freuen, wenn Sie es noch einmal versuchen."],
        )
    return Words(
        f"Your order {order.order_id} is cancelled",
        [_reason(order), "This was your order:"],
        ["We would be glad if you tried again."],
    )


def _reason(order: OrderCancelled) -> str:
    match order.because:
        case "out_of_stock":
            missing = ", ".join(order.missing)
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
                f"Your payment has not reached us in time, so we have cancelled your order {order.order_id}. "
                "Should it still arrive, we will pay it back at once."
            )


def _reason_in_german(order: OrderCancelled) -> str:
    match order.because:
        case "out_of_stock":
            missing = ", ".join(order.missing)
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


@effect(OrderCancelled, idempotency_key="letter/{order_id}/cancelled", emits=(EmailSent, EmailRefused))
def handler(order: OrderCancelled, record: EffectRecord) -> EmailSent | EmailRefused:
    with record.preparing():
        bought = order.purchase
        written = letter(bought.customer, words(language_of(bought.customer), order), bought.lines)
    return post(written, record, letter_id=f"{order.order_id}.cancelled", order_id=order.order_id)
