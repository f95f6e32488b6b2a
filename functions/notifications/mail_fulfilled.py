"""E-mail the customer that the shipment is on its way."""

from daybook.consumers.effect import effect
from daybook.consumers.effect_records import EffectRecord
from events.notifications import EmailRefused, EmailSent
from events.orders import OrderFulfilled
from functions.notifications.email import Content, Language, compose, language_of
from functions.notifications.send import send


def content(language: Language, order: OrderFulfilled) -> Content:
    """The content of the e-mail."""
    if language == "de":
        return Content(
            f"Ihre Bestellung {order.order_id} ist unterwegs",
            [
                f"Ihre Sendung haben wir an {order.carrier} übergeben.",
                f"Unter der Nummer {order.tracking_number} können Sie sie verfolgen.",
                "Sie enthält:",
            ],
            ["Wir wünschen viel Freude damit."],
        )
    return Content(
        f"Your order {order.order_id} is on its way",
        [
            f"We have handed your shipment to {order.carrier}.",
            f"You can track it by its number {order.tracking_number}.",
            "It contains:",
        ],
        ["We hope that you will enjoy it."],
    )


@effect(OrderFulfilled, idempotency_key="email/{order_id}/fulfilled", emits=(EmailSent, EmailRefused))
def handler(order: OrderFulfilled, record: EffectRecord) -> EmailSent | EmailRefused:
    with record.preparing():
        customer, lines = order.purchase.customer, order.purchase.lines
        email = compose(customer, content(language_of(customer), order), lines)
    return send(email, record, kind="fulfilled", order_id=order.order_id)
