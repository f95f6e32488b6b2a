"""Parses each expression of DynamoDB once.

MiniStack parses and checks a condition again for each item that it compares, which is most of the time of a query of a
long stream. The results depend on the expression alone.
"""

# ruff: noqa: SLF001 - what it replaces is private in MiniStack

from __future__ import annotations

from functools import lru_cache
from typing import Any

from ministack.services import dynamodb  # type: ignore[import-untyped]


def install() -> None:
    """Keep the results of MiniStack's parser and of its checks."""
    tokenize = lru_cache(4096)(lambda expression, parse=dynamodb._tokenize: tuple(parse(expression)))
    dynamodb._tokenize = lambda expression: list(tokenize(expression))
    dynamodb._condition_syntax_error = lru_cache(4096)(dynamodb._condition_syntax_error)
    for name in ("_check_redundant_parens", "_check_reserved_keyword_usage"):
        setattr(dynamodb, name, _by_tokens(getattr(dynamodb, name)))


def _by_tokens(check: Any) -> Any:
    kept = lru_cache(4096)(lambda tokens, *slot: check(list(tokens), *slot))
    return lambda tokens, *slot: kept(tuple(tokens), *slot)
