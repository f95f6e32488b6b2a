"""The DynamoDB that tests keep in memory answers as AWS's does."""

from collections.abc import Iterator
from itertools import chain
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from hypothesis import given, settings
from moto import mock_aws

from daybook.store.schema import Index, Schema
from daybook.testing.dynamodb import DynamoDB, NotSupported, answering
from daybook.testing.tables import Definition, definition
from tests.dynamodb import requests_in_use
from tests.dynamodb.comparison import Call, Recording, answers
from tests.dynamodb.random_requests import DEFINITION, REQUESTS, edge_cases

TABLE = "things"
SCHEMA = Schema("p", "s", numbers=frozenset({"s"}), indexes=(Index("by-kind", "kind", "s", ("size",)),))
KEY: dict[str, Any] = {"p": {"S": "a"}, "s": {"N": "1"}}
KILOBYTES = 1024


@pytest.fixture(scope="module")
def boto_client() -> Any:
    return boto3.client(
        "dynamodb", region_name="eu-central-1", aws_access_key_id="testing", aws_secret_access_key="testing"
    )


@pytest.fixture
def dynamodb() -> Iterator[DynamoDB]:
    with answering(DynamoDB([definition(TABLE, SCHEMA)])) as dynamodb:
        yield dynamodb


@pytest.fixture
def client(boto_client: Any, dynamodb: DynamoDB) -> Any:  # noqa: ARG001 - it answers
    return boto_client


# --- against moto -----------------------------------------------------------------------------------------------------


def test_all_requests_of_the_code_have_the_same_answers_as_in_moto(boto_client: Any) -> None:
    recording = Recording(requests_in_use.tables())
    with answering(recording):
        requests_in_use.send_all(boto_client)

    assert here(boto_client, requests_in_use.tables(), recording.calls) == on_moto(
        boto_client, requests_in_use.tables(), recording.calls
    )


def test_every_condition_and_update_has_the_same_answer_as_in_moto(boto_client: Any) -> None:
    assert here(boto_client, [DEFINITION], edge_cases()) == on_moto(boto_client, [DEFINITION], edge_cases())


# The same few examples in every profile: among many there is always one that moto answers wrongly or fails at.
@settings(max_examples=15, derandomize=True)
@given(calls=REQUESTS)
def test_random_requests_have_the_same_answers_as_in_moto(boto_client: Any, calls: list[Call]) -> None:
    for ours, theirs in zip(
        here(boto_client, [DEFINITION], calls), on_moto(boto_client, [DEFINITION], calls), strict=True
    ):
        assert ours == theirs or _differs_from_aws(ours, theirs)


def _differs_from_aws(ours: Any, motos: Any) -> bool:
    """Where moto is not as AWS: it refuses a transaction for an update that does not fit the item, where AWS cancels it
    and gives the reason (API reference of TransactWriteItems, "Cancellation Reasons").

    Besides, moto takes NULL for what is not there, fails to compare a text with a number, and takes a path whose parent
    is missing. The random requests have none of these.
    """
    return bool(motos == ("ValidationException", [], None) and ours[0] == "TransactionCanceledException")


def here(client: Any, tables: list[Definition], calls: list[Call]) -> list[Any]:
    with answering(DynamoDB(tables)):
        return answers(client, calls)


def on_moto(client: Any, tables: list[Definition], calls: list[Call]) -> list[Any]:
    with mock_aws():
        for table in tables:
            client.create_table(**table)
        return answers(client, calls)


# --- by AWS's documentation -------------------------------------------------------------------------------------------


def put(client: Any, sort: int = 1, **attributes: Any) -> None:
    client.put_item(TableName=TABLE, Item=KEY | {"s": {"N": str(sort)}} | attributes)


def update(client: Any, expression: str, **values: Any) -> Any:
    given = {"ExpressionAttributeValues": {f":{name}": value for name, value in values.items()}} if values else {}
    answer = client.update_item(TableName=TABLE, Key=KEY, UpdateExpression=expression, ReturnValues="ALL_NEW", **given)
    return answer["Attributes"]


def refused(code: str, about: str) -> Any:
    return pytest.raises(ClientError, match=rf"\({code}\).*{about}")


def query(client: Any, **more: Any) -> list[str]:
    """The sort keys of what is found, page by page."""
    pages = client.get_paginator("query").paginate(
        TableName=TABLE, KeyConditionExpression="p = :p", ExpressionAttributeValues={":p": {"S": "a"}}, **more
    )
    return [item["s"]["N"] for page in pages for item in page["Items"]]


def of_kind(client: Any, kind: str = "k") -> list[dict[str, Any]]:
    answer = client.query(
        TableName=TABLE,
        IndexName="by-kind",
        KeyConditionExpression="kind = :kind",
        ExpressionAttributeValues={":kind": {"S": kind}},
    )
    items: list[dict[str, Any]] = answer["Items"]
    return items


def test_an_unknown_table_is_an_error_that_lists_the_known_ones(client: Any) -> None:
    with refused("ResourceNotFoundException", r"Table: other not found; the tables here are \['things'\]"):
        client.get_item(TableName="other", Key=KEY)


@pytest.mark.parametrize(
    "request_",
    [
        {"UpdateExpression": "DELETE tags :v", "ExpressionAttributeValues": {":v": {"SS": ["a"]}}},
        {"UpdateExpression": "SET tags[0] = :v", "ExpressionAttributeValues": {":v": {"S": "a"}}},
        {"ConditionExpression": "size(tags) > :v", "ExpressionAttributeValues": {":v": {"N": "1"}}},
        {"ConditionExpression": "contains(tags, :v)", "ExpressionAttributeValues": {":v": {"S": "a"}}},
        {"ReturnValues": "ALL_OLD"},
        {"ReturnConsumedCapacity": "TOTAL"},
    ],
    ids=" ".join,
)
def test_what_is_not_implemented_raises_not_supported(client: Any, request_: dict[str, Any]) -> None:
    with pytest.raises(NotSupported):
        client.update_item(TableName=TABLE, Key=KEY, **request_)


@pytest.mark.parametrize(
    ("expression", "values", "about"),
    [
        ("SET size = :v", {"v": {"N": "1"}}, "reserved keyword; reserved keyword: size"),
        ("SET a = :v, b = :w", {"v": {"N": "1"}}, "value used in expression is not defined; attribute value: :w"),
        (
            "SET a = :v",
            {"v": {"N": "1"}, "w": {"N": "1"}},
            "ExpressionAttributeValues unused in expressions: keys: {:w}",
        ),
        ("SET #a = :v", {"v": {"N": "1"}}, "name used in the document path is not defined; attribute name: #a"),
        ("SET a = :v SET b = :v", {"v": {"N": "1"}}, 'The "SET" section can only be used once'),
        ("SET a = :v REMOVE a", {"v": {"N": "1"}}, "Two document paths overlap"),
        ("SET a = :v REMOVE a.b", {"v": {"N": "1"}}, "Two document paths overlap"),
        ("SET s = :v", {"v": {"N": "1"}}, "Cannot update attribute s. This attribute is part of the key"),
        ("SET a.b = :v", {"v": {"N": "1"}}, "The document path provided in the update expression is invalid"),
        ("SET a = b", {}, "refers to an attribute that does not exist"),
        ("SET a = word + :v", {"v": {"N": "1"}}, "incorrect data type"),
        ("ADD word :v", {"v": {"N": "1"}}, "incorrect data type"),
        ("ADD a :v", {"v": {"S": "1"}}, "operator: ADD, operand type: STRING"),
        ("SET kind = :v", {"v": {"N": "1"}}, "Type mismatch for Index Key kind"),
        ("SET kind = :v", {"v": {"S": ""}}, "cannot contain an empty string value"),
        ("SET a = :v,", {"v": {"N": "1"}}, "Syntax error"),
        (f"SET {'a' * 4096} = :v", {"v": {"N": "1"}}, "exceeded the maximum allowed size"),
    ],
    ids=lambda each: each[:40] if isinstance(each, str) else "",
)
def test_an_invalid_update_is_an_error(client: Any, expression: str, values: dict[str, Any], about: str) -> None:
    put(client, word={"S": "x"})

    with refused("ValidationException", about):
        update(client, expression, **values)


@pytest.mark.parametrize(
    ("item", "about"),
    [
        ({"p": {"S": "a"}}, "Missing the key s"),
        ({"p": {"S": "a"}, "s": {"S": "1"}}, "Type mismatch for key s expected: N actual: S"),
        ({"p": {"S": ""}, "s": {"N": "1"}}, "cannot contain an empty string value. Key: p"),
        ({"p": {"S": "x" * 2049}, "s": {"N": "1"}}, "maximum size limit of 2048 bytes"),
        ({**KEY, "kind": {"N": "1"}}, "Type mismatch for Index Key kind"),
        ({**KEY, "a": {"SS": []}}, "may not be empty"),
        ({**KEY, "a": {"N": "one"}}, "cannot be converted to a numeric value"),
        ({**KEY, "a": {"N": "1" * 39}}, "more than 38 significant digits"),
        ({**KEY, "a": {"S": "x" * 400 * KILOBYTES}}, "Item size has exceeded"),
    ],
)
def test_an_invalid_item_is_an_error(client: Any, item: dict[str, Any], about: str) -> None:
    with refused("ValidationException", about):
        client.put_item(TableName=TABLE, Item=item)


@pytest.mark.parametrize(
    ("condition", "about"),
    [
        ("a = :v", "Query condition missed key schema element: p"),
        ("p < :v", "Query key condition not supported"),
        ("p = :v AND a = :v", "Query condition missed key schema element: s"),
        ("p = :v OR p = :v", "Invalid operator used in KeyConditionExpression"),
        ("p <> :v", "Invalid operator used in KeyConditionExpression"),
        ("((p = :v))", "redundant parentheses"),
    ],
)
def test_a_key_condition_without_one_partition_is_an_error(client: Any, condition: str, about: str) -> None:
    with refused("ValidationException", about):
        client.query(TableName=TABLE, KeyConditionExpression=condition, ExpressionAttributeValues={":v": {"S": "a"}})


def test_a_filter_on_a_key_is_an_error(client: Any) -> None:
    with refused("ValidationException", "Primary key attribute: s"):
        client.query(
            TableName=TABLE,
            KeyConditionExpression="p = :p",
            FilterExpression="s > :s",
            ExpressionAttributeValues={":p": {"S": "a"}, ":s": {"N": "1"}},
        )


def test_numbers_are_sorted_by_value(client: Any) -> None:
    for number in (10, 9, -1, 100):
        put(client, number)

    assert query(client) == ["-1", "9", "10", "100"]
    assert query(client, ScanIndexForward=False, PaginationConfig={"PageSize": 1}) == ["100", "10", "9", "-1"]


def test_values_of_different_types_are_different_and_neither_is_less(client: Any) -> None:
    put(client, a={"N": "5"})

    for condition, text in (("a < :v", "9"), ("a >= :v", "1"), ("a = :v", "5")):
        with refused("ConditionalCheckFailedException", ""):
            client.delete_item(
                TableName=TABLE,
                Key=KEY,
                ConditionExpression=condition,
                ExpressionAttributeValues={":v": {"S": text}},
            )


def test_all_parts_of_an_update_read_the_item_before_it(client: Any) -> None:
    put(client, a={"N": "1"}, b={"N": "2"})

    after = update(client, "SET a = b, b = a, c = if_not_exists(c, :one) + :one", one={"N": "1"})

    assert (after["a"], after["b"], after["c"]) == ({"N": "2"}, {"N": "1"}, {"N": "2"})


def test_a_page_holds_one_megabyte(client: Any) -> None:
    for number in range(5):
        put(client, number, a={"S": "x" * 300 * KILOBYTES})

    first = client.scan(TableName=TABLE)

    assert first["Count"] == 3
    assert first["LastEvaluatedKey"] == {"p": {"S": "a"}, "s": {"N": "2"}}
    assert client.scan(TableName=TABLE, ExclusiveStartKey=first["LastEvaluatedKey"])["Count"] == 2
    assert query(client) == ["0", "1", "2", "3", "4"]


def test_the_segments_of_a_scan_contain_each_item_once(client: Any) -> None:
    for number in range(40):
        client.put_item(TableName=TABLE, Item={"p": {"S": f"p-{number}"}, "s": {"N": "1"}})

    found = [
        [
            item["p"]["S"]
            for page in client.get_paginator("scan").paginate(
                TableName=TABLE, Segment=segment, TotalSegments=4, PaginationConfig={"PageSize": 3}
            )
            for item in page["Items"]
        ]
        for segment in range(4)
    ]

    assert all(found)
    assert sorted(chain.from_iterable(found)) == sorted(f"p-{number}" for number in range(40))


def test_an_index_contains_only_items_with_its_keys_and_only_projected_attributes(client: Any) -> None:
    put(client, 2, kind={"S": "k"}, size={"N": "3"}, more={"S": "x"})
    put(client, 1)

    carried = {"p": {"S": "a"}, "s": {"N": "2"}, "kind": {"S": "k"}, "size": {"N": "3"}}
    assert of_kind(client) == [carried]
    assert client.scan(TableName=TABLE, IndexName="by-kind")["Items"] == [carried]
    put(client, 2)
    assert of_kind(client) == []


def test_an_index_cannot_be_read_consistently(client: Any) -> None:
    with refused("ValidationException", "Consistent reads are not supported on global secondary indexes"):
        client.scan(TableName=TABLE, IndexName="by-kind", ConsistentRead=True)


def test_an_index_can_lag(client: Any, dynamodb: DynamoDB) -> None:
    put(client, 1, kind={"S": "k"})
    with dynamodb.lagging_indexes():
        put(client, 2, kind={"S": "k"})
        put(client, 1)
        assert [item["s"]["N"] for item in of_kind(client)] == ["1"]
        assert query(client) == ["1", "2"]

    assert [item["s"]["N"] for item in of_kind(client)] == ["2"]


# --- transactions -----------------------------------------------------------------------------------------------------


def a_put(sort: int, **more: Any) -> dict[str, Any]:
    return {"Put": {"TableName": TABLE, "Item": KEY | {"s": {"N": str(sort)}}, **more}}


NEW = {"ConditionExpression": "attribute_not_exists(p)"}


def cancelled(client: Any, *parts: dict[str, Any]) -> list[dict[str, Any]]:
    """The reasons that the transaction is cancelled for."""
    with pytest.raises(client.exceptions.TransactionCanceledException) as caught:
        client.transact_write_items(TransactItems=parts)
    reasons: list[dict[str, Any]] = caught.value.response["CancellationReasons"]
    return reasons


def test_a_transaction_is_atomic(client: Any) -> None:
    put(client, 1, a={"S": "x"})
    no_number = {"TableName": TABLE, "Key": KEY | {"s": {"N": "1"}}, "UpdateExpression": "ADD a :one"}
    no_number["ExpressionAttributeValues"] = {":one": {"N": "1"}}

    reasons = cancelled(client, a_put(3), {"Update": no_number}, a_put(2, **NEW))

    assert [reason["Code"] for reason in reasons] == ["None", "ValidationError", "None"]
    assert query(client) == ["1"]


def test_a_cancelled_transaction_returns_the_item_if_requested(client: Any) -> None:
    put(client, 1, a={"S": "x"})

    reasons = cancelled(client, a_put(1, **NEW, ReturnValuesOnConditionCheckFailure="ALL_OLD"), a_put(2))

    assert reasons == [
        {
            "Code": "ConditionalCheckFailed",
            "Message": "The conditional request failed",
            "Item": {**KEY, "a": {"S": "x"}},
        },
        {"Code": "None"},
    ]


def test_a_transaction_with_the_same_token_happens_once(client: Any) -> None:
    again = {"TransactItems": [a_put(1, **NEW)], "ClientRequestToken": "token"}

    client.transact_write_items(**again)
    client.transact_write_items(**again)

    with refused("IdempotentParameterMismatchException", ""):
        client.transact_write_items(**again | {"TransactItems": [a_put(2)]})


def test_a_transaction_has_at_most_100_parts_on_different_items(client: Any) -> None:
    client.transact_write_items(TransactItems=[a_put(number) for number in range(100)])

    with refused("ValidationException", "less than or equal to 100"):
        client.transact_write_items(TransactItems=[a_put(number) for number in range(101)])
    with refused("ValidationException", "multiple operations on one item"):
        client.transact_write_items(TransactItems=[a_put(1), a_put(1)])


def test_a_write_of_a_locked_item_is_a_conflict(client: Any, dynamodb: DynamoDB) -> None:
    with dynamodb.conflicting(TABLE, KEY):
        assert [reason["Code"] for reason in cancelled(client, a_put(1), a_put(2))] == ["TransactionConflict", "None"]
        with refused("TransactionConflictException", "ongoing for the item"):
            put(client, 1)
        put(client, 3)
    put(client, 1)

    assert query(client) == ["1", "3"]


@pytest.mark.parametrize("number", [0, 101])
def test_a_batch_reads_at_most_100_items(client: Any, number: int) -> None:
    keys = [KEY | {"s": {"N": str(each)}} for each in range(number)] or [KEY, KEY]

    with refused("ValidationException", "Too many items|duplicates"):
        client.batch_get_item(RequestItems={TABLE: {"Keys": keys}})


# --- capacity ---------------------------------------------------------------------------------------------------------


def consumed(answer: Any) -> tuple[float, float]:
    """The write units of the table and of its index."""
    (capacity,) = [answer["ConsumedCapacity"]] if "Table" in answer["ConsumedCapacity"] else answer["ConsumedCapacity"]
    of_index = capacity.get("GlobalSecondaryIndexes", {}).get("by-kind", {}).get("CapacityUnits", 0)
    assert capacity["CapacityUnits"] == capacity["Table"]["CapacityUnits"] + of_index
    return capacity["Table"]["CapacityUnits"], of_index


def written(client: Any, **attributes: str) -> tuple[float, float]:
    item = KEY | {name: {"S": text} for name, text in attributes.items()}
    return consumed(client.put_item(TableName=TABLE, Item=item, ReturnConsumedCapacity="INDEXES"))


def test_a_write_consumes_a_unit_for_each_started_kilobyte_of_the_larger_item(client: Any) -> None:
    keys = len("p") + len("a") + len("s") + 2  # bytes; a number of one digit has two

    assert written(client, x="." * (KILOBYTES - keys - 1)) == (1, 0)
    assert written(client, x="." * (KILOBYTES - keys)) == (2, 0)
    assert written(client) == (2, 0)
    assert written(client) == (1, 0)


def test_an_index_consumes_units_only_if_what_it_contains_changes(client: Any) -> None:
    assert written(client, kind="a", size="1") == (1, 1)
    assert written(client, kind="a", size="1", other="not in the index") == (1, 0)
    assert written(client, kind="a", size="2") == (1, 1)
    assert written(client, kind="b", size="2") == (1, 2)  # deleted, and written again
    deleted = client.delete_item(TableName=TABLE, Key=KEY, ReturnConsumedCapacity="INDEXES")
    assert consumed(deleted) == (1, 1)


def test_in_a_transaction_an_item_consumes_twice_as_much_and_its_index_does_not(client: Any) -> None:
    item = {"Put": {"TableName": TABLE, "Item": KEY | {"kind": {"S": "a"}}}}

    answer = client.transact_write_items(TransactItems=[item], ReturnConsumedCapacity="INDEXES")

    assert consumed(answer) == (2, 1)
