"""Every stage that differs is synthesised once for all tests."""

from pathlib import Path

import pytest

from tests.stacks.synthesis import Assembly, synthesise


@pytest.fixture(scope="session")
def prod(tmp_path_factory: pytest.TempPathFactory) -> Assembly:
    return synthesise(_folder(tmp_path_factory), "prod", alarm_email="alarms@example.com")


@pytest.fixture(scope="session")
def local(tmp_path_factory: pytest.TempPathFactory) -> Assembly:
    return synthesise(_folder(tmp_path_factory), "local")


@pytest.fixture(scope="session")
def dev(tmp_path_factory: pytest.TempPathFactory) -> Assembly:
    return synthesise(_folder(tmp_path_factory), "dev")


def _folder(factory: pytest.TempPathFactory) -> Path:
    return factory.mktemp("assembly")
