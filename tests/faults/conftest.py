"""One system for all tests of faults. Tests without guards damage its state, so no other test may use it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from daybook.local.cloud import Cloud
from daybook.local.faults import Faults
from tests.deployed.deployed import Deployed, an_order, deployed_system, stock_received


@pytest.fixture(scope="package")
def faults(tmp_path_factory: pytest.TempPathFactory) -> Faults:
    return Faults(tmp_path_factory.mktemp("faults"), guards=True)


@pytest.fixture(scope="package")
def cloud(templates: Path, faults: Faults) -> Iterator[Cloud]:
    with deployed_system(templates, iam=False, faults=faults) as system:
        # The first order starts the functions' processes.
        system.receives(stock_received("mug", 1), an_order())
        yield system.cloud


@pytest.fixture
def system(cloud: Cloud) -> Deployed:
    """The system as each test sees it: it does not wait for events of other tests."""
    return Deployed.on(cloud)
