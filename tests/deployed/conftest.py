"""The system is deployed once for all tests that only use it, and each function may do what its role allows."""

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.faults import Faults
from local.provider import Provider
from local.system import PROVIDER_UNKNOWN, SENDER, STAGE
from tests.deployed.deployed import Deployed, brought_up
from tests.templates.synthesis import synthesise


@pytest.fixture(scope="session")
def templates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The templates of the stage `local`, made once for all parallel workers. `brought_up` deploys them."""
    folder_of_run = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder_of_run = folder_of_run.parent
    made = folder_of_run / "templates"
    with (folder_of_run / "templates.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # until the file is closed
        if not made.exists():
            folder = tmp_path_factory.mktemp("templates-in-the-making")
            synthesise(folder, STAGE, stripe_api=PROVIDER_UNKNOWN, mail_from=SENDER)
            folder.rename(made)
    return made


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
def running_system(templates: Path, faults: Faults, provider: Provider) -> Iterator[Deployed]:
    """The system, with permissions enforced. All tests of a worker share it."""
    with brought_up(templates, iam=True, faults=faults, provider=provider) as system:
        yield system


@pytest.fixture
def system(running_system: Deployed) -> Deployed:
    """The shared system, as each test finds it: what others have left under way is not waited for."""
    return running_system.from_now_on()
