"""The system is deployed once for all tests that only use it."""

import io
from collections.abc import Iterator

import pytest
from rich.console import Console

from local.progress import Progress
from local.system import STAGE, up
from ops.connection import Connection
from tests.system.deployed import Deployed


@pytest.fixture(scope="session")
def system() -> Iterator[Deployed]:
    with up(Progress(Console(file=io.StringIO()))) as cloud:
        yield Deployed(cloud, Connection.to(STAGE, environment={"AWS_ENDPOINT_URL": cloud.endpoint}))
