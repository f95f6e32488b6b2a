"""The in-memory DynamoDB of unit tests gives the same answers as the local cloud."""

from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import boto3
import pytest
from hypothesis import given

from daybook.local.cloud import Cloud
from daybook.testing.dynamodb import DynamoDB, answering
from daybook.testing.tables import Definition
from tests.dynamodb import requests_in_use
from tests.dynamodb.comparison import Call, Recording, answers, capacities
from tests.dynamodb.random_requests import DEFINITION, REQUESTS, TABLE, edge_cases

_numbers = count(1)


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    with Cloud(project=Path(tmp_path_factory.mktemp("project"))) as cloud:
        yield cloud


@pytest.fixture(scope="module")
def local_cloud(cloud: Cloud) -> Any:
    return cloud.client("dynamodb")


def test_all_requests_of_the_code_have_the_same_answers_as_in_the_local_cloud(local_cloud: Any) -> None:
    recording = Recording(requests_in_use.tables())
    with answering(recording):
        requests_in_use.send_all(client())
    for table in requests_in_use.tables():
        local_cloud.create_table(**table)

    assert here(requests_in_use.tables(), recording.calls) == answers(local_cloud, recording.calls)


def test_every_condition_and_update_has_the_same_answer_as_in_the_local_cloud(local_cloud: Any) -> None:
    assert_same_answers(local_cloud, edge_cases())


def test_every_write_consumes_the_same_capacity_as_in_the_local_cloud(local_cloud: Any) -> None:
    local_cloud.create_table(**DEFINITION)
    try:
        with answering(DynamoDB([DEFINITION])):
            here = capacities(client(), edge_cases())
        assert here == capacities(local_cloud, edge_cases())
    finally:
        local_cloud.delete_table(TableName=TABLE)


@given(calls=REQUESTS)
def test_random_requests_have_the_same_answers_as_in_the_local_cloud(local_cloud: Any, calls: list[Call]) -> None:
    assert_same_answers(local_cloud, calls)


def assert_same_answers(local_cloud: Any, calls: list[Call]) -> None:
    local_cloud.create_table(**DEFINITION)
    try:
        assert here([DEFINITION], calls) == answers(local_cloud, calls)
    finally:
        local_cloud.delete_table(TableName=TABLE)


def here(tables: list[Definition], calls: list[Call]) -> list[Any]:
    with answering(DynamoDB(tables)):
        return answers(client(), calls)


def client() -> Any:
    return boto3.client(
        "dynamodb", region_name="eu-central-1", aws_access_key_id="testing", aws_secret_access_key="testing"
    )
