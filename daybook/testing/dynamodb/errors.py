"""The errors of requests: AWS's errors, and one for what is not implemented."""

from typing import Any


class ServiceError(Exception):
    """DynamoDB refuses the request. `more` are other members of the error."""

    def __init__(self, code: str, message: str, **more: Any) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.more = more

    @property
    def body(self) -> dict[str, Any]:
        """The error's body in the response."""
        return {"__type": f"com.amazonaws.dynamodb.v20120810#{self.code}", "message": self.message, **self.more}


class NotSupported(BaseException):
    """The request uses a part of DynamoDB that is not implemented here. Add it to `tests/dynamodb`, with tests.

    It is a BaseException, so that a consumer cannot catch it as a failed delivery.
    """


def invalid(message: str) -> ServiceError:
    """The error for a request, or a value in it, that DynamoDB does not allow."""
    return ServiceError("ValidationException", message)


def condition_failed(**more: Any) -> ServiceError:
    """The error for a condition that does not hold."""
    return ServiceError("ConditionalCheckFailedException", "The conditional request failed", **more)
