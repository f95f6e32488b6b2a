"""Faults that change a call: only part of it is sent, or its conditions are removed."""

import copy
import re
from collections.abc import Mapping
from typing import Any

Params = dict[str, Any]


class Untaken:
    """The part of a call that AWS does not process. `sent` is the other part; `none` means that the other is empty."""

    def __init__(self, operation: str, params: Params, take: int, code: str) -> None:
        self._code = code
        self._puts = operation == "PutEvents"
        self._kept: Any
        if self._puts:
            entries = params["Entries"]
            cut = max(len(entries) - take, 0)
            self._kept = entries[:cut]
            self.sent = params | {"Entries": entries[cut:]}
        else:
            requests = params["RequestItems"]
            keys = [(table, key) for table, request in requests.items() for key in request["Keys"]]
            cut = max(len(keys) - take, 0)
            self._kept = _request(requests, keys[:cut])
            self.sent = params | {"RequestItems": _request(requests, keys[cut:])}
        self.none = take == 0

    def __bool__(self) -> bool:
        return bool(self._kept)

    def add_to(self, answer: dict[str, Any]) -> None:
        """Add to the answer what was not processed."""
        if self._puts:
            refused = [{"ErrorCode": self._code, "ErrorMessage": "injected fault"} for _ in self._kept]
            answer["Entries"] = [*refused, *answer.get("Entries", [])]
            answer["FailedEntryCount"] = answer.get("FailedEntryCount", 0) + len(refused)
        else:
            answer.setdefault("Responses", {})
            answer["UnprocessedKeys"] = self._kept


def without_conditions(params: Params, table: str, *, rows: str = "") -> Params:
    """A transaction without the conditions on `table`, or only on the rows whose key begins with `rows`."""
    changed = copy.deepcopy(params)
    for item in changed["TransactItems"]:
        for part in item.values():
            if part["TableName"] == table and _key_begins(part, rows) and part.pop("ConditionExpression", None):
                _remove_unused(part)
    return changed


def has_conditions(params: Params, table: str) -> bool:
    """Whether a transaction has a condition on the table."""
    parts = [part for item in params.get("TransactItems", ()) for part in item.values()]
    return any(part["TableName"] == table and "ConditionExpression" in part for part in parts)


def _key_begins(part: Mapping[str, Any], text: str) -> bool:
    keys = part.get("Key") or part["Item"]
    return any(value.get("S", "").startswith(text) for value in keys.values())


def _remove_unused(part: dict[str, Any]) -> None:
    """DynamoDB rejects names and values that no expression uses."""
    used = set(re.findall(r"[#:]\w+", part.get("UpdateExpression", "")))
    for kind in ("ExpressionAttributeNames", "ExpressionAttributeValues"):
        left = {name: value for name, value in part.pop(kind, {}).items() if name in used}
        if left:
            part[kind] = left


def _request(requests: Mapping[str, Any], keys: list[tuple[str, Any]]) -> dict[str, Any]:
    wanted: dict[str, list[Any]] = {}
    for table, key in keys:
        wanted.setdefault(table, []).append(key)
    return {table: {**requests[table], "Keys": several} for table, several in wanted.items()}
