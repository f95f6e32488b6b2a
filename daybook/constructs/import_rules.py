"""The rule of `make check` for the imports of code that runs in Lambda. All other imports are errors.

A module may import the standard library, the layers of this project that run in Lambda, its own folder, and the locked
packages of the layer of all functions and of its own service's layer. Operators' modules (`commands`, `queries`,
`setup`, and modules that only these import) may also import the packages for operators. `commands` may import the
`queries` of other services.
"""

import re
import sys
from collections.abc import Iterator
from functools import cache
from importlib.metadata import packages_distributions
from typing import Final

from grimp import ImportGraph
from importlinter import Contract, ContractCheck, fields, output

from daybook.application import application
from daybook.constructs.lambda_modules import lambda_modules

_LOCKED: Final = re.compile(r"^([a-z0-9-]+)==", re.MULTILINE)


class LambdaImports(Contract):
    """Settings: `layers`, the packages of this project that run in Lambda; `services`, the package with one folder for
    each service; `operators`, what operators' modules may also import.
    """

    type_name = "lambda_imports"

    layers = fields.SetField(subfield=fields.StringField())
    services = fields.StringField()
    operators = fields.SetField(subfield=fields.StringField())

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:  # noqa: ARG002 - import-linter's signature
        illegal = [
            (importer, imported, graph.get_import_details(importer=importer, imported=imported)[0]["line_number"])
            for importer, allowed in self._allowed(graph)
            for imported in sorted(graph.find_modules_directly_imported_by(importer))
            if not any(f"{imported}.".startswith(f"{each}.") for each in allowed)
        ]
        return ContractCheck(kept=not illegal, metadata={"illegal": illegal})

    def render_broken_contract(self, check: ContractCheck) -> None:
        for importer, imported, line in check.metadata["illegal"]:
            output.print_error(f"- {importer} -> {imported} (l.{line})", bold=False)
        output.print_error(
            "Code that runs in Lambda may import only the packages of its layers (requirements-lambda.in, "
            "requirements-lambda-<service>.in), the layers of Daybook below operate, events, and its own folder. Move "
            "code for operators to commands, queries or setup.",
            bold=False,
        )

    def _allowed(self, graph: ImportGraph) -> Iterator[tuple[str, set[str]]]:
        """Each module to check, and the modules and packages that it may import, with their submodules."""
        layers: set[str] = self.layers  # type: ignore[assignment]
        services: str = self.services  # type: ignore[assignment]
        operators: set[str] = self.operators  # type: ignore[assignment]
        for layer in layers:
            for module in {layer} | graph.find_descendants(layer):
                yield module, layers | _packages()
        queries = {f"{service}.queries" for service in graph.find_children(services)}
        for service in graph.find_children(services):
            inside = lambda_modules(graph, service)
            everywhere = layers | _packages() | _packages(service.rpartition(".")[2])
            for module in {service} | graph.find_descendants(service):
                if module in inside:
                    yield module, everywhere | (inside - {service})
                else:
                    others = queries if module == f"{service}.commands" else set[str]()
                    yield module, everywhere | operators | {service} | others


@cache
def _packages(service: str = "") -> set[str]:
    """The importable names of the standard library, and of the layer of all functions or of a service's own layer."""
    lock = application().root / f"requirements-lambda{service and '-'}{service}.txt"
    locked = set(_LOCKED.findall(lock.read_text(encoding="utf-8"))) if lock.exists() else set[str]()
    installed = packages_distributions().items()
    return set(sys.stdlib_module_names) | {
        name
        for name, distributions in installed
        if locked & {each.lower().replace("_", "-").replace(".", "-") for each in distributions}
    }
