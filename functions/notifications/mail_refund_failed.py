"""E-mail the customer that a refund has failed, if the customer expects it: the amount was said to be refunded, or the
shop owes it for a cancelled order. The service desk knows of all others, because it has claimed them.
"""

from daybook.consumers.effect import effect
from daybook.consumers.effect_records import EffectRecord
from events.notifications import EmailRefused, EmailSent
from events.payments import RefundFailed
from functions.notifications.email import Content, Language, compose, format_money, language_of
from functions.notifications.send import send


def content(language: Language, refund: RefundFailed) -> Content:
    """The content of the e-mail."""
    amount = format_money(refund.amount, refund.customer)
    if language == "de":
        return Content(
            f"Ihre Rückzahlung zur Bestellung {refund.order_id} ist nicht angekommen",
            [
                f"wir wollten Ihnen {amount} zurückzahlen, aber Ihre Bank hat den Betrag nicht angenommen.",
                "Bitte melden Sie sich bei unserem Kundendienst, damit wir einen anderen Weg finden.",
            ],
        )
    return Content(
        f"The refund for your order {refund.order_id} did not arrive",
        [
            f"We wanted to refund {amount}, but your bank did not accept the amount.",
            "Please contact our service desk, so that we can find another way.",
        ],
    )


@effect(RefundFailed, idempotency_key="email/{order_id}/refund_failed/{refund_id}", emits=(EmailSent, EmailRefused))
def handler(refund: RefundFailed, record: EffectRecord) -> EmailSent | EmailRefused | None:
    if not (refund.paid_out or refund.reason == "paid_after_cancellation"):
        return record.without_call(None)
    with record.preparing():
        email = compose(refund.customer, content(language_of(refund.customer), refund))
    return send(email, record, kind="refund_failed", order_id=refund.order_id, number=refund.refund_id)
