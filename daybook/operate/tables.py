"""Reads and writes rows of services' tables.

    orders = DeployedTable.of(connection, Order)
    orders.row("1001")
    orders.scan(Attr("stage").eq("confirmed"))

Tables have generated names, so a service can be removed and deployed again. The functions that use a table have its
name in their environment, and Lambda lists the functions.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Generic, Self, TypeVar

from boto3.dynamodb.conditions import ConditionBase, ConditionExpressionBuilder

from daybook.consumers.generations import POINTER, Generations, row_id, row_key
from daybook.operate.connection import Connection
from daybook.operate.consumers import Consumer, consumers
from daybook.operate.errors import OperatorError
from daybook.operate.terminal import deployment
from daybook.runtime.names import service_name
from daybook.store.attributes import pack_item, unpack_item
from daybook.store.limits import BATCH_GET_ITEMS
from daybook.store.state import KEY, State

Row = dict[str, Any]
R = TypeVar("R", bound=State)


class ServiceNotDeployed(OperatorError):
    """No function of the table's service is deployed, so the name of the table is unknown. Deploy the service."""


class TableNotGiven(OperatorError):
    """The service is deployed from other code: none of its functions has this table."""


@dataclass(frozen=True, slots=True)
class PlainTable:
    """A table with rows as plain values. `name` is its name in AWS.

    Of a view, only one generation is visible, and rows have their keys without the generation.
    """

    connection: Connection
    name: str
    generation: int | None = None

    def live(self) -> Self:
        """The table of a view, in its live generation."""
        return replace(self, generation=generations(self.connection, self.name).live)

    def row(self, key: str) -> Row | None:
        """The row with this key, read consistently, or None."""
        return self.rows([key]).get(key)

    def rows(self, keys: Iterable[str]) -> dict[str, Row]:
        """The existing rows with these keys, by key, in the order of `keys`; read consistently."""
        wanted = [self._stored_key(key) for key in dict.fromkeys(keys)]
        starts = range(0, len(wanted), BATCH_GET_ITEMS)
        batches = [wanted[start : start + BATCH_GET_ITEMS] for start in starts]
        _ = self.connection.dynamodb  # create it before threads use it
        found = {row[KEY]: row for rows in self.connection.each(self._read, batches) for row in rows}
        shown = (self._visible(found[key]) for key in wanted if key in found)
        return {row[KEY]: row for row in shown if row}

    def scan(self, where: ConditionBase | None = None) -> Iterator[Row]:
        """All rows that match `where`, in no order, read consistently. Reads the whole table."""
        return self._pages("scan", ConsistentRead=True, **_expressions(where=where))

    def query(self, index: str, key: ConditionBase, where: ConditionBase | None = None) -> Iterator[Row]:
        """The rows under one key of an index, in its order: `query("by-ward", Key("ward").eq("3"))`. An index lags."""
        return self._pages("query", IndexName=index, **_expressions(key=key, where=where))

    def _read(self, keys: list[str]) -> list[Row]:
        return [unpack_item(item) for item in self.connection.items(self.name, ({KEY: key} for key in keys))]

    def _pages(self, operation: str, **request: Any) -> Iterator[Row]:
        pages = self.connection.dynamodb.get_paginator(operation).paginate(TableName=self.name, **request)
        found = (self._visible(unpack_item(item)) for page in pages for item in page["Items"])
        return (row for row in found if row)

    def _stored_key(self, key: str) -> str:
        return key if self.generation is None else row_id(self.generation, key)

    def _visible(self, row: Row) -> Row | None:
        if self.generation is None:
            return row
        key = row_key(self.generation, row[KEY])
        return None if key is None else {**row, KEY: key}


@dataclass(frozen=True, slots=True)
class DeployedTable(Generic[R]):
    """A table with typed rows."""

    plain: PlainTable
    state: type[R]

    @classmethod
    def of(
        cls, connection: Connection, state: type[R], *, deployed: Mapping[str, Consumer] | None = None
    ) -> "DeployedTable[R]":
        """The table of these rows, found by the functions of the service that defines the rows.

        `deployed` are the stage's consumers, for callers that need several tables. Raises
        ServiceNotDeployed, TableNotGiven, MayNotListFunctions, and botocore's errors.
        """
        service = service_name(state.__module__)
        not_found = f"the table {state.table} was not found in the stage {connection.stage}"
        listed = consumers(connection) if deployed is None else deployed
        own = [consumer.tables for consumer in listed.values() if consumer.service == service]
        if not own:
            raise ServiceNotDeployed(
                f"{not_found}: no function of its service, {service}, is deployed; check --stage, AWS_PROFILE and "
                f"AWS_REGION, or deploy the service: {deployment(connection.stage)}"
            )
        name = next((tables[state.table] for tables in own if state.table in tables), None)
        if name is None:
            raise TableNotGiven(
                f"{not_found}: its service, {service}, is deployed, but none of its functions uses this table; deploy "
                f"the service from this code: {deployment(connection.stage)}"
            )
        return cls(PlainTable(connection, name), state)

    @classmethod
    def of_view(
        cls, connection: Connection, state: type[R], *, deployed: Mapping[str, Consumer] | None = None
    ) -> "DeployedTable[R]":
        """The view of these rows, in its live generation. Raises the same errors as `of`."""
        found = cls.of(connection, state, deployed=deployed)
        return replace(found, plain=found.plain.live())

    @property
    def name(self) -> str:
        return self.plain.name

    def row(self, key: str) -> R | None:
        """The row with this key, read consistently, or None."""
        return self.rows([key]).get(key)

    def rows(self, keys: Iterable[str]) -> dict[str, R]:
        """The existing rows with these keys, by key, in the order of `keys`; read consistently."""
        return {key: self.state.from_values(row) for key, row in self.plain.rows(keys).items()}

    def scan(self, where: ConditionBase | None = None) -> Iterator[R]:
        """All rows that match `where`, in no order, read consistently. Reads the whole table."""
        return map(self.state.from_values, self.plain.scan(where))

    def query(self, index: str, key: ConditionBase, where: ConditionBase | None = None) -> Iterator[R]:
        """The rows under one key of an index, in its order: `query("by-ward", Key("ward").eq("3"))`. An index lags."""
        return map(self.state.from_values, self.plain.query(index, key, where))

    def put(self, row: R) -> None:
        """Write a row, and replace an existing one. For rows that functions only read."""
        self.plain.connection.dynamodb.put_item(TableName=self.name, Item=row.to_item(1))


def generations(connection: Connection, table: str) -> Generations:
    """The generations of a view's table, read consistently. `table` is its name in AWS."""
    found = connection.dynamodb.get_item(TableName=table, Key=pack_item({KEY: POINTER}), ConsistentRead=True)
    return Generations.in_item(found.get("Item"))


def _expressions(*, where: ConditionBase | None, key: ConditionBase | None = None) -> dict[str, Any]:
    builder = ConditionExpressionBuilder()  # one builder, so that the placeholders differ
    request: dict[str, Any] = {}
    names: dict[str, str] = {}
    values: dict[str, Any] = {}
    for parameter, condition in (("KeyConditionExpression", key), ("FilterExpression", where)):
        if condition is not None:
            built = builder.build_expression(condition, is_key_condition=condition is key)
            request[parameter] = built.condition_expression
            names |= built.attribute_name_placeholders
            values |= built.attribute_value_placeholders
    if names:
        request["ExpressionAttributeNames"] = names
    if values:
        request["ExpressionAttributeValues"] = pack_item(values)
    return request
