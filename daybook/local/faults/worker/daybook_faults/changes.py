"""Faults that change the call itself: less of it is sent, or without its conditions."""

import copy
import re
from collections.abc import Mapping
from typing import Any

Params = dict[str, Any]


class Remainder:
    """What AWS does not take of a call, and how its answer says so. `sent` is what it takes, `none` if nothing."""

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

    def tell(self, answer: dict[str, Any]) -> None:
        """Add to the answer what was not taken."""
        if self._puts:
            refused = [{"ErrorCode": self._code, "ErrorMessage": "brought about"} for _ in self._kept]
            answer["Entries"] = [*refused, *answer.get("Entries", [])]
            answer["FailedEntryCount"] = answer.get("FailedEntryCount", 0) + len(refused)
        else:
            answer.setdefault("Responses", {})
            answer["UnprocessedKeys"] = self._kept


def unguarded(params: Params, table: str, *, rows: str = "") -> Params:
    """A transaction without the conditions of its parts on the table, or on those rows whose key begins with `rows`."""
    changed = copy.deepcopy(params)
    for item in changed["TransactItems"]:
        for part in item.values():
            if part["TableName"] == table and _key_begins(part, rows) and part.pop("ConditionExpression", None):
                _forget_unused(part)
    return changed


def is_guarded(params: Params, table: str) -> bool:
    """Whether a transaction has a condition on the table."""
    parts = [part for item in params.get("TransactItems", ()) for part in item.values()]
    return any(part["TableName"] == table and "ConditionExpression" in part for part in parts)


def _key_begins(part: Mapping[str, Any], text: str) -> bool:
    keys = part.get("Key") or part["Item"]
    return any(value.get("S", "").startswith(text) for value in keys.values())


def _forget_unused(part: dict[str, Any]) -> None:
    """DynamoDB refuses names and values that no expression uses."""
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
