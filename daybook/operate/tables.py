"""Rows of services' tables, read and written through AWS alone.

    orders = DeployedTable.of(connection, "orders", function="place-order")
    orders.row("1001")
    orders.scan(Attr("stage").eq("confirmed"))

Tables have generated names, so that a service can go and come back. A function that uses a table is told its name.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Self

from boto3.dynamodb.conditions import ConditionBase, ConditionExpressionBuilder
from botocore.exceptions import ClientError

from daybook.consumers.generations import POINTER, Generations, row_id, row_key
from daybook.operate.connection import Connection
from daybook.operate.errors import OperatorError, is_denied
from daybook.operate.functions import environment
from daybook.runtime.settings import table_variable
from daybook.store.attributes import pack_item, unpack_item
from daybook.store.state import KEY

Row = dict[str, Any]

# DynamoDB's quota for one BatchGetItem.
_MOST_READS = 100


class ServiceNotDeployed(OperatorError):
    """The function that uses a table is not there, and nobody else knows where the table is. Deploy its service."""

    def __init__(self, table: str, function: str, stage: str) -> None:
        super().__init__(
            f"the table {table} cannot be found in the stage {stage}: {function}, which uses it, is not deployed; "
            f"check --stage, AWS_PROFILE and AWS_REGION, or deploy its service: npx cdk deploy --all -c stage={stage}"
        )


class TableNotGiven(OperatorError):
    """The function is there, and was given no such table: it comes from other code than this. Deploy it anew."""

    def __init__(self, table: str, function: str, stage: str) -> None:
        super().__init__(
            f"the table {table} cannot be found in the stage {stage}: {function} is deployed, and was given no such "
            f"table; deploy its service from this code: npx cdk deploy --all -c stage={stage}"
        )


class MayNotAskLambda(OperatorError):
    """The operator may not see how a function is set up, which is where a table's name stands. Take another role."""

    def __init__(self, table: str, name: str) -> None:
        super().__init__(
            f"AWS does not let you look up where the table {table} is: that takes lambda:GetFunctionConfiguration of "
            f"{name}; use a role that may, for example by AWS_PROFILE"
        )


@dataclass(frozen=True, slots=True)
class DeployedTable:
    """A table, and the rows in it as plain values. `name` is its name in AWS.

    Of a view it shows one generation, as if there were no other: rows have their own keys.
    """

    connection: Connection
    name: str
    generation: int | None = None

    @classmethod
    def of(cls, connection: Connection, table: str, *, function: str) -> Self:
        """The table that the stack calls `table`, found by a function that was given it.

        Raises ServiceNotDeployed, TableNotGiven, MayNotAskLambda, and botocore's errors.
        """
        try:
            told = environment(connection, function)
        except ClientError as error:
            if is_denied(error):
                raise MayNotAskLambda(table, connection.names.of(function)) from error
            raise
        if told is None:
            raise ServiceNotDeployed(table, function, connection.stage)
        if (name := told.get(table_variable(table))) is None:
            raise TableNotGiven(table, function, connection.stage)
        return cls(connection, name)

    @classmethod
    def of_view(cls, connection: Connection, table: str, *, function: str) -> Self:
        """The view that is kept in the table, in the generation that is live at this moment. Raises as `of` does."""
        return cls.of(connection, table, function=function).live()

    def live(self) -> Self:
        """The table of a view, in the generation that is live at this moment."""
        return replace(self, generation=generations(self.connection, self.name).live)

    def row(self, key: str) -> Row | None:
        """The row with this key, read consistently, or None."""
        return self.rows([key]).get(key)

    def rows(self, keys: Iterable[str]) -> dict[str, Row]:
        """The rows with these keys, by key, as far as they are there, in the order asked for; read consistently."""
        wanted = [self._stands_under(key) for key in dict.fromkeys(keys)]
        batches = [wanted[start : start + _MOST_READS] for start in range(0, len(wanted), _MOST_READS)]
        _ = self.connection.dynamodb  # made before several threads want it
        found = {row[KEY]: row for rows in self.connection.each(self._read, batches) for row in rows}
        shown = (self._shown(found[key]) for key in wanted if key in found)
        return {row[KEY]: row for row in shown if row}

    def scan(self, where: ConditionBase | None = None) -> Iterator[Row]:
        """All rows, or those of which `where` holds, in no order, read consistently. Costs reading the whole table."""
        return self._pages("scan", ConsistentRead=True, **_expressions(where=where))

    def query(self, index: str, key: ConditionBase, where: ConditionBase | None = None) -> Iterator[Row]:
        """The rows under one key of an index, in its order: `query("by-ward", Key("ward").eq("3"))`. An index lags."""
        return self._pages("query", IndexName=index, **_expressions(key=key, where=where))

    def put(self, row: Row) -> None:
        """Write a row, whatever stood there. For rows that functions only read."""
        self.connection.dynamodb.put_item(TableName=self.name, Item=pack_item(row))

    def _read(self, keys: list[str]) -> list[Row]:
        return [unpack_item(item) for item in self.connection.items(self.name, ({KEY: key} for key in keys))]

    def _pages(self, operation: str, **request: Any) -> Iterator[Row]:
        pages = self.connection.dynamodb.get_paginator(operation).paginate(TableName=self.name, **request)
        found = (self._shown(unpack_item(item)) for page in pages for item in page["Items"])
        return (row for row in found if row)

    def _stands_under(self, key: str) -> str:
        return key if self.generation is None else row_id(self.generation, key)

    def _shown(self, row: Row) -> Row | None:
        if self.generation is None:
            return row
        key = row_key(self.generation, row[KEY])
        return None if key is None else {**row, KEY: key}


def generations(connection: Connection, table: str) -> Generations:
    """What stands in a view's table, whose name in AWS it is, read consistently."""
    found = connection.dynamodb.get_item(TableName=table, Key=pack_item({KEY: POINTER}), ConsistentRead=True)
    return Generations.in_item(found.get("Item"))


def _expressions(*, where: ConditionBase | None, key: ConditionBase | None = None) -> dict[str, Any]:
    """Conditions as the parameters of a request."""
    builder = ConditionExpressionBuilder()  # one for both, so that their placeholders differ
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
