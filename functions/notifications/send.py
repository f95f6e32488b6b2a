"""Send an e-mail through SES, at most once."""

from urllib.parse import quote

from botocore.exceptions import ClientError, ConnectTimeoutError, EndpointConnectionError

from daybook.consumers.effect_records import EffectRecord, NotPerformed
from daybook.consumers.failure import NonRetryable
from daybook.consumers.failure import kind as kind_of
from daybook.runtime import aws
from daybook.runtime.settings import settings
from events.notifications import EMAIL_HEADER, EmailRefused, EmailSent
from functions.notifications.email import Email

# SES will never send this e-mail: its address is not valid, or SES rejects its content
# (https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_SendEmail.html#API_SendEmail_Errors).
_REFUSALS = frozenset({"BadRequestException", "MessageRejected"})
# The sender or, in the sandbox, the recipient is not verified. Only the text of the error says so.
_UNVERIFIED = "not verified"
# The printable characters of ASCII, without % and the colon.
_UNENCODED = "".join(sorted(set(map(chr, range(0x20, 0x7F))) - set("%:")))
_SERVER_ERROR = 500  # HTTP: from this status on, the e-mail may have been sent
_UNAVAILABLE = 503  # HTTP: with this status it was not sent


def send(email: Email, record: EffectRecord, *, kind: str, order_id: str, number: str = "") -> EmailSent | EmailRefused:
    """Send the e-mail of this kind about an order. `number` is the id of what it is about, if there may be several.

    Raises NotPerformed if SES is down or busy, NonRetryable if an address is not verified, and botocore's errors if the
    outcome is unknown.
    """
    email_id = f"{_id_part(order_id)}.{kind}" + (f":{_id_part(number)}" if number else "")
    to = ascii_address(email.to)
    if to is None:
        return record.without_call(EmailRefused(email_id=email_id, order_id=order_id, reason="InvalidDomain"))
    with record.preparing():
        ses = aws.client_without_retries("sesv2", settings().call_timeout)
    try:
        answer = ses.send_email(
            FromEmailAddress=settings().option("sender"),
            Destination={"ToAddresses": [to]},
            ConfigurationSetName=settings().option("configuration-set"),
            Content={
                "Simple": {
                    "Subject": _utf8(email.subject),
                    "Body": {"Text": _utf8(email.text), "Html": _utf8(email.html)},
                    "Headers": [{"Name": EMAIL_HEADER, "Value": email_id}],
                }
            },
        )
    except (ConnectTimeoutError, EndpointConnectionError) as error:
        raise NotPerformed("SES cannot be reached") from error
    except ClientError as error:
        code = kind_of(error)
        if code in _REFUSALS and _UNVERIFIED in error.response["Error"].get("Message", ""):
            msg = "SES sends the e-mail only after its sender, or its recipient, is verified: see `daybook doctor`"
            raise NonRetryable(msg) from error
        if code in _REFUSALS:
            return EmailRefused(email_id=email_id, order_id=order_id, reason=code)
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", _SERVER_ERROR)
        if status < _SERVER_ERROR or status == _UNAVAILABLE:
            msg = f"SES does not accept the e-mail now: {code}"
            raise NotPerformed(msg) from error
        raise
    return EmailSent(email_id=email_id, order_id=order_id, message_id=answer["MessageId"])


def ascii_address(address: str) -> str | None:
    """The address with its domain in ASCII (`xn--bcher-kva.example`), as SES needs it; None if the domain is not valid.

    The domain is mapped by UTS 46, which also lowers its case, and encoded by RFC 5891.
    """
    if address.isascii():
        return address
    import idna  # noqa: PLC0415 - takes 10 ms, which few addresses need

    local, _, domain = address.rpartition("@")
    try:
        return f"{local}@{idna.encode(domain, uts46=True).decode()}"
    except idna.IDNAError:
        return None


def _id_part(number: str) -> str:
    """The number of an order or a refund in the id of an e-mail. Colons are encoded, so that no two ids are equal."""
    return quote(number, safe=_UNENCODED)


def _utf8(text: str) -> dict[str, str]:
    return {"Data": text, "Charset": "UTF-8"}
