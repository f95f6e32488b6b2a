"""The way of a letter to the e-mail service, SES. A letter is sent at most once."""

from botocore.exceptions import ClientError, ConnectTimeoutError, EndpointConnectionError

from daybook.consumers.effect_records import EffectRecord, NotPerformed
from daybook.consumers.failure import NonRetryable, kind
from daybook.runtime import aws
from daybook.runtime.settings import settings
from events.notifications import LETTER_HEADER, EmailRefused, EmailSent
from functions.notifications.letter import Letter

# SES will never send this letter: it does not understand the address, or takes offence at the content
# (https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_SendEmail.html#API_SendEmail_Errors).
_REFUSES = frozenset({"BadRequestException", "MessageRejected"})
# Or it will send none yet: the sender or, in the sandbox, the receiver is not verified. It says so in words alone.
_UNVERIFIED = "not verified"
_FAILED = 500  # HTTP: from here on the service has failed, and may have begun with it
_UNAVAILABLE = 503  # HTTP: but here it has not


def post(letter: Letter, record: EffectRecord, *, letter_id: str, order_id: str) -> EmailSent | EmailRefused:
    """Send the letter, and say what became of that.

    Raises NotPerformed if SES is down or busy, NonRetryable if it will not send it, and botocore's errors where nobody
    knows whether it has.
    """
    with record.preparing():
        ses = aws.client_that_never_repeats("sesv2", settings().call_timeout)
    try:
        answer = ses.send_email(
            FromEmailAddress=settings().option("sender"),
            Destination={"ToAddresses": [letter.to]},
            ConfigurationSetName=settings().option("configuration-set"),
            Content={
                "Simple": {
                    "Subject": _utf8(letter.subject),
                    "Body": {"Text": _utf8(letter.text), "Html": _utf8(letter.html)},
                    "Headers": [{"Name": LETTER_HEADER, "Value": letter_id}],
                }
            },
        )
    except (ConnectTimeoutError, EndpointConnectionError) as error:
        msg = "the e-mail service cannot be reached"
        raise NotPerformed(msg) from error
    except ClientError as error:
        code = kind(error)
        if code in _REFUSES and _UNVERIFIED in error.response["Error"].get("Message", ""):
            msg = "the e-mail service sends it only once sender, or receiver, is verified: see `daybook doctor`"
            raise NonRetryable(msg) from error
        if code in _REFUSES:
            return EmailRefused(letter_id=letter_id, order_id=order_id, reason=code)
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", _FAILED)
        if status < _FAILED or status == _UNAVAILABLE:
            msg = f"the e-mail service does not take it: {code}"
            raise NotPerformed(msg) from error
        raise
    return EmailSent(letter_id=letter_id, order_id=order_id, message_id=answer["MessageId"])


def _utf8(text: str) -> dict[str, str]:
    return {"Data": text, "Charset": "UTF-8"}
