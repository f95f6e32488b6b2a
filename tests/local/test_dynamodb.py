"""The in-memory DynamoDB of unit tests gives the same answers as the local cloud."""

from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import boto3
import pytest
from hypothesis import given

from daybook.local.cloud import Cloud
from tests.dynamodb import DynamoDB, answering, in_use
from tests.dynamodb.comparing import Asked, Recording, answers
from tests.dynamodb.requests import DEFINITION, REQUESTS, TABLE, corners
from tests.tables import Definition

_numbers = count(1)


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    with Cloud(project=Path(tmp_path_factory.mktemp("project"))) as cloud:
        yield cloud


@pytest.fixture(scope="module")
def there(cloud: Cloud) -> Any:
    return cloud.client("dynamodb")


def test_all_requests_of_the_code_have_the_same_answers_as_in_the_local_cloud(there: Any) -> None:
    recording = Recording(in_use.tables())
    with answering(recording):
        in_use.ask(client())
    for table in in_use.tables():
        there.create_table(**table)

    assert here(in_use.tables(), recording.asked) == answers(there, recording.asked)


def test_every_condition_and_update_has_the_same_answer_as_in_the_local_cloud(there: Any) -> None:
    assert_same_answers(there, corners())


@given(asked=REQUESTS)
def test_random_requests_have_the_same_answers_as_in_the_local_cloud(there: Any, asked: list[Asked]) -> None:
    assert_same_answers(there, asked)


def assert_same_answers(there: Any, asked: list[Asked]) -> None:
    there.create_table(**DEFINITION)
    try:
        assert here([DEFINITION], asked) == answers(there, asked)
    finally:
        there.delete_table(TableName=TABLE)


def here(tables: list[Definition], asked: list[Asked]) -> list[Any]:
    with answering(DynamoDB(tables)):
        return answers(client(), asked)


def client() -> Any:
    return boto3.client(
        "dynamodb", region_name="eu-central-1", aws_access_key_id="testing", aws_secret_access_key="testing"
    )
