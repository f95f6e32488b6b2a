"""The system is deployed once for all tests that only use it, and each function may do what its role allows."""

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
    with up(Progress(Console(file=io.StringIO())), iam=True) as cloud:
        yield Deployed(cloud, Connection(STAGE, cloud.session(), endpoint=cloud.endpoint))
