"""What is under functions/. Tests derive from it what templates must hold, so that no list grows with a service."""

import ast
from functools import cache
from importlib import import_module
from typing import Any

from backbone.consumer import Consumer
from tests.templates.synthesis import ROOT

# Each folder is a service.
SERVICES = sorted(file.parent.name for file in (ROOT / "functions").glob("*/__init__.py"))


def stack_of(service: str) -> str:
    """The stack that deploys a service's functions, without the stage."""
    return "backbone" if service == "bookkeeping" else service


@cache
def handlers() -> frozenset[str]:
    """Every file under functions/ that defines a handler, as Lambda names it."""
    found = set()
    for file in (ROOT / "functions").rglob("*.py"):
        tree = ast.parse(file.read_text())
        if any(isinstance(node, ast.FunctionDef) and node.name == "handler" for node in tree.body):
            found.add(".".join((*file.relative_to(ROOT).with_suffix("").parts, "handler")))
    return frozenset(found)


def consumers() -> list[Consumer[Any]]:
    """All reactions, views and effects. The backbone's own functions are none of these."""
    found = [import_module(name.removesuffix(".handler")).handler for name in sorted(handlers())]
    return [handler for handler in found if isinstance(handler, Consumer)]
