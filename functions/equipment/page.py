"""The way of a page to the people on duty, through SNS. A page is sent at most once."""

from decimal import Decimal
from typing import Final

from botocore.exceptions import ClientError, ConnectTimeoutError, EndpointConnectionError

from daybook.consumers.effect_records import EffectRecord, NotPerformed
from daybook.consumers.failure import NonRetryable, kind
from daybook.runtime import aws
from daybook.runtime.settings import settings
from events.equipment import StaffPaged, Trouble

# SNS will never take this page, as it stands
# (https://docs.aws.amazon.com/sns/latest/api/API_Publish.html#API_Publish_Errors).
_REFUSES: Final = frozenset({"InvalidParameter", "ParameterValueInvalid", "ValidationException"})
_FAILED: Final = 500  # HTTP: from here on the service has failed, and may have begun with it
_UNAVAILABLE: Final = 503  # HTTP: but here it has not


def page(about: Trouble, record: EffectRecord, *, alarm_id: str, level: int) -> StaffPaged:
    """Send the page, and say that it was taken.

    Raises NotPerformed if SNS certainly did nothing, NonRetryable if it will never take it, and botocore's errors where
    nobody knows whether it has.
    """
    with record.preparing():
        sns = aws.client_that_never_repeats("sns", settings().call_timeout)
        topic = settings().option("pager")
        subject, message = f"{about.ward}: alarm, level {level}", text(about, alarm_id=alarm_id, level=level)
    try:
        answer = sns.publish(
            TopicArn=topic,
            Subject=subject,
            Message=message,
            # What a subscription may filter by.
            MessageAttributes={
                "ward": {"DataType": "String", "StringValue": about.ward},
                "level": {"DataType": "Number", "StringValue": str(level)},
            },
        )
    except (ConnectTimeoutError, EndpointConnectionError) as error:
        msg = "the pager cannot be reached"
        raise NotPerformed(msg) from error
    except ClientError as error:
        code = kind(error)
        if code in _REFUSES:
            msg = f"the pager will never take it: {code}"
            raise NonRetryable(msg) from error
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", _FAILED)
        if status < _FAILED or status == _UNAVAILABLE:
            msg = f"the pager does not take it: {code}"
            raise NotPerformed(msg) from error
        raise
    return StaffPaged(alarm_id=alarm_id, level=level, message_id=answer["MessageId"])


def text(about: Trouble, *, alarm_id: str, level: int) -> str:
    """What the people on duty read."""
    lines = [
        f"{about.ward}: {about.device_id} ({about.type})",
        _what(about),
        f"since {about.since:%Y-%m-%d %H:%M:%S} UTC",
    ]
    if level > 1:
        lines.append(f"Level {level}: nobody has acknowledged it yet.")
    return "\n".join([*lines, f"Alarm {alarm_id}"])


def _what(about: Trouble) -> str:
    if about.kind == "fault":
        return "The device reports a fault"
    if about.kind == "silence":
        return "Nothing is heard of the device"
    side = "at or below" if about.side == "low" else "at or above"
    return f"{about.name.capitalize()}: {_plain(about.value)} {about.unit}, {side} the limit of {_plain(about.limit)}"


def _plain(number: Decimal | None) -> str:
    return "?" if number is None else f"{number:f}"
