"""What is under functions/, and the backbone's. Tests derive from it what templates must hold: no list grows."""

import ast
from functools import cache
from importlib import import_module
from typing import Any

from daybook.consumers.consumer import Consumer
from tests.templates.synthesis import ROOT

# Each folder is a service.
SERVICES = sorted(file.parent.name for file in (ROOT / "functions").glob("*/__init__.py"))


def stack_of(service: str) -> str:
    """The stack that deploys a service's functions, without the stage."""
    return "backbone" if service == "admission" else service


@cache
def handlers() -> frozenset[str]:
    """Every file of functions that defines a handler, as Lambda names it."""
    found = set()
    for file in (*(ROOT / "functions").rglob("*.py"), *(ROOT / "daybook" / "backbone").rglob("*.py")):
        if any(_is_handler(node) for node in ast.parse(file.read_text()).body):
            found.add(".".join((*file.relative_to(ROOT).with_suffix("").parts, "handler")))
    return frozenset(found)


def _is_handler(node: ast.stmt) -> bool:
    if isinstance(node, ast.Assign):
        return any(isinstance(target, ast.Name) and target.id == "handler" for target in node.targets)
    return isinstance(node, ast.FunctionDef) and node.name == "handler"


def consumers() -> list[Consumer[Any]]:
    """All reactions, views and effects. The backbone's own functions are none of these."""
    found = [import_module(name.removesuffix(".handler")).handler for name in sorted(handlers())]
    return [handler for handler in found if isinstance(handler, Consumer)]
