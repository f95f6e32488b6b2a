"""Write to the customer that money was paid back."""

from daybook.consumers.effect import effect
from daybook.consumers.effect_records import EffectRecord
from events.notifications import EmailRefused, EmailSent
from events.payments import PaymentRefunded
from functions.notifications.letter import Language, Words, language_of, letter, written
from functions.notifications.post import post


def words(language: Language, refund: PaymentRefunded) -> Words:
    """What the letter says."""
    amount = written(refund.amount, refund.customer)
    late = refund.because == "paid_after_cancellation"
    if language == "de":
        why = (
            "Ihre Zahlung ist eingetroffen, nachdem wir die Bestellung storniert hatten."
            if late
            else "wie mit unserem Kundendienst vereinbart, zahlen wir Ihnen Geld zurück."
        )
        return Words(
            f"Rückzahlung zu Ihrer Bestellung {refund.order_id}",
            [
                why,
                f"Wir haben Ihnen {amount} zurückgezahlt. Je nach Bank dauert es einige Tage, bis der Betrag da ist.",
            ],
        )
    why = (
        "Your payment has reached us after we had cancelled the order."
        if late
        else "As agreed with our service desk, you get money back."
    )
    return Words(
        f"Refund for your order {refund.order_id}",
        [why, f"We have paid back {amount}. Depending on your bank it takes some days to arrive."],
    )


@effect(PaymentRefunded, idempotency_key="letter/{order_id}/refunded/{refund_id}", emits=(EmailSent, EmailRefused))
def handler(refund: PaymentRefunded, record: EffectRecord) -> EmailSent | EmailRefused:
    with record.preparing():
        told = letter(refund.customer, words(language_of(refund.customer), refund))
    # No id of an order or a refund holds a colon: no two letters have one name.
    letter_id = f"{refund.order_id}.refunded:{refund.refund_id}"
    return post(told, record, letter_id=letter_id, order_id=refund.order_id)
