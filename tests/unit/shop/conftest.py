"""Fixtures for tests of payments."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from daybook.local.provider import Provider
from daybook.runtime import aws
from daybook.runtime.settings import option_variable
from tests.unit.shop.payments import DEPLOYMENT, SECRET, Payments, start_new_process
from tests.unit.world import World


@pytest.fixture(scope="session")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provider]:
    """One stand-in for the payment provider. Each test uses its own order, because the book keeps all of them."""
    with Provider(project=Path(tmp_path_factory.mktemp("project"))) as provider:
        yield provider


@pytest.fixture
def payments(provider: Provider, monkeypatch: pytest.MonkeyPatch, world: World) -> Iterator[Payments]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")  # otherwise Stripe's client uses a proxy of the user's environment
    monkeypatch.setenv(option_variable("stripe-key"), SECRET)
    monkeypatch.setenv(option_variable("stripe-api"), provider.endpoint)
    monkeypatch.setenv(option_variable("deployment"), DEPLOYMENT)
    aws.client("secretsmanager").create_secret(Name=SECRET, SecretString=provider.key)
    start_new_process()
    yield Payments(world, provider)
    start_new_process()
