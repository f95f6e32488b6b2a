"""What can go wrong between an operator and a stage, each in one sentence with the next step."""

from collections.abc import Iterable
from pathlib import Path
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
# What to say of AWS's errors, by their codes.
_REFUSALS = (
    (
        {"ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired"},
        "the AWS credentials have expired; sign in again (`aws sso login`, or new keys) and repeat the command",
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
            "AWS does not accept these credentials ({code}); check AWS_PROFILE and the keys it names, "
            "`aws sts get-caller-identity` shows who you are"
        ),
    ),
    (_DENIED, "AWS does not allow this ({operation}): {reason}; use a role that may, for example by AWS_PROFILE"),
    (
        _NOT_THERE,
        (
            "the stage {stage} is not deployed in this account and region ({operation} found nothing); "
            "check --stage, AWS_PROFILE and AWS_REGION, or deploy it: cdk deploy --all{or_local}"
        ),
    ),
    (_SLOW_DOWN, "AWS rejects calls because there are too many ({operation}); repeat the command in a minute"),
)


HOW_STREAMS_ARE_NAMED = "a stream is named by its kind and what it is about, as order/1001"


class OperatorError(Exception):
    """A command cannot do its work. The message is for people, and names the next step."""

    exit_code: ClassVar[int] = 2


class Unsuccessful(OperatorError):
    """The command did its work, and what was asked for does not exist, or was not done."""

    exit_code = 1


class NoLocalRun(OperatorError):
    """The stage is `local`, and nothing runs on this machine. `file` is what a run leaves, looked for in `places`."""

    def __init__(self, file: Path, places: Iterable[Path]) -> None:
        looked = ", ".join(str(place) for place in dict.fromkeys(places))
        super().__init__(
            f"no local run found: AWS_ENDPOINT_URL is not set, and no {file} of a living run is in any of {looked}; "
            "start one with `make run`"
        )


class NotALocalEndpoint(OperatorError):
    """The stage is `local`, and the endpoint is AWS itself. A local stage never reaches a real account."""

    def __init__(self, endpoint: str) -> None:
        super().__init__(
            f"the stage is local, but AWS_ENDPOINT_URL is AWS itself ({endpoint}); unset it, or name another --stage"
        )


class BadStage(OperatorError):
    """The stage's name cannot be part of names."""


class NotAStream(OperatorError):
    """What was given is no stream's name, nor a kind of streams: nothing is ever found by it."""

    def __init__(self, given: str) -> None:
        super().__init__(f"{given} names no stream: {HOW_STREAMS_ARE_NAMED}; nothing was done")


def code(error: ClientError) -> str:
    """AWS's name for what is wrong: `AccessDeniedException`."""
    return str(error.response.get("Error", {}).get("Code", "Unknown"))


def is_denied(error: ClientError) -> bool:
    """Whether the caller may not do this."""
    return code(error) in _DENIED


def is_not_there(error: ClientError) -> bool:
    """Whether there is no such thing."""
    return code(error) in _NOT_THERE


def is_throttled(error: ClientError) -> bool:
    """Whether AWS did nothing, because it was asked too often."""
    return code(error) in _SLOW_DOWN


def explain(error: BotoCoreError | ClientError, stage: str) -> str:
    """One sentence on what AWS, or the way to it, has against a command, with the next step."""
    return _refused(error, stage) if isinstance(error, ClientError) else _not_asked(error, stage)


def _refused(error: ClientError, stage: str) -> str:
    advice = (text for codes, text in _REFUSALS if code(error) in codes)
    return next(advice, "AWS refused {operation} ({code}): {reason}").format(
        code=code(error),
        operation=error.operation_name,
        reason=str(error.response.get("Error", {}).get("Message", "")).strip() or "no reason given",
        stage=stage,
        or_local=f" -c stage={stage}" if stage != "dev" else f" {_or_local(stage)}",
    )


def _not_asked(error: BotoCoreError, stage: str) -> str:
    if isinstance(error, NoCredentialsError | PartialCredentialsError):
        return f"no AWS credentials found; set AWS_PROFILE, or sign in with `aws configure sso` {_or_local(stage)}"
    if isinstance(error, NoRegionError):
        return f"no AWS region is set; say where {stage} is: AWS_REGION=eu-central-1 daybook … {_or_local(stage)}"
    if isinstance(error, ProfileNotFound):
        return f"{str(error).rstrip('.')}; set AWS_PROFILE to one that `aws configure list-profiles` shows"
    if isinstance(error, SSOError | LoginError | TokenRetrievalError):
        return "you are signed out of AWS; sign in again with `aws sso login` and repeat the command"
    if isinstance(error, ConnectionError | HTTPClientError):
        again = "is it still running? `make run` starts it" if stage == "local" else "check the network and AWS_REGION"
        return f"{str(error).rstrip('.')}; {again}"
    return f"{str(error).rstrip('.')}; nothing was asked of AWS"


def _or_local(stage: str) -> str:
    """Of whom AWS knows nothing may have forgotten to say which stage is meant."""
    unless = "the stage is dev by default; " if stage == "dev" else ""
    return f"({unless}the system that `make run` keeps up on this machine is --stage local)"
