"""Errors of commands and of AWS, each explained in one sentence with the next step."""

from typing import ClassVar

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionError,  # noqa: A004 - botocore's name for what cannot be reached
    HTTPClientError,
    LoginError,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
    ProfileNotFound,
    SSOError,
    TokenRetrievalError,
)

from daybook.operate.terminal import deployment

_DENIED = {"AccessDenied", "AccessDeniedException", "NotAuthorized", "UnauthorizedOperation"}
_NOT_THERE = {
    "AWS.SimpleQueueService.NonExistentQueue",
    "NotFound",
    "NotFoundException",
    "QueueDoesNotExist",
    "ResourceNotFoundException",
}
_SLOW_DOWN = {
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "Throttling",
    "ThrottlingException",
}
# Explanations of AWS errors, by error code.
_REFUSALS = (
    (
        {"ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired"},
        "the AWS credentials have expired; sign in again (`aws sso login`, or new keys), and repeat the command",
    ),
    (
        {
            "AuthFailure",
            "IncompleteSignature",
            "InvalidAccessKeyId",
            "InvalidClientTokenId",
            "InvalidSignatureException",
            "SignatureDoesNotMatch",
            "UnrecognizedClientException",
        },
        (
            "AWS does not accept these credentials ({code}); check AWS_PROFILE and its keys with "
            "`aws sts get-caller-identity`"
        ),
    ),
    (
        _DENIED,
        "AWS does not allow this ({operation}): {reason}; use a role that has the permission (AWS_PROFILE)",
    ),
    (
        _NOT_THERE,
        (
            "the stage {stage} is not deployed in this account and region ({operation} found nothing); "
            "check --stage, AWS_PROFILE and AWS_REGION, or deploy it: {deployment}{local_hint}"
        ),
    ),
    (_SLOW_DOWN, "AWS throttles calls ({operation}); repeat the command in a minute"),
)


STREAM_NAME_FORMAT = "the name of a stream has the form KIND/ID, for example order/1001"


class OperatorError(Exception):
    """A command fails. The message is for operators, and names the next step."""

    exit_code: ClassVar[int] = 2


class Unsuccessful(OperatorError):
    """The command ran, but something does not exist or was not done."""

    exit_code = 1


class NoLocalRun(OperatorError):
    """The stage is `local`, and no local run was found."""


class NotALocalEndpoint(OperatorError):
    """The stage is `local`, but the endpoint is AWS. The stage `local` never reaches a real account."""


class BadStage(OperatorError):
    """The name of the stage is not valid."""


class NotAStream(OperatorError):
    """The text is neither the name of a stream nor a kind of streams."""

    def __init__(self, given: str) -> None:
        super().__init__(f"{given} is not the name of a stream: {STREAM_NAME_FORMAT}. Nothing was done")


def code(error: ClientError) -> str:
    """The error code of AWS, for example `AccessDeniedException`."""
    return str(error.response.get("Error", {}).get("Code", "Unknown"))


def is_denied(error: ClientError) -> bool:
    """Whether the caller lacks the permission."""
    return code(error) in _DENIED


def is_not_there(error: ClientError) -> bool:
    """Whether the resource does not exist."""
    return code(error) in _NOT_THERE


def is_throttled(error: ClientError) -> bool:
    """Whether AWS throttled the call."""
    return code(error) in _SLOW_DOWN


def explain(error: BotoCoreError | ClientError, stage: str) -> str:
    """One sentence about the error, with the next step."""
    return _refused(error, stage) if isinstance(error, ClientError) else _no_answer(error, stage)


def _refused(error: ClientError, stage: str) -> str:
    advice = (text for codes, text in _REFUSALS if code(error) in codes)
    return next(advice, "AWS refused {operation} ({code}): {reason}").format(
        code=code(error),
        operation=error.operation_name,
        reason=str(error.response.get("Error", {}).get("Message", "")).strip() or "no reason given",
        stage=stage,
        deployment=deployment(stage),
        local_hint=f" {_local_hint(stage)}" if stage == "dev" else "",
    )


def _no_answer(error: BotoCoreError, stage: str) -> str:
    if isinstance(error, NoCredentialsError | PartialCredentialsError):
        return f"no AWS credentials found; set AWS_PROFILE, or sign in with `aws configure sso` {_local_hint(stage)}"
    if isinstance(error, NoRegionError):
        return (
            f"no AWS region is set; set the region of {stage}: AWS_REGION=eu-central-1 daybook … {_local_hint(stage)}"
        )
    if isinstance(error, ProfileNotFound):
        return f"{str(error).rstrip('.')}; set AWS_PROFILE to one that `aws configure list-profiles` shows"
    if isinstance(error, SSOError | LoginError | TokenRetrievalError):
        return "you are signed out of AWS; sign in again with `aws sso login`, and repeat the command"
    if isinstance(error, ConnectionError | HTTPClientError):
        again = "is it still running? `make run` starts it" if stage == "local" else "check the network and AWS_REGION"
        return f"{str(error).rstrip('.')}; {again}"
    return f"{str(error).rstrip('.')}; AWS was not called"


def _local_hint(stage: str) -> str:
    """Someone without credentials may have forgotten `--stage local`."""
    unless = "the default stage is dev; " if stage == "dev" else ""
    return f"({unless}for the system that `make run` runs, use --stage local)"
