"""The world that a test acts in: a process with this environment, and an AWS in memory."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import boto3
import pytest
from moto import mock_aws

from daybook.consumers.consumer import backbone
from daybook.local.provider import Provider
from daybook.runtime import aws, observability
from daybook.runtime.settings import option_variable, settings
from tests.dynamodb import DynamoDB
from tests.in_memory import aws_in_memory
from tests.unit import till as tills
from tests.unit.till import Till
from tests.unit.world import REGION, World, environment, tables


@pytest.fixture
def dynamodb(monkeypatch: pytest.MonkeyPatch) -> Iterator[DynamoDB]:
    """The DynamoDB that `world` is on. Its indexes can be told to lag, and its transactions to meet conflicts."""
    with _process(monkeypatch), aws_in_memory(tables()) as dynamodb:
        yield dynamodb


@pytest.fixture
def world(dynamodb: DynamoDB) -> World:  # noqa: ARG001 - it answers
    return World()


@pytest.fixture
def world_on_moto(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """The same world, with moto's DynamoDB: slower, and known to everybody."""
    with _process(monkeypatch), mock_aws():
        world = World()
        for table in tables():
            world.client.create_table(**table)
        yield world


@contextmanager
def _process(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A process of a function's, from its start to its end."""
    for variable, value in environment().items():
        monkeypatch.setenv(variable, value)
    _set_default_session()
    _forget()
    yield
    _forget()


@pytest.fixture(scope="session")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provider]:
    """One stand-in for the payment provider. Its book fills up: each test has an order of its own."""
    with Provider(project=Path(tmp_path_factory.mktemp("project"))) as provider:
        yield provider


@pytest.fixture
def till(provider: Provider, monkeypatch: pytest.MonkeyPatch, world: World) -> Iterator[Till]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")  # a proxy of the user's would be asked by Stripe's client
    monkeypatch.setenv(option_variable("stripe-key"), tills.SECRET)
    monkeypatch.setenv(option_variable("stripe-api"), provider.endpoint)
    boto3.client("secretsmanager").create_secret(Name=tills.SECRET, SecretString=provider.key)
    tills.new_process()
    yield Till(world, provider)
    tills.new_process()


@cache
def _set_default_session() -> None:
    """Have `boto3.client` make all clients of one session: each session reads the models of AWS's services anew."""
    boto3.setup_default_session(aws_access_key_id="testing", aws_secret_access_key="testing", region_name=REGION)


def _forget() -> None:
    """As if the process had just started. Loggers keep the output they were made with, which pytest changes."""
    for kept in (aws.client, aws.client_that_never_repeats, backbone, settings):
        kept.cache_clear()
    for told in (observability.logger, observability.metrics):
        told.cache_clear()
    known = logging.root.manager.loggerDict
    for name in [name for name, logger in known.items() if hasattr(logger, "powertools_handler")]:
        del known[name]
