"""Each stage that differs is synthesized once for all tests of a run, in whichever worker they run."""

import os
from pathlib import Path

import pytest

from tests.templates.synthesis import Assembly, once, synthesise, synthesise_unchecked
from tests.unit.conftest import world  # noqa: F401 - for tests that compare what functions do with the templates
from tests.unit.world import NAMES

EMAILS = {"alarm_email": "alarms@example.com", "pager_email": "pager@example.com"}


@pytest.fixture(scope="session")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Assembly:
    """The real app, checked by cdk-nag, for a stage on AWS: the one whose name the functions of `world` are given."""
    folder = _shared(tmp_path_factory) / "assembly-aws"
    once(folder, lambda target: synthesise(target, NAMES.stage, EMAILS))
    return Assembly(folder, NAMES.stage)


@pytest.fixture(scope="session")
def local(tmp_path_factory: pytest.TempPathFactory) -> Assembly:
    """The stage of the local cloud. cdk-nag has nothing more to say of it than of `aws`."""
    folder = _shared(tmp_path_factory) / "assembly-local"
    once(folder, lambda target: synthesise_unchecked(target, "local"))
    return Assembly(folder, "local")


def _shared(factory: pytest.TempPathFactory) -> Path:
    """A folder of this run, the same for all its workers."""
    own = factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
