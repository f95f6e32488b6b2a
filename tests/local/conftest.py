"""One stand-in for the payment provider, started once and reset for every test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from daybook.local.provider import Provider


@pytest.fixture(autouse=True)
def _signals(own_signals: None) -> None:
    """These tests interrupt their own process."""


@pytest.fixture(scope="session")
def running_provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provider]:
    with Provider(project=Path(tmp_path_factory.mktemp("project"))) as provider:
        yield provider


@pytest.fixture
def provider(running_provider: Provider, monkeypatch: pytest.MonkeyPatch) -> Provider:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")  # or Stripe's client would use the user's proxy
    running_provider.reset()
    return running_provider
