"""Parameters as Stripe's clients send them: a form whose names say where in a tree each value stands."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl


def decode(text: str) -> dict[str, Any]:
    """`metadata[order]=1001&expand[0]=x` as `{"metadata": {"order": "1001"}, "expand": ["x"]}`."""
    tree: dict[str, Any] = {}
    for name, value in parse_qsl(text, keep_blank_values=True):
        *path, last = name.replace("]", "").split("[")
        node = tree
        for part in path:
            below = node.get(part)
            if not isinstance(below, dict):
                below = node[part] = {}
            node = below
        node[last or str(len(node))] = value
    return {name: _with_lists(value) for name, value in tree.items()}


def _with_lists(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    if all(name.isdecimal() for name in value):
        return [_with_lists(value[name]) for name in sorted(value, key=int)]
    return {name: _with_lists(below) for name, below in value.items()}
