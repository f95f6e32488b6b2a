"""E-mail the customer that a refund was made."""

from daybook.consumers.effect import effect
from daybook.consumers.effect_records import EffectRecord
from events.notifications import EmailRefused, EmailSent
from events.payments import PaymentRefunded
from functions.notifications.email import Content, Language, compose, format_money, language_of
from functions.notifications.send import send


def content(language: Language, refund: PaymentRefunded) -> Content:
    """The content of the e-mail."""
    amount = format_money(refund.amount, refund.customer)
    late = refund.reason == "paid_after_cancellation"
    if language == "de":
        why = (
            "Ihre Zahlung ist eingetroffen, nachdem wir die Bestellung storniert hatten."
            if late
            else "wie mit unserem Kundendienst vereinbart, zahlen wir Ihnen Geld zurück."
        )
        return Content(
            f"Rückzahlung zu Ihrer Bestellung {refund.order_id}",
            [
                why,
                f"Wir haben Ihnen {amount} zurückgezahlt. Je nach Bank dauert es einige Tage, bis der Betrag da ist.",
            ],
        )
    why = (
        "Your payment arrived after we had cancelled the order."
        if late
        else "As agreed with our service desk, you get a refund."
    )
    return Content(
        f"Refund for your order {refund.order_id}",
        [why, f"We have refunded {amount}. Depending on your bank, it takes some days to arrive."],
    )


@effect(PaymentRefunded, idempotency_key="email/{order_id}/refunded/{refund_id}", emits=(EmailSent, EmailRefused))
def handler(refund: PaymentRefunded, record: EffectRecord) -> EmailSent | EmailRefused:
    with record.preparing():
        email = compose(refund.customer, content(language_of(refund.customer), refund))
    return send(email, record, kind="refunded", order_id=refund.order_id, number=refund.refund_id)
