"""The world that a test acts in: a process with this environment, and AWS in moto."""

import logging
from collections.abc import Iterator

import pytest
from moto import mock_aws

from backbone import aws, observability
from backbone.consumer import backbone
from backbone.settings import settings
from tests.unit.world import ENVIRONMENT, World


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    for variable, value in ENVIRONMENT.items():
        monkeypatch.setenv(variable, value)
    _forget()
    with mock_aws():
        yield World()
    _forget()


def _forget() -> None:
    """As if the process had just started. Loggers keep the output they were made with, which pytest changes."""
    for kept in (aws.client, aws.client_that_never_repeats, backbone, settings):
        kept.cache_clear()
    for told in (observability.logger, observability.metrics):
        told.cache_clear()
    known = logging.root.manager.loggerDict
    for name in [name for name, logger in known.items() if hasattr(logger, "powertools_handler")]:
        del known[name]
