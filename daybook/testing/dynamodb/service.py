"""The operations of DynamoDB that this project calls."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import islice
from threading import RLock
from typing import Any

from daybook.testing.dynamodb.capacity import IN_A_TRANSACTION, consumed
from daybook.testing.dynamodb.errors import NotSupported, ServiceError, condition_failed, invalid
from daybook.testing.dynamodb.expressions import (
    CONDITION,
    FILTER,
    KEY_CONDITION,
    NAMES,
    PROJECTION,
    UPDATE,
    VALUES,
    BeginsWith,
    Between,
    Compare,
    Every,
    Expressions,
    Path,
    Placeholder,
    Scope,
)
from daybook.testing.dynamodb.tables import Collection, Table
from daybook.testing.dynamodb.values import MAX_ITEM, Item, Value, checked_item, size_of_item

Request = Mapping[str, Any]
Answer = dict[str, Any]

# DynamoDB's quotas.
_PAGE = 1024 * 1024  # bytes read by one Query or Scan
_MOST_WRITES, _LARGEST_TRANSACTION = 100, 4 * 1024 * 1024
_MOST_READS, _LARGEST_BATCH = 100, 16 * 1024 * 1024
_MOST_BATCH_WRITES = 25
_MOST_TABLES_LISTED = 100

_ON_FAILURE = "ReturnValuesOnConditionCheckFailure"
_CONSUMED = "ReturnConsumedCapacity"
_CONDITIONAL = {"TableName", CONDITION, NAMES, VALUES, _ON_FAILURE}
_READING = {"TableName", "IndexName", FILTER, PROJECTION, NAMES, VALUES, "ConsistentRead", "Limit", "ExclusiveStartKey"}
_WRITES = {
    "Put": {"Item", *_CONDITIONAL},
    "Update": {"Key", UPDATE, *_CONDITIONAL},
    "Delete": {"Key", *_CONDITIONAL},
}
_PARAMETERS = {
    "CreateTable": {"TableName", "BillingMode", "AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes"},
    "DescribeTable": {"TableName"},
    "ListTables": set[str](),
    "UpdateTable": {"TableName", "DeletionProtectionEnabled"},
    "DeleteTable": {"TableName"},
    "PutItem": {*_WRITES["Put"], _CONSUMED},
    "UpdateItem": {*_WRITES["Update"], "ReturnValues", _CONSUMED},
    "DeleteItem": {*_WRITES["Delete"], _CONSUMED},
    "TransactWriteItems": {"TransactItems", "ClientRequestToken", _CONSUMED},
    "BatchWriteItem": {"RequestItems"},
    "GetItem": {"TableName", "Key", "ConsistentRead", PROJECTION, NAMES},
    "BatchGetItem": {"RequestItems"},
    "Query": {KEY_CONDITION, "ScanIndexForward", *_READING},
    "Scan": {"Segment", "TotalSegments", *_READING},
}


@dataclass(frozen=True, slots=True)
class _Write:
    """One write, alone or as a part of a transaction. `change` creates the new item from the old one."""

    table: Table
    key: Item
    expressions: Expressions
    change: Callable[[Item], Item | None]
    shows_item: bool

    @property
    def place(self) -> tuple[str, str]:
        return _place(self.table, self.key)

    def outcome(self) -> tuple[Item | None, Item | None]:
        """The item before and after the write. Raises ServiceError."""
        before = self.table.items.find(self.key)
        if not self.expressions.holds(CONDITION, before or {}):
            raise condition_failed(**({"Item": before} if self.shows_item and before else {}))
        after = self.change(before or {})
        if after is not None and size_of_item(after) > MAX_ITEM:
            raise invalid("Item size has exceeded the maximum allowed size")
        return before, after


class DynamoDB:
    """The DynamoDB of one account and region, with these tables (CreateTable requests). It is thread-safe."""

    def __init__(self, tables: Iterable[Request] = ()) -> None:
        self._tables = {definition["TableName"]: Table(definition) for definition in tables}
        self._locked: dict[tuple[str, str], float] = {}  # with the number of conflicts
        self._transactions: dict[str, Any] = {}
        self._lock = RLock()
        self._operations: dict[str, Callable[[Request], Answer]] = {
            "CreateTable": self._create_table,
            "DescribeTable": lambda request: {"Table": self._table(request["TableName"]).described()},
            "ListTables": self._list_tables,
            "UpdateTable": self._update_table,
            "DeleteTable": self._delete_table,
            "PutItem": partial(self._write_one, "Put"),
            "UpdateItem": partial(self._write_one, "Update"),
            "DeleteItem": partial(self._write_one, "Delete"),
            "TransactWriteItems": self._transact,
            "BatchWriteItem": self._batch_write,
            "GetItem": self._get,
            "BatchGetItem": self._batch_get,
            "Query": self._query,
            "Scan": self._scan,
        }

    def answer(self, operation: str, request: Request) -> Answer:
        """The answer to a request. Raises ServiceError, and NotSupported for what cannot be answered exactly."""
        if operation not in self._operations:
            msg = f"the operation {operation}"
            raise NotSupported(msg)
        _only(_PARAMETERS[operation], request, operation)
        with self._lock:
            return self._operations[operation](request)

    @contextmanager
    def lagging_indexes(self) -> Iterator[None]:
        """In the block, indexes do not see new writes. At its end they see all."""
        with self._lock:
            for table in self._tables.values():
                table.indexes_lag = True
        try:
            yield
        finally:
            with self._lock:
                for table in self._tables.values():
                    table.indexes_lag = False
                    table.catch_up()

    @contextmanager
    def conflicting(self, table: str, key: Item, *, times: float = math.inf) -> Iterator[Callable[[], float]]:
        """In the block, another transaction locks the item: other writes of it get a conflict. `times`: it ends after
        so many conflicts. The block gets a function that returns how many are still to come.
        """
        place = _place(self._table(table), key)
        with self._lock:
            self._locked[place] = times
        try:
            yield lambda: self._locked[place]
        finally:
            with self._lock:
                self._locked.pop(place, None)

    # --- tables -----------------------------------------------------------------------------------------------------

    def _table(self, name: str) -> Table:
        if name not in self._tables:
            msg = f"Requested resource not found: Table: {name} not found; the tables here are {sorted(self._tables)}"
            raise ServiceError("ResourceNotFoundException", msg)
        return self._tables[name]

    def _create_table(self, request: Request) -> Answer:
        table = Table(request)
        if table.name in self._tables:
            msg = f"Table already exists: {table.name}"
            raise ServiceError("ResourceInUseException", msg)
        self._tables[table.name] = table
        return {"TableDescription": table.described()}

    def _list_tables(self, _: Request) -> Answer:
        if len(self._tables) > _MOST_TABLES_LISTED:
            msg = f"a list of more than {_MOST_TABLES_LISTED} tables"
            raise NotSupported(msg)
        return {"TableNames": sorted(self._tables)}

    def _update_table(self, request: Request) -> Answer:
        table = self._table(request["TableName"])
        table.protected = request["DeletionProtectionEnabled"]
        return {"TableDescription": table.described()}

    def _delete_table(self, request: Request) -> Answer:
        table = self._table(request["TableName"])
        if table.protected:
            msg = "Resource cannot be deleted as it is currently protected against deletion."
            raise ServiceError("ValidationException", msg)
        del self._tables[table.name]
        return {"TableDescription": table.described()}

    # --- writes -----------------------------------------------------------------------------------------------------

    def _write(self, kind: str, request: Request) -> _Write:
        table, expressions = self._table(request["TableName"]), Expressions(request)
        change: Callable[[Item], Item | None]
        if kind == "Put":
            item = checked_item(request["Item"])
            key = table.key_of(item)
            change = lambda _: item  # noqa: E731
        else:
            key = checked_item(request["Key"])
            table.check_key(key)
            change = partial(_updated, table, key, expressions) if kind == "Update" else lambda _: None
            _check_paths(table, expressions)
        return _Write(table, key, expressions, change, request.get(_ON_FAILURE) == "ALL_OLD")

    def _write_one(self, kind: str, request: Request) -> Answer:
        wanted = request.get("ReturnValues", "NONE")
        if wanted not in {"NONE", "ALL_NEW"}:
            msg = f"ReturnValues {wanted}"
            raise NotSupported(msg)
        write = self._write(kind, request)
        if self._conflicts(write):
            raise ServiceError("TransactionConflictException", "Transaction is ongoing for the item")
        before, after = write.outcome()
        write.table.replace(before, after)
        answer: Answer = {"Attributes": after} if wanted == "ALL_NEW" else {}
        if _wants_capacity(request):
            (answer["ConsumedCapacity"],) = consumed([(write.table, before, after)])
        return answer

    def _transact(self, request: Request) -> Answer:
        token, parts = request["ClientRequestToken"], request["TransactItems"]
        if token in self._transactions:
            if self._transactions[token] != parts:
                msg = "A request with this ClientRequestToken was made before with other parameters"
                raise ServiceError("IdempotentParameterMismatchException", msg)
            return {}  # already done
        if len(parts) > _MOST_WRITES:
            msg = f"Member must have length less than or equal to {_MOST_WRITES}"
            raise invalid(msg)
        writes = [self._part(part) for part in parts]
        if len({write.place for write in writes}) < len(writes):
            raise invalid("Transaction request cannot include multiple operations on one item")
        found = [self._outcome(write) for write in writes]
        outcomes = [outcome for outcome in found if not isinstance(outcome, ServiceError)]
        if len(outcomes) < len(writes):
            reasons = [_reason(outcome) for outcome in found]
            msg = "Transaction cancelled, please refer cancellation reasons for specific reasons "
            msg += f"[{', '.join(reason['Code'] for reason in reasons)}]"
            raise ServiceError("TransactionCanceledException", msg, CancellationReasons=reasons)
        if sum(size_of_item(after or before or {}) for before, after in outcomes) > _LARGEST_TRANSACTION:
            raise invalid("Transaction request size exceeds the limit of 4 MB")
        for write, outcome in zip(writes, outcomes, strict=True):
            write.table.replace(*outcome)
        self._transactions[token] = parts
        if not _wants_capacity(request):
            return {}
        changes = [(write.table, *outcome) for write, outcome in zip(writes, outcomes, strict=True)]
        return {"ConsumedCapacity": consumed(changes, times=IN_A_TRANSACTION)}

    def _outcome(self, write: _Write) -> tuple[Item | None, Item | None] | ServiceError:
        if self._conflicts(write):
            return ServiceError("TransactionConflict", "Transaction is ongoing for the item")
        try:
            return write.outcome()
        except ServiceError as error:
            return error

    def _conflicts(self, write: _Write) -> bool:
        left = self._locked.get(write.place, 0)
        if left:
            self._locked[write.place] = left - 1
        return left > 0

    def _part(self, part: Request) -> _Write:
        ((kind, request),) = part.items()
        if kind not in _WRITES:
            msg = f"a transaction with {kind}"
            raise NotSupported(msg)
        _only(_WRITES[kind], request, f"{kind} in TransactWriteItems")
        return self._write(kind, request)

    def _batch_write(self, request: Request) -> Answer:
        writes = []
        for table, requests in request["RequestItems"].items():
            for each in requests:
                ((kind, content),) = each.items()
                writes.append(self._write(kind.removesuffix("Request"), {"TableName": table, **content}))
        if not 0 < len(writes) <= _MOST_BATCH_WRITES:
            raise invalid("Too many items requested for the BatchWriteItem call")
        if len({write.place for write in writes}) < len(writes):
            raise invalid("Provided list of item keys contains duplicates")
        outcomes = [write.outcome() for write in writes]
        for write, outcome in zip(writes, outcomes, strict=True):
            write.table.replace(*outcome)
        return {"UnprocessedItems": {}}

    # --- reads ------------------------------------------------------------------------------------------------------

    def _get(self, request: Request) -> Answer:
        table, expressions, key = self._table(request["TableName"]), Expressions(request), checked_item(request["Key"])
        table.check_key(key)
        found = table.items.find(key)
        return {} if found is None else {"Item": expressions.projected(found)}

    def _batch_get(self, request: Request) -> Answer:
        answer: Answer = {"Responses": {}, "UnprocessedKeys": {}}
        read = asked = 0
        for name, part in request["RequestItems"].items():
            _only({"Keys", "ConsistentRead", PROJECTION, NAMES}, part, "BatchGetItem")
            table, expressions, keys = self._table(name), Expressions(part), [*map(checked_item, part["Keys"])]
            asked += len(keys)
            for key in keys:
                table.check_key(key)
            if len({_place(table, key) for key in keys}) < len(keys):
                raise invalid("Provided list of item keys contains duplicates")
            answer["Responses"][name] = items = []
            for key in sorted(keys, key=repr, reverse=True):  # in an order that no caller expects
                found = table.items.find(key)
                read += size_of_item(found) if found else 0
                if read > _LARGEST_BATCH:
                    left = answer["UnprocessedKeys"].setdefault(name, {**part, "Keys": []})
                    left["Keys"].append(key)
                elif found:
                    items.append(expressions.projected(found))
        if not 0 < asked <= _MOST_READS:
            raise invalid("Too many items requested for the BatchGetItem call")
        return answer

    def _query(self, request: Request) -> Answer:
        expressions = Expressions(request)
        collection = self._collection(request)
        if KEY_CONDITION not in expressions:
            raise invalid(
                "Either the KeyConditions or KeyConditionExpression parameter must be specified in the request."
            )
        partition = _partition(collection, expressions)
        for path in expressions.paths(FILTER):
            if path[0] in collection.keys.names:
                msg = "Filter Expression can only contain non-primary key attributes: Primary key attribute: "
                raise invalid(msg + path[0])
        start, forward = _start(collection, request), request.get("ScanIndexForward", True)
        found = collection.query(partition, forward=forward, after=start)
        matching = (item for item in found if expressions.holds(KEY_CONDITION, item))
        return _page(matching, collection, expressions, request.get("Limit"))

    def _scan(self, request: Request) -> Answer:
        collection, expressions = self._collection(request), Expressions(request)
        segment, segments = request.get("Segment", 0), request.get("TotalSegments", 1)
        if ("Segment" in request) != ("TotalSegments" in request) or segment >= segments:
            raise invalid("The Segment parameter must be less than TotalSegments, and both are required")
        found = collection.scan(segment, segments, after=_start(collection, request))
        return _page(found, collection, expressions, request.get("Limit"))

    def _collection(self, request: Request) -> Collection:
        index = request.get("IndexName")
        if index is not None and request.get("ConsistentRead"):
            raise invalid("Consistent reads are not supported on global secondary indexes")
        return self._table(request["TableName"]).collection(index)


def _wants_capacity(request: Request) -> bool:
    wanted = request.get(_CONSUMED, "NONE")
    if wanted not in {"NONE", "INDEXES"}:
        msg = f"{_CONSUMED} {wanted}"
        raise NotSupported(msg)
    return bool(wanted == "INDEXES")


def _place(table: Table, key: Item) -> tuple[str, str]:
    return table.name, repr([key[name] for name in table.keys.names])


def _reason(outcome: object) -> Answer:
    """The cancellation reason of a part of a transaction."""
    if not isinstance(outcome, ServiceError):
        return {"Code": "None"}
    codes = {"ConditionalCheckFailedException": "ConditionalCheckFailed", "ValidationException": "ValidationError"}
    return {"Code": codes.get(outcome.code, outcome.code), "Message": outcome.message, **outcome.more}


def _only(known: set[str], request: Request, where: str) -> None:
    if unknown := sorted(request.keys() - known):
        msg = f"the parameter {unknown[0]} of {where}"
        raise NotSupported(msg)


def _updated(table: Table, key: Item, expressions: Expressions, before: Item) -> Item:
    after = expressions.updated(before or key)
    table.check_index_keys(after)
    return after


def _check_paths(table: Table, expressions: Expressions) -> None:
    """Check that an update does not change the key, and changes no path twice."""
    seen: list[tuple[str, ...]] = []
    for action in expressions.content(UPDATE) or ():
        path = action.path.named(expressions.names)
        if path[0] in table.keys.names:
            msg = f"One or more parameter values were invalid: Cannot update attribute {path[0]}. "
            msg += "This attribute is part of the key"
            raise invalid(msg)
        for other in seen:
            if path[: len(other)] == other[: len(path)]:
                msg = (
                    "Invalid UpdateExpression: Two document paths overlap with each other; must remove or rewrite one "
                )
                msg += f"of these paths; path one: [{', '.join(other)}], path two: [{', '.join(path)}]"
                raise invalid(msg)
        seen.append(path)


def _partition(collection: Collection, expressions: Expressions) -> Value:
    """The partition of a key condition, which is checked. Raises ServiceError."""
    condition = expressions.content(KEY_CONDITION)
    parts = condition.parts if isinstance(condition, Every) and condition.test is all else (condition,)
    found: dict[str, Any] = {}
    for part in parts:
        allowed = not isinstance(part, Compare) or (part.operator != "<>" and isinstance(part.right, Placeholder))
        if not isinstance(part, Compare | Between | BeginsWith) or not allowed:
            raise invalid("Invalid operator used in KeyConditionExpression")
        (name, *_) = part.left.named(expressions.names)
        if name in found:
            raise invalid("KeyConditionExpressions must only contain one condition per key")
        found[name] = part
    keys = collection.keys
    equality = found.get(keys.partition)
    if equality is None:
        msg = f"Query condition missed key schema element: {keys.partition}"
        raise invalid(msg)
    if not isinstance(equality, Compare) or equality.operator != "=":
        raise invalid("Query key condition not supported")
    if beyond := sorted(found.keys() - set(keys.names)):
        msg = f"Query condition missed key schema element: {keys.sort or beyond[0]}"
        raise invalid(msg)
    assert isinstance(equality.left, Path)
    value = equality.right.value(Scope({}, expressions.names, expressions.values))
    assert value is not None
    return value


def _start(collection: Collection, request: Request) -> Item | None:
    if (start := request.get("ExclusiveStartKey")) is None:
        return None
    if start.keys() != set(collection.start):
        raise invalid("The provided starting key is invalid")
    return checked_item(start)


def _page(found: Iterable[Item], collection: Collection, expressions: Expressions, limit: int | None) -> Answer:
    """One page: as many items as requested, or 1 MB, before the filter."""
    if collection.carries is not None and (
        missing := [path[0] for path in expressions.paths(PROJECTION) if path[0] not in collection.carries]
    ):
        msg = f"One or more parameter values were invalid: the global secondary index does not project {missing}"
        raise invalid(msg)
    read: list[Item] = []
    bytes_read = 0
    last = None
    for item in islice(found, limit):
        bytes_read += size_of_item(item)
        if read and bytes_read > _PAGE:
            last = read[-1]
            break
        read.append(item)
    if limit is not None and len(read) == limit:
        last = read[-1]
    items = [expressions.projected(item) for item in read if expressions.holds(FILTER, item)]
    answer: Answer = {"Items": items, "Count": len(items), "ScannedCount": len(read)}
    if last is not None:
        answer["LastEvaluatedKey"] = {name: last[name] for name in collection.start}
    return answer
