"""Send a page to the staff on duty through SNS, at most once."""

from decimal import Decimal
from typing import Final

from botocore.exceptions import ClientError, ConnectTimeoutError, EndpointConnectionError

from daybook.consumers.effect_records import EffectRecord, NotPerformed
from daybook.consumers.failure import NonRetryable, kind
from daybook.runtime import aws
from daybook.runtime.settings import settings
from events.equipment import Problem, StaffPaged

# With these errors SNS refuses the page on every retry
# (https://docs.aws.amazon.com/sns/latest/api/API_Publish.html#API_Publish_Errors).
_INVALID: Final = frozenset({"InvalidParameter", "ParameterValueInvalid", "ValidationException"})
_SERVER_ERROR: Final = 500  # HTTP: with this status or a higher one SNS may have sent the page
_UNAVAILABLE: Final = 503  # HTTP: SNS has not handled the request


def page(problem: Problem, record: EffectRecord, *, alarm_id: str, level: int) -> StaffPaged:
    """Send the page, and return the event with the pager's id of it.

    Raises NotPerformed if SNS certainly did not send it, NonRetryable if SNS would refuse it on every retry, and
    botocore's errors if the outcome is unknown.
    """
    with record.preparing():
        sns = aws.client_without_retries("sns", settings().call_timeout)
        topic = settings().option("pager")
        subject, message = f"{problem.ward}: alarm, level {level}", text(problem, alarm_id=alarm_id, level=level)
    try:
        answer = sns.publish(
            TopicArn=topic,
            Subject=subject,
            Message=message,
            # A subscription may filter by these.
            MessageAttributes={
                "ward": {"DataType": "String", "StringValue": problem.ward},
                "level": {"DataType": "Number", "StringValue": str(level)},
            },
        )
    except (ConnectTimeoutError, EndpointConnectionError) as error:
        msg = "cannot connect to the pager (SNS)"
        raise NotPerformed(msg) from error
    except ClientError as error:
        code = kind(error)
        if code in _INVALID:
            msg = f"the pager (SNS) refuses this page on every retry: {code}"
            raise NonRetryable(msg) from error
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", _SERVER_ERROR)
        if status < _SERVER_ERROR or status == _UNAVAILABLE:
            msg = f"the pager (SNS) did not send the page: {code}"
            raise NotPerformed(msg) from error
        raise
    return StaffPaged(alarm_id=alarm_id, level=level, message_id=answer["MessageId"])


def text(problem: Problem, *, alarm_id: str, level: int) -> str:
    """The text of the page."""
    lines = [
        f"{problem.ward}: {problem.device_id} ({problem.type})",
        _description(problem),
        f"since {problem.since:%Y-%m-%d %H:%M:%S} UTC",
    ]
    if level > 1:
        lines.append(f"Level {level}: nobody has acknowledged this alarm yet.")
    return "\n".join([*lines, f"Alarm {alarm_id}"])


def _description(problem: Problem) -> str:
    if problem.kind == "fault":
        return "The device reports a fault"
    if problem.kind == "silence":
        return "The device sends no reports"
    side = "at or below" if problem.side == "low" else "at or above"
    value, limit = _plain(problem.value), _plain(problem.limit)
    return f"{problem.name.capitalize()}: {value} {problem.unit}, {side} the limit of {limit}"


def _plain(number: Decimal | None) -> str:
    return "?" if number is None else f"{number:f}"
