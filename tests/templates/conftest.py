"""Every stage that differs is synthesised once for all tests."""

from pathlib import Path

import pytest

from tests.templates.synthesis import Assembly, synthesise
from tests.unit.conftest import dynamodb, world  # noqa: F401 - for tests that hold what functions do against the templates
from tests.unit.world import NAMES


@pytest.fixture(scope="session")
def prod(tmp_path_factory: pytest.TempPathFactory) -> Assembly:
    return synthesise(
        _folder(tmp_path_factory), "prod", alarm_email="alarms@example.com", pager_email="pager@example.com"
    )


@pytest.fixture(scope="session")
def local(tmp_path_factory: pytest.TempPathFactory) -> Assembly:
    return synthesise(_folder(tmp_path_factory), "local")


@pytest.fixture(scope="session")
def dev(tmp_path_factory: pytest.TempPathFactory) -> Assembly:
    return synthesise(_folder(tmp_path_factory), "dev")


@pytest.fixture(scope="session")
def of_the_world(tmp_path_factory: pytest.TempPathFactory) -> Assembly:
    """The stage that the functions of `world` believe to be in."""
    return synthesise(_folder(tmp_path_factory), NAMES.stage)


def _folder(factory: pytest.TempPathFactory) -> Path:
    return factory.mktemp("assembly")
