"""The minimum that a function can do with an event: one PutItem."""

import json
import os
from datetime import UTC, datetime
from typing import Any

import boto3

TABLE = os.environ["TABLE"]

dynamodb = boto3.client("dynamodb")


def handler(event: dict[str, Any], _context: Any) -> None:
    for record in event["Records"]:
        item = {
            "id": {"S": json.loads(record["body"])["id"]},
            "body": {"S": record["body"]},
            "at": {"S": datetime.now(UTC).isoformat()},
        }
        dynamodb.put_item(TableName=TABLE, Item=item)
