"""The services, handlers and consumers in the source files. Tests compare templates with them."""

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
    """Every handler that a file defines, by the name that Lambda uses."""
    found = set()
    for file in (*(ROOT / "functions").rglob("*.py"), *(ROOT / "daybook" / "backbone").rglob("*.py")):
        module = file.relative_to(ROOT).with_suffix("").parts
        found |= {".".join((*module, name)) for node in ast.parse(file.read_text()).body for name in _handlers(node)}
    return frozenset(found)


def _handlers(node: ast.stmt) -> list[str]:
    """The names under which a statement defines handlers."""
    match node:
        case ast.Assign(targets=[ast.Name("handler" as name)]):
            return [name]
        case ast.FunctionDef(name="handler" as name):
            return [name]
        case ast.FunctionDef(name=name, decorator_list=[ast.Call(func=ast.Name("reaction" | "view" | "effect"))]):
            return [name]
    return []


def consumers() -> list[Consumer[Any]]:
    """All reactions, views and effects. The backbone's own functions are none of these."""
    places = [name.rpartition(".") for name in sorted(handlers())]
    found = [getattr(import_module(module), name) for module, _, name in places]
    return [handler for handler in found if isinstance(handler, Consumer)]
