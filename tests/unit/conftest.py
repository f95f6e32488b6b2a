"""The options of the functions that unit tests call, and the contracts that their stage accepts."""

from collections.abc import Iterator
from pathlib import Path

import pytest

import tests.application
from daybook.application import application
from daybook.testing.world import World
from tests.application.catalogue import CATALOGUE
from tests.unit.world import NAMES, PAGER, SENDER


@pytest.fixture
def options() -> dict[str, str]:
    """The sender of e-mails, SES's configuration set, and the topic of the pager."""
    return {"sender": SENDER, "configuration-set": NAMES.of("emails"), "pager": PAGER, "terminology-server": "off"}


@pytest.fixture
def world(world: World) -> World:
    """A stage that accepts the contracts of the test application too."""
    world.knows(*CATALOGUE.values())
    return world


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The operator's commands serve the test application."""
    monkeypatch.chdir(Path(tests.application.__file__).parent)
    application.cache_clear()
    yield
    application.cache_clear()
