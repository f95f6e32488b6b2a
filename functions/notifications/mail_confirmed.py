"""Write to the customer that the order is confirmed."""

from daybook.consumers.effect import effect
from daybook.consumers.effect_records import EffectRecord
from events.notifications import EmailRefused, EmailSent
from events.orders import OrderConfirmed
from functions.notifications.letter import Language, Words, language_of, letter
from functions.notifications.post import post


def words(language: Language, order_id: str) -> Words:
    """What the letter says."""
    if language == "de":
        return Words(
            f"Ihre Bestellung {order_id} ist bestätigt",
            [f"vielen Dank für Ihre Bestellung {order_id}. Sie ist bezahlt, und wir packen sie gerade."],
            ["Sobald sie unterwegs ist, schreiben wir Ihnen wieder."],
        )
    return Words(
        f"Your order {order_id} is confirmed",
        [f"Thank you for your order {order_id}. It is paid, and we are packing it now."],
        ["We will write again as soon as it is on its way."],
    )


@effect(OrderConfirmed, idempotency_key="letter/{order_id}/confirmed", emits=(EmailSent, EmailRefused))
def handler(order: OrderConfirmed, record: EffectRecord) -> EmailSent | EmailRefused:
    with record.preparing():
        bought = order.purchase
        written = letter(bought.customer, words(language_of(bought.customer), order.order_id), bought.lines)
    return post(written, record, letter_id=f"{order.order_id}.confirmed", order_id=order.order_id)
