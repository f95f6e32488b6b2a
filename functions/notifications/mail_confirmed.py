"""E-mail the customer that the order is confirmed."""

from daybook.consumers.effect import effect
from daybook.consumers.effect_records import EffectRecord
from events.notifications import EmailRefused, EmailSent
from events.orders import OrderConfirmed
from functions.notifications.email import Content, Language, compose, language_of
from functions.notifications.send import send


def content(language: Language, order_id: str) -> Content:
    """The content of the e-mail."""
    if language == "de":
        return Content(
            f"Ihre Bestellung {order_id} ist bestätigt",
            [f"vielen Dank für Ihre Bestellung {order_id}. Sie ist bezahlt, und wir packen sie gerade."],
            ["Sobald sie unterwegs ist, schreiben wir Ihnen wieder."],
        )
    return Content(
        f"Your order {order_id} is confirmed",
        [f"Thank you for your order {order_id}. It is paid, and we are packing it now."],
        ["We will write again as soon as it is on its way."],
    )


@effect(OrderConfirmed, idempotency_key="email/{order_id}/confirmed", emits=(EmailSent, EmailRefused))
def handler(order: OrderConfirmed, record: EffectRecord) -> EmailSent | EmailRefused:
    with record.preparing():
        customer, lines = order.purchase.customer, order.purchase.lines
        email = compose(customer, content(language_of(customer), order.order_id), lines)
    return send(email, record, kind="confirmed", order_id=order.order_id)
