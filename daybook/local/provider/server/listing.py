"""Paginated lists, newest first: docs.stripe.com/api/pagination."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from daybook.local.provider.server.refusal import missing

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_PAGE = 10


def page(objects: Sequence[Mapping[str, Any]], params: Mapping[str, Any], path: str) -> dict[str, Any]:
    """The requested page of `objects`, which are in order of creation."""
    newest = list(reversed(objects))
    start = 0
    if after := params.get("starting_after"):
        ids = [each["id"] for each in newest]
        if after not in ids:
            raise missing("object", after, "starting_after")
        start = ids.index(after) + 1
    end = start + params.get("limit", _PAGE)
    return {"object": "list", "data": newest[start:end], "has_more": end < len(newest), "url": path}
