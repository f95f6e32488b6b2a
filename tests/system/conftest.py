"""The system is deployed once for all tests that only use it, and each function may do what its role allows."""

import io
from collections.abc import Iterator

import pytest
from rich.console import Console

from local.faults import Faults
from local.progress import Progress
from local.system import STAGE, up
from ops.connection import Connection
from tests.system.deployed import Deployed


@pytest.fixture(scope="session")
def faults(tmp_path_factory: pytest.TempPathFactory) -> Faults:
    """The faults of `system`, and what its functions call. There are none but those that a test brings."""
    return Faults(tmp_path_factory.mktemp("faults"))


@pytest.fixture(scope="session")
def system(faults: Faults) -> Iterator[Deployed]:
    with up(Progress(Console(file=io.StringIO())), iam=True, extra=faults.environment) as cloud:
        yield Deployed(cloud, Connection(STAGE, cloud.session(), endpoint=cloud.endpoint))
