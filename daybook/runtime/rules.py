"""The rules of a stage's event bus: which consumers subscribe, and to which events."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from daybook.runtime.names import Names


def patterns(client: Any, names: Names) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Each consumer that subscribes, with the event pattern of its rule. Disabled rules do not count.

    `client` is a botocore or boto3 client for EventBridge. Rules have the names of their consumers.
    """
    prefix = names.of("")
    pages = client.get_paginator("list_rules").paginate(EventBusName=names.event_bus, NamePrefix=prefix)
    for rule in (rule for page in pages for rule in page["Rules"]):
        if rule.get("EventPattern") and rule.get("State") != "DISABLED":
            yield rule["Name"].removeprefix(prefix), json.loads(rule["EventPattern"])
