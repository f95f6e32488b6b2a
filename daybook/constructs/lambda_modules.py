"""Which modules of a service's folder run in Lambda, by who imports whom."""

from typing import Final

from grimp import ImportGraph

# Modules of these names are for operators and for people's consoles.
OPERATORS: Final = frozenset({"commands", "queries", "setup"})

# A module that imports one of these makes handlers, whoever else imports it.
_DECORATORS: Final = {f"daybook.consumers.{kind}" for kind in ("reaction", "view", "effect")}


def lambda_modules(graph: ImportGraph, service: str) -> set[str]:
    """The modules of a service's folder but for operators' modules and what nobody but these imports.

    `service` is the folder's dotted name: `functions.inventory`.
    """
    own = {service} | graph.find_descendants(service)
    operators = {module for module in own if module.rpartition(".")[2] in OPERATORS}

    def is_theirs_alone(module: str) -> bool:
        importers = graph.find_modules_that_directly_import(module) & own
        makes_handlers = _DECORATORS & graph.find_modules_directly_imported_by(module)
        return bool(importers) and importers <= operators and not makes_handlers

    while more := {module for module in own - operators if is_theirs_alone(module)}:
        operators |= more
    return own - operators
