"""Which modules of a service's folder run in Lambda, found by their imports."""

from typing import Final

from grimp import ImportGraph

# Modules with these names are for operators' commands and consoles.
OPERATORS: Final = frozenset({"commands", "queries", "setup"})

# A module that imports one of these has handlers, so it runs in Lambda.
_DECORATORS: Final = {f"daybook.consumers.{kind}" for kind in ("reaction", "view", "effect")}


def lambda_modules(graph: ImportGraph, service: str) -> set[str]:
    """The modules of a service's folder, except operators' modules and modules that only these import.

    `service` is the folder's dotted name: `functions.inventory`.
    """
    own = {service} | graph.find_descendants(service)
    operators = {module for module in own if module.rpartition(".")[2] in OPERATORS}

    def is_only_for_operators(module: str) -> bool:
        importers = graph.find_modules_that_directly_import(module) & own
        has_handlers = _DECORATORS & graph.find_modules_directly_imported_by(module)
        return bool(importers) and importers <= operators and not has_handlers

    while more := {module for module in own - operators if is_only_for_operators(module)}:
        operators |= more
    return own - operators
