"""Write to the customer that the parcel is on its way."""

from daybook.consumers.effect import effect
from daybook.consumers.effect_records import EffectRecord
from events.notifications import EmailRefused, EmailSent
from events.orders import OrderFulfilled
from functions.notifications.letter import Language, Words, language_of, letter
from functions.notifications.post import post


def words(language: Language, order: OrderFulfilled) -> Words:
    """What the letter says."""
    if language == "de":
        return Words(
            f"Ihre Bestellung {order.order_id} ist unterwegs",
            [
                f"Ihr Paket haben wir an {order.carrier} übergeben.",
                f"Unter der Nummer {order.tracking_number} können Sie es verfolgen.",
                "Es enthält:",
            ],
            ["Wir wünschen viel Freude damit."],
        )
    return Words(
        f"Your order {order.order_id} is on its way",
        [
            f"We have handed your parcel to {order.carrier}.",
            f"You can follow it by its tracking number {order.tracking_number}.",
            "It contains:",
        ],
        ["We hope that you will enjoy it."],
    )


@effect(OrderFulfilled, idempotency_key="letter/{order_id}/fulfilled", emits=(EmailSent, EmailRefused))
def handler(order: OrderFulfilled, record: EffectRecord) -> EmailSent | EmailRefused:
    with record.preparing():
        bought = order.purchase
        written = letter(bought.customer, words(language_of(bought.customer), order), bought.lines)
    return post(written, record, letter_id=f"{order.order_id}.fulfilled", order_id=order.order_id)
