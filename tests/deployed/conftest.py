"""The system is deployed once for all tests that only use it, and each function may do what its role allows."""

import io
from collections.abc import Iterator

import pytest
from rich.console import Console

from local.faults import Faults
from local.progress import Progress
from local.provider import Provider
from local.system import STAGE, up
from ops.connection import Connection
from tests.deployed.deployed import Deployed


@pytest.fixture(scope="session")
def faults(tmp_path_factory: pytest.TempPathFactory) -> Faults:
    """The faults of `system`, and what its functions call. There are none but those that a test brings."""
    return Faults(tmp_path_factory.mktemp("faults"))


@pytest.fixture(scope="session")
def provider() -> Iterator[Provider]:
    """The payment provider of `system`."""
    with Provider() as provider:
        yield provider


@pytest.fixture(scope="session")
def system(faults: Faults, provider: Provider) -> Iterator[Deployed]:
    with up(Progress(Console(file=io.StringIO())), iam=True, extra=faults.environment, provider=provider) as cloud:
        yield Deployed(cloud, Connection(STAGE, cloud.session(), endpoint=cloud.endpoint), provider)
