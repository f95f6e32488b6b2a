"""Chosen and random requests for everything that is implemented, on a table with indexes of every kind."""

import re
from typing import Any

from hypothesis import strategies as st

from daybook.store.schema import Index, Schema
from daybook.testing.tables import definition
from tests.dynamodb.comparison import Call

TABLE = "random"
SCHEMA = Schema(
    "p",
    "s",
    numbers=frozenset({"s", "rank"}),
    indexes=(
        Index("all", "kind", "rank", carries=None),
        Index("some", "kind", "name", carries=("flag", "count")),
        Index("keys", "name", "rank"),
    ),
)
DEFINITION = definition(TABLE, SCHEMA)

_TEXTS = st.sampled_from(["a", "ab", "b", "é", "z#1"])
_NUMBERS = st.sampled_from(["-3", "0", "2", "10", "1.5"])
_TEXT, _NUMBER = st.builds(lambda text: {"S": text}, _TEXTS), st.builds(lambda number: {"N": number}, _NUMBERS)
# moto treats NULL as a missing attribute.
_NULL: st.SearchStrategy[Any] = st.just({"NULL": True})
_OTHERS = st.sampled_from(
    [
        {"BOOL": True},
        {"SS": ["a", "b"]},
        {"L": [{"N": "1"}]},
        {"L": []},
        {"M": {}},
        {"M": {"x": {"N": "1"}, "y": {"S": "a"}}},
    ]
)
_COMPARED: st.SearchStrategy[Any] = st.one_of(_TEXT, _NUMBER, _OTHERS)
_VALUES: st.SearchStrategy[Any] = st.one_of(_COMPARED, _NULL)
_ORDER = st.sampled_from(["<", "<=", ">", ">="])
_KEYS = st.fixed_dictionaries(
    {"p": st.sampled_from([{"S": "a"}, {"S": "b"}]), "s": st.sampled_from([{"N": "2"}, {"N": "10"}])}
)
# Attributes of items: keys of indexes, and some of each type.
_ATTRIBUTES: dict[str, st.SearchStrategy[Any]] = {
    "kind": st.sampled_from([{"S": "k"}, {"S": "l"}]),
    "name": _TEXT,
    "rank": _NUMBER,
    "flag": _VALUES,
    "count": _NUMBER,
    "map": st.sampled_from([{"M": {}}, {"M": {"x": {"N": "1"}}}]),
    "list": st.just({"L": [{"S": "a"}]}),
    "set": st.just({"SS": ["a"]}),
}
_FREE = ("flag", "count", "map", "list", "set")
_PATHS = st.sampled_from([*_FREE, "name", "absent"])


class _Writing:
    """An expression that is being built, with its placeholders."""

    def __init__(self, draw: st.DrawFn) -> None:
        self.draw = draw
        self.names: dict[str, str] = {}
        self.values: dict[str, Any] = {}

    def path(self, path: str) -> str:
        for name in path.split("."):
            self.names[f"#{name}"] = name
        return ".".join(f"#{name}" for name in path.split("."))

    def value(self, values: st.SearchStrategy[Any] = _VALUES) -> str:
        name = f":v{len(self.values)}"
        self.values[name] = self.draw(values)
        return name

    def condition(self, depth: int = 2) -> str:
        kinds = ["exists", "not exists", "equal", "ordered", "begins", "between", "in"]
        kind = self.draw(st.sampled_from(kinds + (["and", "or", "not"] if depth else [])))
        if kind in {"and", "or"}:
            both = f"{self.condition(depth - 1)} {kind.upper()} {self.condition(depth - 1)}"
            return f"({both})" if self.draw(st.booleans()) else both
        if kind == "not":
            part = self.condition(depth - 1)
            return f"NOT {part}" if part.startswith("(") else f"NOT ({part})"  # brackets within brackets are an error
        return self._simple(kind, self.path(self.draw(_PATHS)))

    def _simple(self, kind: str, path: str) -> str:
        match kind:
            case "exists":
                text = f"attribute_exists({path})"
            case "not exists":
                text = f"attribute_not_exists({path})"
            case "equal":
                text = f"{path} {self.draw(st.sampled_from(['=', '<>']))} {self.value(_COMPARED)}"
            case "ordered":
                name, values = self.draw(st.sampled_from([("count", _NUMBER), ("name", _TEXT)]))
                text = f"{self.path(name)} {self.draw(_ORDER)} {self.value(values)}"
            case "begins":
                text = f"begins_with({self.path('name')}, {self.value(_TEXT)})"
            case "between":
                low, high = self.draw(st.sampled_from([("0", "2"), ("-3", "10")]))
                bounds = [self.value(st.just({"N": each})) for each in (low, high)]
                text = f"{self.path('count')} BETWEEN {bounds[0]} AND {bounds[1]}"
            case _:
                text = f"{path} IN ({self.value(_COMPARED)}, {self.value(_COMPARED)})"
        return text

    def update(self) -> str:
        clauses: dict[str, list[str]] = {}
        for path in self.draw(st.lists(st.sampled_from(_FREE), min_size=1, max_size=3, unique=True)):
            verb = self.draw(st.sampled_from(["SET", "REMOVE", "ADD"]))
            clauses.setdefault(verb, []).append(self._action(verb, self.path(path)))
        return " ".join(f"{verb} {', '.join(actions)}" for verb, actions in clauses.items())

    def _action(self, verb: str, path: str) -> str:
        if verb == "REMOVE":
            return path
        if verb == "ADD":
            return f"{path} {self.value(st.one_of(_NUMBER, st.just({'SS': ['a', 'c']})))}"
        match self.draw(st.sampled_from(["value", "sum", "append"])):
            case "value":
                return f"{path} = {self.value()}"
            case "sum":
                sign = self.draw(st.sampled_from("+-"))
                default = f"if_not_exists({path}, {self.value(_NUMBER)})"
                return f"{path} = {default} {sign} {self.value(_NUMBER)}"
            case _:
                default = f"if_not_exists({path}, {self.value(st.just({'L': []}))})"
                return f"{path} = list_append({default}, {self.value(st.just({'L': [{'S': 'b'}]}))})"

    def placeholders(self) -> dict[str, Any]:
        named = {"ExpressionAttributeNames": self.names} if self.names else {}
        return named | ({"ExpressionAttributeValues": self.values} if self.values else {})


@st.composite
def _write(draw: st.DrawFn, kind: str) -> dict[str, Any]:
    writing, key = _Writing(draw), draw(_KEYS)
    request: dict[str, Any] = {"TableName": TABLE}
    if kind == "Put":
        request["Item"] = key | draw(st.fixed_dictionaries({}, optional=_ATTRIBUTES))
    else:
        request["Key"] = key
    if kind == "Update":
        request["UpdateExpression"] = writing.update()
    if draw(st.booleans()):
        request["ConditionExpression"] = writing.condition()
    return request | writing.placeholders()


@st.composite
def _one_write(draw: st.DrawFn) -> Call:
    kind = draw(st.sampled_from(["Put", "Put", "Update", "Update", "Delete"]))
    request = draw(_write(kind))
    if kind == "Update" and draw(st.booleans()):
        request["ReturnValues"] = "ALL_NEW"
    return f"{kind}Item", request


@st.composite
def _transaction(draw: st.DrawFn) -> Call:
    parts = []
    for kind in draw(st.lists(st.sampled_from(["Put", "Update", "Delete"]), min_size=1, max_size=3)):
        part = draw(_write(kind))
        if "ConditionExpression" in part and draw(st.booleans()):
            part["ReturnValuesOnConditionCheckFailure"] = "ALL_OLD"
        parts.append({kind: part})
    return "TransactWriteItems", {"TransactItems": parts}


@st.composite
def _read(draw: st.DrawFn) -> Call:
    kind = draw(st.sampled_from(["GetItem", "BatchGetItem", "Scan", "Query", "Query"]))
    if kind == "GetItem":
        return kind, {"TableName": TABLE, "Key": draw(_KEYS), "ConsistentRead": draw(st.booleans())}
    if kind == "BatchGetItem":
        keys = draw(st.lists(_KEYS, min_size=1, max_size=4, unique_by=repr))
        return kind, {"RequestItems": {TABLE: {"Keys": keys}}}
    writing = _Writing(draw)
    request: dict[str, Any] = {"TableName": TABLE}
    keys_of = {None: ("p", "s"), "all": ("kind", "rank"), "some": ("kind", "name"), "keys": ("name", "rank")}
    index = draw(st.sampled_from(list(keys_of)))
    if index:
        request["IndexName"] = index
    if limit := draw(st.sampled_from([None, 1, 3])):
        request["Limit"] = limit
    if kind == "Query":
        partition, sort = keys_of[index]
        values = {"p": _KEYS.map(lambda key: key["p"]), "kind": _ATTRIBUTES["kind"]}.get(partition, _TEXT)
        condition = f"{writing.path(partition)} = {writing.value(values)}"
        bound = _TEXT if sort == "name" else _NUMBER
        match draw(st.sampled_from(["", "<", ">=", "between"])):
            case "between":
                low, high = ("a", "b") if sort == "name" else ("0", "10")
                kind_of = "S" if sort == "name" else "N"
                bounds = [writing.value(st.just({kind_of: each})) for each in (low, high)]
                condition += f" AND {writing.path(sort)} BETWEEN {bounds[0]} AND {bounds[1]}"
            case "":
                pass
            case operator:
                condition += f" AND {writing.path(sort)} {operator} {writing.value(bound)}"
        request |= {"KeyConditionExpression": condition, "ScanIndexForward": draw(st.booleans())}
    return kind, request | writing.placeholders()


REQUESTS: st.SearchStrategy[list[Call]] = st.lists(
    st.one_of(_one_write(), _one_write(), _transaction(), _read()), min_size=4, max_size=12
)

# Each condition on a number, on a text and on a missing attribute; each update of these.
_CONDITIONS = (
    *(f"#count {operator} :two" for operator in ("=", "<>", "<", "<=", ">", ">=")),
    "NOT #count < :two",
    "#count BETWEEN :two AND :ten",
    "#count IN (:two, :ten)",
    "NOT #count IN (:two, :ten)",
    "attribute_exists(#count)",
    "attribute_not_exists(#count)",
    "attribute_exists(#map.#x)",
    "begins_with(#name, :a)",
    "#name > :a",
    "#count = :two OR #name = :a AND attribute_exists(#map)",
    "(#count = :two OR #name = :a) AND attribute_exists(#map)",
)
_UPDATES = (
    "ADD #count :two",
    "ADD #set :set",
    "SET #count = if_not_exists(#count, :ten) - :two",
    "SET #list = list_append(if_not_exists(#list, :list), :list)",
    "SET #map.#x = :two",
    "REMOVE #count, #map.#x",
    "SET #name = #kind, #kind = #name",
)
_ITEMS: tuple[dict[str, Any], ...] = (
    {"count": {"N": "2"}, "name": {"S": "a"}, "kind": {"S": "k"}, "map": {"M": {"x": {"N": "1"}}}},
    {"count": {"N": "10"}, "name": {"S": "ab"}, "kind": {"S": "k"}, "map": {"M": {}}, "set": {"SS": ["a"]}},
    {"count": {"N": "-3"}, "name": {"S": "ba"}, "kind": {"S": "l"}, "map": {"M": {}}, "list": {"L": [{"S": "b"}]}},
    {"name": {"S": "é"}, "kind": {"S": "l"}, "map": {"M": {}}, "rank": {"N": "1.5"}},
)
_PLACEHOLDERS: dict[str, Any] = {
    ":two": {"N": "2"},
    ":ten": {"N": "10"},
    ":a": {"S": "a"},
    ":set": {"SS": ["a", "c"]},
    ":list": {"L": [{"S": "c"}]},
}


def edge_cases() -> list[Call]:
    """Each condition and each update on items that differ, and scans of the table and its indexes before and after."""
    keys: list[dict[str, Any]] = [{"p": {"S": "a"}, "s": {"N": str(number)}} for number in range(len(_ITEMS))]
    puts: list[Call] = [
        ("PutItem", {"TableName": TABLE, "Item": key | item}) for key, item in zip(keys, _ITEMS, strict=True)
    ]
    filters: list[Call] = [
        ("Scan", {"TableName": TABLE, "FilterExpression": condition, **_used(condition)}) for condition in _CONDITIONS
    ]
    updates: list[Call] = [
        (
            "UpdateItem",
            {"TableName": TABLE, "Key": key, "UpdateExpression": update, "ReturnValues": "ALL_NEW", **_used(update)},
        )
        for update in _UPDATES
        for key in keys
    ]
    whole: list[Call] = [("Scan", {"TableName": TABLE, "IndexName": index.name}) for index in SCHEMA.indexes]
    return [*puts, *whole, *filters, *updates, *whole, ("Scan", {"TableName": TABLE})]


def _used(expression: str) -> dict[str, Any]:
    names = {name: name[1:] for name in re.findall(r"#\w+", expression)}
    values = {name: _PLACEHOLDERS[name] for name in re.findall(r":\w+", expression)}
    return {"ExpressionAttributeNames": names} | ({"ExpressionAttributeValues": values} if values else {})
