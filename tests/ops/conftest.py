"""Fixtures: an environment without settings of this machine, and a stage."""

import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import boto3
import botocore.session
import pytest

from daybook.operate import connection
from daybook.operate.connection import new_session
from daybook.runtime.names import Names
from daybook.testing.aws import aws_in_memory
from daybook.testing.clients import keep_clients
from daybook.testing.dynamodb import DynamoDB
from daybook.testing.keys import use_derived_keys
from daybook.testing.tables import backbone_tables
from tests.ops.world import STAGE, World, morning


@pytest.fixture(autouse=True)
def _signals(own_signals: None) -> None:
    """These tests interrupt their own process."""


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in os.environ:
        if name.startswith(("AWS_", "DAYBOOK_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.chdir(tmp_path)
    # Ignore a local run of this application.
    monkeypatch.setattr(connection, "_home", lambda: tmp_path)


@pytest.fixture(autouse=True)
def _new_morning() -> None:
    morning.cache_clear()


@cache
def _session(_user: str) -> boto3.Session:
    """The session of the world, or of the operator: of all connections that have none of their own."""
    return new_session(keep_clients(botocore.session.Session()))


@pytest.fixture
def dynamodb() -> Iterator[DynamoDB]:
    """The DynamoDB of `world`."""
    with aws_in_memory(backbone_tables(Names(STAGE))) as in_memory:
        yield in_memory


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch, dynamodb: DynamoDB) -> World:  # noqa: ARG001 - it answers
    """The stage `dev`, deployed in memory."""
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    use_derived_keys(monkeypatch)
    monkeypatch.setattr(
        connection,
        "new_session",
        lambda *args, **settings: new_session(*args, **settings) if args else _session("operator"),
    )
    stage = World(connection.Connection(STAGE, _session("world")))
    stage.deploy()
    return stage
