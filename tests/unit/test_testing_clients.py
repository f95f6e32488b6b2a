"""The clients of `daybook.testing` answer like botocore's."""

from typing import Any

import boto3
import botocore.session
import pytest
from botocore.exceptions import ClientError

from daybook.testing.clients import keep_clients
from daybook.testing.dynamodb import DynamoDB
from daybook.testing.dynamodb.client import Client
from daybook.testing.world import NAMES, World

TABLE = NAMES.store


@pytest.fixture(params=["direct", "botocore"])
def client(request: pytest.FixtureRequest, world: World, dynamodb: DynamoDB) -> Any:
    assert world
    return Client(dynamodb) if request.param == "direct" else boto3.client("dynamodb")


def an_item(sequence: int) -> dict[str, Any]:
    return {"stream": {"S": "loan/1"}, "sequence": {"N": str(sequence)}, "hash": {"B": b"\x00\xff"}}


def test_bytes_are_read_as_they_were_written(client: Any) -> None:
    client.put_item(TableName=TABLE, Item=an_item(1) | {"more": {"L": [{"B": b"\x01"}]}})

    answer = client.get_item(TableName=TABLE, Key={"stream": {"S": "loan/1"}, "sequence": {"N": "1"}})

    assert answer["Item"] == an_item(1) | {"more": {"L": [{"B": b"\x01"}]}}


def test_a_paginator_reads_all_pages(client: Any) -> None:
    for sequence in range(1, 6):
        client.put_item(TableName=TABLE, Item=an_item(sequence))

    pages = [*client.get_paginator("scan").paginate(TableName=TABLE, PaginationConfig={"PageSize": 2})]

    assert [len(page["Items"]) for page in pages] == [2, 2, 1]
    assert [item for page in pages for item in page["Items"]] == [an_item(sequence) for sequence in range(1, 6)]


def test_two_transactions_without_a_token_are_two(client: Any) -> None:
    for sequence in (1, 2):
        client.transact_write_items(TransactItems=[{"Put": {"TableName": TABLE, "Item": an_item(sequence)}}])

    assert len(client.scan(TableName=TABLE)["Items"]) == 2


def test_an_error_has_its_code_and_the_item(client: Any) -> None:
    client.put_item(TableName=TABLE, Item=an_item(1))

    with pytest.raises(ClientError) as raised:
        client.put_item(
            TableName=TABLE,
            Item=an_item(1),
            ConditionExpression="attribute_not_exists(#stream)",
            ExpressionAttributeNames={"#stream": "stream"},
            ReturnValuesOnConditionCheckFailure="ALL_OLD",
        )

    assert raised.value.response["Error"]["Code"] == "ConditionalCheckFailedException"
    assert raised.value.response["Item"] == an_item(1)  # type: ignore[typeddict-item]


def test_a_client_with_an_event_handler_is_not_returned_again(world: World) -> None:
    assert world
    session = keep_clients(botocore.session.Session())

    def create() -> Any:
        return session.create_client("sqs", region_name="eu-central-1")

    first = create()
    assert create() is first

    first.meta.events.register("before-call.sqs", lambda **_: None)

    assert create() is not first
    assert create() is create()


def test_requests_to_an_endpoint_are_signed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    assert world
    session: Any = keep_clients(botocore.session.Session())
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://localhost:1")

    assert session.create_client("dynamodb", region_name="eu-central-1").meta.config.signature_version == "v4"


def test_settings_and_environment_make_another_client(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    assert world
    session: Any = keep_clients(botocore.session.Session())
    first = session.create_client("sqs", region_name="eu-central-1")

    assert session.create_client("sqs", region_name="eu-west-1") is not first
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://localhost:1")
    assert session.create_client("sqs", region_name="eu-central-1") is not first
