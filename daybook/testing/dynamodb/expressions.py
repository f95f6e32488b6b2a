"""DynamoDB's expressions: a parser for the parts that this project uses, and their evaluation.

Grammar: "Expressions" in the Developer Guide. Other parts (`contains`, `size`, `DELETE`, list indexes …) raise
NotSupported.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from moto.dynamodb.parsing.reserved_keywords import ReservedKeywords

from daybook.testing.dynamodb.errors import NotSupported, invalid
from daybook.testing.dynamodb.values import Item, Value, added, checked, comparable

CONDITION, FILTER = "ConditionExpression", "FilterExpression"
KEY_CONDITION, UPDATE, PROJECTION = "KeyConditionExpression", "UpdateExpression", "ProjectionExpression"
KINDS = (CONDITION, FILTER, KEY_CONDITION, UPDATE, PROJECTION)
NAMES, VALUES = "ExpressionAttributeNames", "ExpressionAttributeValues"

_LONGEST = 4096  # bytes
_MOST_OPTIONS = 100  # operands of IN
_TOKEN = re.compile(r"\s*(?:([#:]?[A-Za-z0-9_]+)|(<>|<=|>=|[=<>(),.+\-]))")
_RESERVED = frozenset(word.upper() for word in ReservedKeywords.get_reserved_keywords())
_COMPARISONS: Mapping[str, Callable[[Any, Any], bool]] = {
    "<": lambda left, right: left < right,
    "<=": lambda left, right: left <= right,
    ">": lambda left, right: left > right,
    ">=": lambda left, right: left >= right,
}
_TYPES = {"S": "STRING", "N": "NUMBER", "BOOL": "BOOLEAN", "NULL": "NULL", "L": "LIST", "M": "MAP", "SS": "STRING_SET"}
_INCORRECT_TYPE = "An operand in the update expression has an incorrect data type"


@dataclass(frozen=True, slots=True)
class Scope:
    """What an expression is evaluated with: an item, and the values of its placeholders."""

    item: Item
    names: Mapping[str, str]
    values: Mapping[str, Value]


# --- operands --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Path:
    """An attribute, or an attribute within maps: `notes.#name`."""

    parts: tuple[str, ...]

    def named(self, names: Mapping[str, str]) -> tuple[str, ...]:
        """The path with its placeholders replaced."""
        return tuple(names[part] if part.startswith("#") else part for part in self.parts)

    def value(self, scope: Scope) -> Value | None:
        """The value at the path; None if there is none."""
        found: Value | None = {"M": scope.item}
        for name in self.named(scope.names):
            found = found.get("M", {}).get(name) if found else None
        return found


@dataclass(frozen=True, slots=True)
class Placeholder:
    """A value of the request: `:value`."""

    name: str

    def value(self, scope: Scope) -> Value:
        """The placeholder's value."""
        return scope.values[self.name]


@dataclass(frozen=True, slots=True)
class IfNotExists:
    """The value at a path, or another value if there is none."""

    path: Path
    other: "Operand"

    def value(self, scope: Scope) -> Value:
        """The first of the two that exists."""
        found = self.path.value(scope)
        return _required(self.other, scope) if found is None else found


@dataclass(frozen=True, slots=True)
class ListAppend:
    """Two lists, concatenated."""

    first: "Operand"
    second: "Operand"

    def value(self, scope: Scope) -> Value:
        """The concatenated list."""
        lists = [_required(operand, scope) for operand in (self.first, self.second)]
        if not all("L" in each for each in lists):
            raise invalid(_INCORRECT_TYPE)
        return {"L": [each for part in lists for each in part["L"]]}


@dataclass(frozen=True, slots=True)
class Sum:
    """A number plus or minus another."""

    left: "Operand"
    right: "Operand"
    sign: int

    def value(self, scope: Scope) -> Value:
        """The sum or the difference."""
        left, right = _required(self.left, scope), _required(self.right, scope)
        if "N" not in left or "N" not in right:
            raise invalid(_INCORRECT_TYPE)
        return added(left, right, sign=self.sign)


Operand = Path | Placeholder | IfNotExists | ListAppend | Sum


def _required(operand: Operand, scope: Scope) -> Value:
    found = operand.value(scope)
    if found is None:
        raise invalid("The provided expression refers to an attribute that does not exist in the item")
    return found


# --- conditions ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Every:
    """All parts are true (AND), or at least one (OR)."""

    parts: tuple["Condition", ...]
    test: Callable[[Iterator[bool]], bool]

    def holds(self, scope: Scope) -> bool:
        return self.test(part.holds(scope) for part in self.parts)


@dataclass(frozen=True, slots=True)
class Not:
    """The part is false."""

    part: "Condition"

    def holds(self, scope: Scope) -> bool:
        return not self.part.holds(scope)


@dataclass(frozen=True, slots=True)
class Compare:
    """A comparison. Values of different types are never equal, and neither is less. A missing value equals nothing."""

    left: Path
    operator: str
    right: Placeholder | Path

    def holds(self, scope: Scope) -> bool:
        left, right = self.left.value(scope), self.right.value(scope)
        if self.operator == "=":
            return left is not None and left == right
        if self.operator == "<>":
            return left is None or left != right
        if isinstance(self.right, Placeholder):
            _sortable(f"operator: {self.operator}", right)
        return _same_type(left, right) and _COMPARISONS[self.operator](comparable(left), comparable(right))  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class Between:
    """A value between two others, inclusive."""

    left: Path
    low: Placeholder
    high: Placeholder

    def holds(self, scope: Scope) -> bool:
        left, low, high = (operand.value(scope) for operand in (self.left, self.low, self.high))
        for bound in (low, high):
            _sortable("operator: BETWEEN", bound)
        assert low
        assert high
        if not _same_type(low, high):
            raise invalid("The BETWEEN operator requires same data type for lower and upper bounds")
        if comparable(low) > comparable(high):  # type: ignore[operator]
            raise invalid("The BETWEEN operator requires upper bound to be greater than or equal to lower bound")
        return _same_type(left, low) and comparable(low) <= comparable(left) <= comparable(high)  # type: ignore[arg-type,operator]


@dataclass(frozen=True, slots=True)
class In:
    """One of several values."""

    left: Path
    options: tuple[Placeholder, ...]

    def holds(self, scope: Scope) -> bool:
        left = self.left.value(scope)
        return left is not None and any(left == option.value(scope) for option in self.options)


@dataclass(frozen=True, slots=True)
class Exists:
    """There is a value at the path."""

    path: Path

    def holds(self, scope: Scope) -> bool:
        return self.path.value(scope) is not None


@dataclass(frozen=True, slots=True)
class BeginsWith:
    """A text that begins with another."""

    left: Path
    prefix: Placeholder

    def holds(self, scope: Scope) -> bool:
        left, prefix = self.left.value(scope), self.prefix.value(scope)
        if "S" not in prefix:
            raise _bad_operand("operator or function: begins_with", prefix)
        return bool(left) and "S" in left and left["S"].startswith(prefix["S"])  # type: ignore[operator,index]


Condition = Every | Not | Compare | Between | In | Exists | BeginsWith


def _same_type(left: Value | None, right: Value | None) -> bool:
    return left is not None and right is not None and left.keys() == right.keys() and bool({"S", "N"} & left.keys())


def _sortable(where: str, value: Value | None) -> None:
    if value is not None and not {"S", "N"} & value.keys():
        raise _bad_operand(where, value)


def _bad_operand(where: str, value: Value) -> Exception:
    (kind,) = value
    msg = f"Incorrect operand type for operator or function; {where}, operand type: {_TYPES[kind]}"
    return invalid(msg)


# --- updates ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Action:
    """One action of an update: SET, REMOVE or ADD, at a path."""

    verb: str
    path: Path
    operand: Operand | None = None

    def value(self, scope: Scope) -> Value | None:
        """The new value at the path; None if it is removed."""
        if self.verb == "SET":
            assert self.operand
            return _required(self.operand, scope)
        if self.verb == "REMOVE":
            return None
        assert isinstance(self.operand, Placeholder)
        before, more = self.path.value(scope), self.operand.value(scope)
        if not {"N", "SS"} & more.keys():
            raise _bad_operand("operator: ADD", more)
        if before is None:
            return more
        if before.keys() != more.keys():
            raise invalid(_INCORRECT_TYPE)
        return added(before, more) if "N" in more else {"SS": sorted({*before["SS"], *more["SS"]})}


Actions = tuple[Action, ...]


def updated(actions: Actions, scope: Scope) -> dict[str, Value]:
    """The item after the update. All actions read the item as it was before."""
    changes = [(action.path.named(scope.names), action.value(scope)) for action in actions]
    item = dict(scope.item)
    for path, value in changes:
        _place(item, path, value)
    return item


def _place(within: dict[str, Value], path: Sequence[str], value: Value | None) -> None:
    name, *rest = path
    if rest:
        if "M" not in within.get(name, {}):
            raise invalid("The document path provided in the update expression is invalid for update")
        copy = dict(within[name]["M"])
        _place(copy, rest, value)
        within[name] = {"M": copy}
    elif value is None:
        within.pop(name, None)
    else:
        within[name] = value


# --- the parser ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Parsed:
    """A parsed expression and its placeholders. The type of `content` depends on the kind of expression."""

    content: Any
    paths: tuple[Path, ...]
    names: frozenset[str]
    values: frozenset[str]


@lru_cache(maxsize=4096)
def parse(kind: str, text: str) -> Parsed:
    """Parse an expression of one kind. Raises ServiceError for what DynamoDB rejects, and NotSupported."""
    if len(text.encode()) > _LONGEST:
        msg = f"Invalid {kind}: Expression size has exceeded the maximum allowed size; expression size: {len(text)}"
        raise invalid(msg)
    if not text.strip():
        msg = f"Invalid {kind}: The expression can not be empty;"
        raise invalid(msg)
    parser = _Parser(kind, text)
    content = parser.actions() if kind == UPDATE else parser.projected() if kind == PROJECTION else parser.condition()
    parser.end()
    names = {part for path in parser.paths for part in path.parts if part.startswith("#")}
    return Parsed(content, tuple(parser.paths), frozenset(names), frozenset(parser.values))


class _Parser:
    def __init__(self, kind: str, text: str) -> None:
        self._kind = kind
        self._text = text
        self._tokens: list[str] = []
        self._at = 0
        self._bracketed: Condition | None = None
        self.paths: list[Path] = []
        self.values: list[str] = []
        place = 0
        while place < len(text.rstrip()):
            if (found := _TOKEN.match(text, place)) is None:
                msg = f"{text[place:]!r} in {kind} {text!r}"
                raise NotSupported(msg)
            self._tokens.append(found[1] or found[2])
            place = found.end()

    def condition(self) -> Condition:
        return self._several("OR", any, lambda: self._several("AND", all, self._negated))

    def projected(self) -> tuple[Path, ...]:
        return tuple(self._list(self._path))

    def actions(self) -> Actions:
        found: list[Action] = []
        seen: set[str] = set()
        while (verb := self._next().upper()) in {"SET", "REMOVE", "ADD"}:
            if verb in seen:
                msg = f'Invalid {self._kind}: The "{verb}" section can only be used once in an update expression;'
                raise invalid(msg)
            seen.add(verb)
            found += self._list(lambda verb=verb: self._action(verb))  # type: ignore[misc]
            if self._at == len(self._tokens):
                return tuple(found)
        if verb == "DELETE":
            msg = f"DELETE in {self._kind} {self._text!r}"
            raise NotSupported(msg)
        raise self._unexpected(self._at - 1)

    def end(self) -> None:
        if self._at < len(self._tokens):
            raise self._unexpected(self._at)

    def _several(self, word: str, test: Callable[[Iterator[bool]], bool], part: Callable[[], Condition]) -> Condition:
        parts = [part()]
        while self._takes(word):
            parts.append(part())
        return Every(tuple(parts), test) if len(parts) > 1 else parts[0]

    def _negated(self) -> Condition:
        return Not(self._negated()) if self._takes("NOT") else self._primary()

    def _primary(self) -> Condition:
        if self._takes("("):
            condition = self.condition()
            self._expect(")")
            if condition is self._bracketed:
                msg = f"Invalid {self._kind}: The expression has redundant parentheses;"
                raise invalid(msg)
            self._bracketed = condition
            return condition
        if self._peek(1) == "(":
            return self._call()
        left, operator = self._path(), self._next()
        if operator in {"=", "<>", *_COMPARISONS}:
            return Compare(left, operator, self._placeholder() if self._peek().startswith(":") else self._path())
        match operator.upper():
            case "BETWEEN":
                low = self._placeholder()
                self._expect("AND")
                return Between(left, low, self._placeholder())
            case "IN":
                self._expect("(")
                options = tuple(self._list(self._placeholder))
                self._expect(")")
                if len(options) > _MOST_OPTIONS:
                    msg = f"Invalid {self._kind}: The IN operator is provided with too many operands: {len(options)}"
                    raise invalid(msg)
                return In(left, options)
            case _:
                raise self._unexpected(self._at - 1)

    def _call(self) -> Condition:
        function = self._next()
        self._expect("(")
        path = self._path()
        condition: Condition
        match function:
            case "attribute_exists":
                condition = Exists(path)
            case "attribute_not_exists":
                condition = Not(Exists(path))
            case "begins_with":
                self._expect(",")
                condition = BeginsWith(path, self._placeholder())
            case _:
                msg = f"the function {function} in {self._kind} {self._text!r}"
                raise NotSupported(msg)
        self._expect(")")
        return condition

    def _action(self, verb: str) -> Action:
        path = self._path()
        if verb == "REMOVE":
            return Action(verb, path)
        if verb == "ADD":
            return Action(verb, path, self._placeholder())
        self._expect("=")
        operand = self._operand()
        if self._peek() in {"+", "-"}:
            sign = 1 if self._next() == "+" else -1
            operand = Sum(operand, self._operand(), sign)
        return Action(verb, path, operand)

    def _operand(self) -> Operand:
        if self._peek().startswith(":"):
            return self._placeholder()
        if self._peek(1) != "(":
            return self._path()
        function = self._next()
        self._expect("(")
        first = self._operand()
        self._expect(",")
        second = self._operand()
        self._expect(")")
        if function == "if_not_exists" and isinstance(first, Path):
            return IfNotExists(first, second)
        if function == "list_append":
            return ListAppend(first, second)
        msg = f"the function {function} in {self._kind} {self._text!r}"
        raise NotSupported(msg)

    def _path(self) -> Path:
        parts = [self._name()]
        while self._takes("."):
            parts.append(self._name())
        self.paths.append(Path(tuple(parts)))
        return self.paths[-1]

    def _name(self) -> str:
        name = self._next()
        if not re.fullmatch(r"#\w+|[A-Za-z]\w*", name):
            raise self._unexpected(self._at - 1)
        if name.upper() in _RESERVED:
            msg = f"Invalid {self._kind}: Attribute name is a reserved keyword; reserved keyword: {name}"
            raise invalid(msg)
        return name

    def _placeholder(self) -> Placeholder:
        name = self._next()
        if not name.startswith(":"):
            raise self._unexpected(self._at - 1)
        self.values.append(name)
        return Placeholder(name)

    def _list(self, part: Callable[[], Any]) -> list[Any]:
        parts = [part()]
        while self._takes(","):
            parts.append(part())
        return parts

    def _peek(self, ahead: int = 0) -> str:
        return self._tokens[self._at + ahead] if self._at + ahead < len(self._tokens) else ""

    def _next(self) -> str:
        self._at += 1
        return self._tokens[self._at - 1] if self._at <= len(self._tokens) else ""

    def _takes(self, word: str) -> bool:
        if self._peek().upper() != word:
            return False
        self._at += 1
        return True

    def _expect(self, word: str) -> None:
        if not self._takes(word):
            raise self._unexpected(self._at)

    def _unexpected(self, place: int) -> Exception:
        token = self._tokens[place] if place < len(self._tokens) else "<EOF>"
        near = " ".join(self._tokens[max(0, place - 1) : place + 2])
        msg = f'Invalid {self._kind}: Syntax error; token: "{token}", near: "{near}"'
        return invalid(msg)


# --- the expressions of a request ------------------------------------------------------------------------------------


class Expressions:
    """The expressions of one request (or of one part of it), and the values of their placeholders."""

    def __init__(self, request: Mapping[str, Any]) -> None:
        self.names: Mapping[str, str] = request.get(NAMES, {})
        self.values: Mapping[str, Value] = {name: checked(value) for name, value in request.get(VALUES, {}).items()}
        self._parsed = {kind: parse(kind, request[kind]) for kind in KINDS if kind in request}
        for parameter, sign in ((NAMES, "#"), (VALUES, ":")):
            if parameter in request:
                self._check(parameter, request[parameter], sign)
        self._check_placeholders()

    def _check(self, parameter: str, given: Mapping[str, Any], sign: str) -> None:
        if not self._parsed:
            msg = f"{parameter} can only be specified when using expressions"
            raise invalid(msg)
        if not given:
            msg = f"{parameter} must not be empty"
            raise invalid(msg)
        if bad := [name for name in given if not re.fullmatch(rf"{sign}\w+", name, re.ASCII)]:
            msg = f'{parameter} contains invalid key: Syntax error; key: "{bad[0]}"'
            raise invalid(msg)

    def _check_placeholders(self) -> None:
        used: dict[str, set[str]] = {NAMES: set(), VALUES: set()}
        for kind, parsed in self._parsed.items():
            if missing := sorted(parsed.names - self.names.keys()):
                what = "name used in the document path is not defined; attribute name"
                msg = f"Invalid {kind}: An expression attribute {what}: {missing[0]}"
                raise invalid(msg)
            if missing := sorted(parsed.values - self.values.keys()):
                what = "value used in expression is not defined; attribute value"
                msg = f"Invalid {kind}: An expression attribute {what}: {missing[0]}"
                raise invalid(msg)
            used[NAMES] |= parsed.names
            used[VALUES] |= parsed.values
        for parameter, given in ((NAMES, self.names), (VALUES, self.values)):
            if unused := sorted(given.keys() - used[parameter]):
                msg = f"Value provided in {parameter} unused in expressions: keys: {{{', '.join(unused)}}}"
                raise invalid(msg)

    def __contains__(self, kind: str) -> bool:
        return kind in self._parsed

    def content(self, kind: str) -> Any:
        """The parsed expression of that kind; None if the request has none."""
        return self._parsed[kind].content if kind in self._parsed else None

    def paths(self, kind: str) -> list[tuple[str, ...]]:
        """The paths that the expression of that kind uses."""
        return [path.named(self.names) for path in self._parsed[kind].paths] if kind in self._parsed else []

    def holds(self, kind: str, item: Item) -> bool:
        """Whether the condition of that kind is true for the item. A missing condition is true."""
        condition = self.content(kind)
        return condition is None or condition.holds(Scope(item, self.names, self.values))

    def updated(self, item: Item) -> dict[str, Value]:
        """The item after the request's update."""
        return updated(self.content(UPDATE) or (), Scope(item, self.names, self.values))

    def projected(self, item: Item) -> Item:
        """The attributes of the item that the request wants."""
        if PROJECTION not in self._parsed:
            return item
        paths = self.paths(PROJECTION)
        if any(len(path) > 1 for path in paths):
            msg = "a projection of what is within attributes"
            raise NotSupported(msg)
        return {name: item[name] for (name,) in paths if name in item}
