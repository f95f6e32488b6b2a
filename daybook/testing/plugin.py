"""The pytest fixtures of Daybook, for tests of an application:

    # tests/conftest.py
    pytest_plugins = ["daybook.testing.plugin"]

* `world`: a stage in memory, and a process with the environment of a function. See `World`.
* `dynamodb`: the DynamoDB of `world`. Its indexes can lag, and its transactions can conflict.
* `world_on_moto`: the same stage on moto's DynamoDB, which is slower.
* `catalogue`: the contracts that admit accepts, by default the application's.
* `options`: options that stacks pass to functions, by name. Override this fixture if functions have any.
"""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, cast

import boto3
import botocore.session
import pytest
from moto import mock_aws

from daybook.application import application
from daybook.consumers.consumer import backbone, journal_shards
from daybook.contracts import clock
from daybook.contracts.catalogue import Catalogue
from daybook.runtime import aws, observability
from daybook.runtime.keyring import keyring
from daybook.runtime.settings import settings
from daybook.testing.aws import aws_in_memory
from daybook.testing.clients import keep_clients
from daybook.testing.dynamodb import DynamoDB
from daybook.testing.dynamodb.client import Client
from daybook.testing.keys import use_derived_keys
from daybook.testing.world import REGION, World, environment, tables

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


@pytest.fixture
def catalogue() -> Catalogue:
    """The contracts that admit accepts in `world`."""
    return application().catalogue


@pytest.fixture
def options() -> dict[str, str]:
    """The options that stacks pass to functions, by name."""
    return {}


@pytest.fixture
def dynamodb(monkeypatch: pytest.MonkeyPatch, options: Mapping[str, str]) -> Iterator[DynamoDB]:
    """The DynamoDB of `world`."""
    with _process(monkeypatch, options), aws_in_memory(tables()) as dynamodb:
        yield dynamodb


@pytest.fixture
def world(dynamodb: DynamoDB, catalogue: Catalogue) -> World:
    """A stage in memory."""
    _first_reads()
    return World(catalogue, cast("DynamoDBClient", Client(dynamodb)))


@pytest.fixture
def world_on_moto(monkeypatch: pytest.MonkeyPatch, options: Mapping[str, str], catalogue: Catalogue) -> Iterator[World]:
    """A stage in memory, on moto's DynamoDB."""
    with _process(monkeypatch, options), mock_aws():
        world = World(catalogue, boto3.client("dynamodb"))
        for table in tables():
            world.client.create_table(**table)
        _first_reads()
        yield world


@contextmanager
def _process(monkeypatch: pytest.MonkeyPatch, options: Mapping[str, str]) -> Iterator[None]:
    """In the block, this process is like a new process of a function."""
    for variable, value in environment(options).items():
        monkeypatch.setenv(variable, value)
    use_derived_keys(monkeypatch)
    _set_sessions()
    _clear_caches()
    yield
    _clear_caches()


def _first_reads() -> None:
    """Read what a process reads before its first append, so that tests can count the calls of each delivery."""
    journal_shards().of_hour(clock.now())
    settings.cache_clear()  # a test may still change the environment


@cache
def _set_sessions() -> None:
    """`boto3.client` then makes all clients of one session. Each session parses the models of AWS's services."""
    session = keep_clients(botocore.session.Session())
    boto3.setup_default_session(
        botocore_session=session, aws_access_key_id="testing", aws_secret_access_key="testing", region_name=REGION
    )
    keep_clients(aws._session())  # noqa: SLF001 - all clients of functions are its


def _clear_caches() -> None:
    """Forget clients, settings and loggers. A logger keeps its output stream, which pytest replaces for each test."""
    for function in (aws.client, aws.client_without_retries, backbone, journal_shards, keyring, settings):
        function.cache_clear()
    for function in (observability.logger, observability.counts):
        function.cache_clear()
    loggers = logging.root.manager.loggerDict
    for name in [name for name, logger in loggers.items() if hasattr(logger, "powertools_handler")]:
        del loggers[name]
