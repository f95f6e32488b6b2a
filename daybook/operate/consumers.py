"""The deployed consumers, read from the environments of their Lambda functions."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from daybook.operate.connection import Connection
from daybook.operate.functions import functions
from daybook.runtime.settings import CONSUMER, table_variable


@dataclass(frozen=True, slots=True, kw_only=True)
class Consumer:
    """A deployed consumer.

    `kind` is `reaction`, `view` or `effect`; `event` is the type that it handles, `emits` are the types that it may
    emit. `timeout` is in seconds. An effect has an `idempotency_key`, a template with fields of its event; `can_query`
    is True if it can query the outcome of an attempt. `tables` are the AWS names of its tables by their names in the
    stack.
    """

    name: str
    kind: str
    event: str
    emits: tuple[str, ...]
    timeout: int
    service: str = ""
    ordered: bool = False
    idempotency_key: str = ""
    can_query: bool = False
    tables: Mapping[str, str] = field(default_factory=dict)


def consumers(connection: Connection) -> dict[str, Consumer]:
    """All consumers of the stage, by name. Functions of the backbone are not consumers.

    Raises MayNotListFunctions, and botocore's errors.
    """
    prefix = connection.names.of("")
    found: dict[str, Consumer] = {}
    for function in functions(connection):
        environment = function.get("Environment", {}).get("Variables", {})
        if CONSUMER not in environment:
            continue
        name = function["FunctionName"].removeprefix(prefix)
        description = json.loads(environment[CONSUMER])
        found[name] = Consumer(
            name=name,
            kind=description["kind"],
            event=description["event"],
            emits=tuple(description["emits"]),
            timeout=int(function["Timeout"]),
            service=description.get("service", ""),
            ordered=description["ordered"],
            idempotency_key=description.get("idempotency_key", ""),
            can_query=description.get("can_query", False),
            tables=_tables(environment),
        )
    return dict(sorted(found.items()))


def _tables(environment: Mapping[str, str]) -> dict[str, str]:
    prefix = table_variable("")
    return {
        variable.removeprefix(prefix).lower().replace("_", "-"): name
        for variable, name in environment.items()
        if variable.startswith(prefix)
    }
