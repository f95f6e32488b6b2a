"""One system for all tests of faults: without its guards, functions leave it broken, so no other test can use it."""

import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from local.cloud import Cloud
from local.faults import Faults
from local.progress import Progress
from local.system import STAGE, up
from ops.connection import Connection
from tests.deployed.deployed import Deployed, an_order, goods


@pytest.fixture(scope="package")
def faults(tmp_path_factory: pytest.TempPathFactory) -> Faults:
    return Faults(tmp_path_factory.mktemp("faults"), guards=True)


@pytest.fixture(scope="package")
def cloud(templates: Path, faults: Faults) -> Iterator[Cloud]:
    with up(Progress(Console(file=io.StringIO())), extra=faults.environment, templates=templates) as cloud:
        # The first order starts the functions' processes.
        deployed(cloud).receives(goods("mug", 1), an_order())
        yield cloud


@pytest.fixture
def system(cloud: Cloud) -> Deployed:
    """As each test finds it: events that other tests sent are not waited for."""
    return deployed(cloud)


def deployed(cloud: Cloud) -> Deployed:
    return Deployed(cloud, Connection(STAGE, cloud.session(), endpoint=cloud.endpoint))
