"""The system is deployed once for all tests that only use it, and each function may do what its role allows."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from daybook.local.faults import Faults
from daybook.local.provider import Provider
from tests.deployed.deployed import Deployed, deployed_system


@pytest.fixture(scope="session")
def faults(tmp_path_factory: pytest.TempPathFactory) -> Faults:
    """The faults of `system`, and the recorded calls of its functions. Without a test's faults there are none."""
    return Faults(tmp_path_factory.mktemp("faults"))


@pytest.fixture(scope="session")
def provider() -> Iterator[Provider]:
    """The payment provider of `system`."""
    with Provider() as provider:
        yield provider


@pytest.fixture(scope="session")
def running_system(templates: Path, faults: Faults, provider: Provider) -> Iterator[Deployed]:
    """The system, with permissions enforced. All tests of a worker share it."""
    with deployed_system(templates, iam=True, faults=faults, provider=provider) as system:
        yield system


@pytest.fixture
def system(running_system: Deployed) -> Deployed:
    """The shared system. Unfinished work of other tests is not waited for."""
    return running_system.from_now_on()
