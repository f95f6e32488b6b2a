"""The actions of a call as permissions see them: on tables, queues, buses and objects."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

Use = tuple[str, str | None, str | None]

# Services whose IAM prefix differs from the client's name.
_PREFIXES = {"sesv2": "ses"}
_PARTS = {
    "Put": "PutItem",
    "Update": "UpdateItem",
    "Delete": "DeleteItem",
    "ConditionCheck": "ConditionCheckItem",
    "Get": "GetItem",
}


def uses(service: str, operation: str, params: Mapping[str, Any]) -> Iterator[Use]:
    """Yield action, resource, and the partition key in the event store, the ledger or the table of keys, or the writer
    whose key is used; None where there is none.
    """
    # SQS has no permissions for batches of their own.
    action = f"{_PREFIXES.get(service, service)}:{operation.removesuffix('Batch') if service == 'sqs' else operation}"
    if "TransactItems" in params:
        for item in params["TransactItems"]:
            for kind, part in item.items():
                yield f"{service}:{_PARTS[kind]}", part["TableName"], _stream(part)
    elif action == "dynamodb:BatchGetItem":
        for table, part in params["RequestItems"].items():
            yield from ((action, table, stream) for stream in {_stream({"Key": key}) for key in part["Keys"]})
    elif "TableName" in params:
        index = f"/index/{params['IndexName']}" if "IndexName" in params else ""
        yield action, params["TableName"] + index, _stream(params)
    elif "EncryptionContext" in params:  # by an alias of the key; policies name its ARN
        yield action, None, params["EncryptionContext"]["consumer"]
    else:
        resources = [resource for name, read in _RESOURCES if name in params for resource in read(params)]
        yield from ((action, resource, None) for resource in resources)
        if not resources:
            yield action, None, None


# How to read the resources of a call from a parameter with this name.
_RESOURCES: tuple[tuple[str, Callable[[Mapping[str, Any]], Iterable[str]]], ...] = (
    ("RequestItems", lambda params: params["RequestItems"]),
    ("QueueUrl", lambda params: [params["QueueUrl"].rpartition("/")[2]]),
    ("Bucket", lambda params: [f"{params['Bucket']}/{params.get('Key', '')}"]),
    (
        "Entries",
        lambda params: sorted({entry["EventBusName"] for entry in params["Entries"] if "EventBusName" in entry}),
    ),
    ("FromEmailAddress", lambda params: [f"identity/{params['FromEmailAddress']}"]),
    ("ConfigurationSetName", lambda params: [f"configuration-set/{params['ConfigurationSetName']}"]),
    ("TopicArn", lambda params: [params["TopicArn"].rpartition(":")[2]]),
    ("UUID", lambda params: [f"event-source-mapping:{params['UUID']}"]),
    # Secrets Manager appends six characters to the name.
    ("SecretId", lambda params: [f"secret:{params['SecretId']}-000000"]),
)


def _stream(part: Mapping[str, Any]) -> str | None:
    keyed = part.get("Item") or part.get("Key") or {}
    values = part.get("ExpressionAttributeValues", {})
    value = keyed.get("stream") or keyed.get("writer") or keyed.get("key") or values.get(":stream") or {}
    return value.get("S") if isinstance(value, dict) else None
