"""One system for all tests of faults: without its guards, functions leave it broken, so no other test can use it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from daybook.local.cloud import Cloud
from daybook.local.faults import Faults
from tests.deployed.deployed import Deployed, an_order, brought_up, goods


@pytest.fixture(scope="package")
def faults(tmp_path_factory: pytest.TempPathFactory) -> Faults:
    return Faults(tmp_path_factory.mktemp("faults"), guards=True)


@pytest.fixture(scope="package")
def cloud(templates: Path, faults: Faults) -> Iterator[Cloud]:
    with brought_up(templates, iam=False, faults=faults) as system:
        # The first order starts the functions' processes.
        system.receives(goods("mug", 1), an_order())
        yield system.cloud


@pytest.fixture
def system(cloud: Cloud) -> Deployed:
    """As each test finds it: events that other tests sent are not waited for."""
    return Deployed.on(cloud)
