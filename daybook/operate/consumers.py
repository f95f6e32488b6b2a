"""The deployed consumers, and what each is: by what their functions are told, as Lambda knows it."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ClientError

from daybook.operate.connection import Connection
from daybook.operate.errors import OperatorError, is_denied
from daybook.runtime.settings import CONSUMER, table_variable


@dataclass(frozen=True, slots=True, kw_only=True)
class Consumer:
    """A deployed consumer.

    `service` is the one that it belongs to. `kind` is `reaction`, `view` or `effect`; `event` the type that it handles,
    `emits` those it may emit. `timeout` are the seconds that it runs at the longest. An effect has an
    `idempotency_key`, a template of its event's fields, and `can_ask`, if it finds out by itself what became of an
    attempt. `tables` are its service's, by their names in the stack.
    """

    name: str
    kind: str
    event: str
    emits: tuple[str, ...]
    timeout: int
    service: str = ""
    ordered: bool = False
    idempotency_key: str = ""
    can_ask: bool = False
    tables: Mapping[str, str] = field(default_factory=dict)


class MayNotListFunctions(OperatorError):
    """The operator may not list functions, whose environments say what they are and which tables they use."""

    def __init__(self, stage: str) -> None:
        super().__init__(
            f"AWS does not let you list the functions of the stage {stage}, which say what is deployed and where its "
            "tables are: that takes lambda:ListFunctions; use a role that may, for example by AWS_PROFILE"
        )


def consumers(connection: Connection) -> dict[str, Consumer]:
    """All consumers of the stage, by name. Functions of the backbone, which handle no type of event, are none.

    Raises MayNotListFunctions, and botocore's errors.
    """
    prefix = connection.names.of("")
    found: dict[str, Consumer] = {}
    for page in _pages(connection):
        for function in page["Functions"]:
            told = function.get("Environment", {}).get("Variables", {})
            if not function["FunctionName"].startswith(prefix) or CONSUMER not in told:
                continue
            name = function["FunctionName"].removeprefix(prefix)
            said = json.loads(told[CONSUMER])
            found[name] = Consumer(
                name=name,
                kind=said["kind"],
                event=said["event"],
                emits=tuple(said["emits"]),
                timeout=int(function["Timeout"]),
                service=said.get("service", ""),
                ordered=said["ordered"],
                idempotency_key=said.get("idempotency_key", ""),
                can_ask=said.get("can_ask", False),
                tables=_tables(told),
            )
    return dict(sorted(found.items()))


def _pages(connection: Connection) -> Iterator[Mapping[str, Any]]:
    try:
        yield from connection.lambda_.get_paginator("list_functions").paginate()
    except ClientError as error:
        if is_denied(error):
            raise MayNotListFunctions(connection.stage) from error
        raise


def _tables(told: Mapping[str, str]) -> dict[str, str]:
    prefix = table_variable("")
    return {
        variable.removeprefix(prefix).lower().replace("_", "-"): name
        for variable, name in told.items()
        if variable.startswith(prefix)
    }
