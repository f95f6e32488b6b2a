"""The tables of a stage as its stacks create them: CreateTable requests, for tests that deploy no stacks."""

import pkgutil
from collections.abc import Iterable, Iterator
from functools import cache
from importlib import import_module
from typing import Any, TypeVar

from daybook.application import application
from daybook.runtime import keyring
from daybook.runtime.names import Names
from daybook.store import event_store as store
from daybook.store import ledger, timers
from daybook.store.schema import Schema
from daybook.store.state import State

C = TypeVar("C")

Definition = dict[str, Any]


def backbone_tables(names: Names) -> list[Definition]:
    """The backbone's tables."""
    schemas = {
        names.store: store.SCHEMA,
        names.ledger: ledger.SCHEMA,
        names.due: timers.SCHEMA,
        names.keys: keyring.SCHEMA,
    }
    return [definition(name, schema) for name, schema in schemas.items()]


def service_tables() -> list[str]:
    """The names in stacks of the tables of all State classes: the application's, and others that are imported."""
    _import_services(application().services)
    return sorted({row.table for row in subclasses(State)})


def definition(name: str, schema: Schema) -> Definition:
    """The CreateTable request of a table."""
    keys = [(schema.partition, schema.sort), *((index.partition, index.sort) for index in schema.indexes)]
    attributes = dict.fromkeys(key for pair in keys for key in pair if key)
    request: Definition = {
        "TableName": name,
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [
            {"AttributeName": key, "AttributeType": "N" if key in schema.numbers else "S"} for key in attributes
        ],
        "KeySchema": _keys(schema.partition, schema.sort),
    }
    if schema.indexes:
        request["GlobalSecondaryIndexes"] = [
            {
                "IndexName": index.name,
                "KeySchema": _keys(index.partition, index.sort),
                "Projection": _projection(index.carries),
            }
            for index in schema.indexes
        ]
    return request


def _projection(carries: Iterable[str] | None) -> dict[str, Any]:
    if carries is None:
        return {"ProjectionType": "ALL"}
    attributes = list(carries)
    return (
        {"ProjectionType": "INCLUDE", "NonKeyAttributes": attributes} if attributes else {"ProjectionType": "KEYS_ONLY"}
    )


def _keys(partition: str, sort: str | None) -> list[dict[str, str]]:
    keys = [{"AttributeName": partition, "KeyType": "HASH"}]
    return keys + ([{"AttributeName": sort, "KeyType": "RANGE"}] if sort else [])


@cache
def _import_services(package: str) -> None:
    for module in pkgutil.walk_packages(import_module(package).__path__, f"{package}."):
        import_module(module.name)


def subclasses(of: type[C]) -> Iterator[type[C]]:
    """All classes below this one that are imported."""
    for each in of.__subclasses__():
        yield each
        yield from subclasses(each)
