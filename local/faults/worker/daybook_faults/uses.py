"""What a call does, as permissions see it: actions on tables, queues, buses and objects."""

from collections.abc import Iterator, Mapping
from typing import Any

Use = tuple[str, str | None, str | None]

# Where permissions are called otherwise than the client is.
_PREFIXES = {"sesv2": "ses"}
_PARTS = {
    "Put": "PutItem",
    "Update": "UpdateItem",
    "Delete": "DeleteItem",
    "ConditionCheck": "ConditionCheckItem",
    "Get": "GetItem",
}


def uses(service: str, operation: str, params: Mapping[str, Any]) -> Iterator[Use]:
    """Action, resource, and partition key in the event store; the latter two where there are any."""
    action = f"{_PREFIXES.get(service, service)}:{operation}"
    if "TransactItems" in params:
        for item in params["TransactItems"]:
            for kind, part in item.items():
                yield f"{service}:{_PARTS[kind]}", part["TableName"], _stream(part)
    elif "RequestItems" in params:
        yield from ((action, table, None) for table in params["RequestItems"])
    elif "TableName" in params:
        index = f"/index/{params['IndexName']}" if "IndexName" in params else ""
        yield action, params["TableName"] + index, _stream(params)
    elif "QueueUrl" in params:
        yield action, params["QueueUrl"].rpartition("/")[2], None
    elif "Bucket" in params:
        yield action, f"{params['Bucket']}/{params.get('Key', '')}", None
    elif operation == "PutEvents":
        yield from ((action, bus, None) for bus in sorted({entry["EventBusName"] for entry in params["Entries"]}))
    elif operation == "SendEmail":
        yield action, f"identity/{params['FromEmailAddress']}", None
        yield action, f"configuration-set/{params['ConfigurationSetName']}", None
    elif "SecretId" in params:
        yield action, f"secret:{params['SecretId']}", None
    else:
        yield action, None, None


def _stream(part: Mapping[str, Any]) -> str | None:
    keyed = part.get("Item") or part.get("Key") or {}
    values = part.get("ExpressionAttributeValues", {})
    value = keyed.get("stream") or values.get(":stream") or {}
    return value.get("S") if isinstance(value, dict) else None
