"""AWS clients, created at first use and kept for the life of the process.

They are botocore clients: `import boto3` would add s3transfer and more to each cold start.
"""

from functools import cache
from threading import Lock
from typing import Any

from botocore.awsrequest import AWSPreparedRequest
from botocore.config import Config
from botocore.loaders import Loader
from botocore.session import Session, get_session

# A call must end well before the function's timeout; DynamoDB and SQS answer in milliseconds.
_CONFIG = Config(
    connect_timeout=2,  # seconds
    read_timeout=5,  # seconds
    retries={"mode": "standard", "total_max_attempts": 3},
    # Otherwise botocore builds its long user-agent string twice for each call.
    user_agent="daybook",
    account_id_endpoint_mode="disabled",
)


# A session makes one client at a time (https://docs.aws.amazon.com/boto3/latest/guide/session.html); clients themselves
# may be used by several threads.
_CREATING = Lock()


class _Loader(Loader):
    """botocore's loader of service models, without the search for available services.

    botocore first lists the folders of all 400 services, file by file: 5 % of a function's start.
    """

    def __init__(self) -> None:
        super().__init__()
        self.services: list[str] = []

    def list_available_services(self, type_name: str) -> list[str]:  # noqa: ARG002 - botocore's signature
        return self.services


@cache
def _loader() -> _Loader:
    return _Loader()


@cache
def _session() -> Session:
    session = get_session()
    session.register_component("data_loader", _loader())
    return session


@cache
def client(service: str) -> Any:
    """The client of an AWS service, for example `dynamodb`. Region, endpoint and credentials are the process's."""
    return _create(service, _CONFIG)


@cache
def client_without_retries(service: str, timeout: float) -> Any:
    """A client that never retries a call, for calls that must not be repeated. `timeout` is in seconds.

    Each call opens a new connection. A kept-alive connection may have been closed while the process was frozen, and the
    caller could not know whether the call arrived.
    """
    once = Config(retries={"mode": "standard", "total_max_attempts": 1}, read_timeout=timeout)
    made = _create(service, _CONFIG.merge(once))
    made.meta.events.register("before-send", _close_afterwards)
    return made


def _close_afterwards(request: AWSPreparedRequest, **_: Any) -> None:
    request.headers["Connection"] = "close"


def _create(service: str, config: Config) -> Any:
    with _CREATING:
        _loader().services.append(service)
        return _session().create_client(service, config=config)
