"""Clients, made at their first use and kept for the life of the process.

They come from botocore: `import boto3` would add s3transfer and more to each cold start.
"""

from functools import cache
from typing import Any

from botocore.awsrequest import AWSPreparedRequest
from botocore.config import Config
from botocore.loaders import Loader
from botocore.session import Session, get_session

# A call must end well before its function does; DynamoDB and SQS answer in milliseconds.
_CONFIG = Config(
    connect_timeout=2,  # seconds
    read_timeout=5,  # seconds
    retries={"mode": "standard", "total_max_attempts": 3},
    # botocore otherwise builds its long user-agent string anew, twice for every call.
    user_agent="daybook",
    account_id_endpoint_mode="disabled",
)


class _Loader(Loader):
    """botocore's loader of its services' models. It takes a service that is asked for to be one.

    botocore's own lists the folders of all 400 first, file by file: a twentieth of a function's start.
    """

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []

    def list_available_services(self, type_name: str) -> list[str]:  # noqa: ARG002 - botocore's signature
        return self.asked


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
    """The client of one AWS service, for example `dynamodb`. Region, endpoint and credentials are the process's."""
    return _made(service, _CONFIG)


@cache
def client_that_never_repeats(service: str, timeout: float) -> Any:
    """The same, but a call that is not answered within `timeout` seconds is not sent again: for what may happen only
    once. Each call has a connection of its own: one that was kept may have died while the process was frozen, and
    nobody would know whether the call had arrived.
    """
    once = Config(retries={"mode": "standard", "total_max_attempts": 1}, read_timeout=timeout)
    made = _made(service, _CONFIG.merge(once))
    made.meta.events.register("before-send", _close_afterwards)
    return made


def _close_afterwards(request: AWSPreparedRequest, **_: Any) -> None:
    request.headers["Connection"] = "close"


def _made(service: str, config: Config) -> Any:
    _loader().asked.append(service)
    return _session().create_client(service, config=config)
