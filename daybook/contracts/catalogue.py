"""All contracts of an application, by their type.

    CATALOGUE = Catalogue.of_package("events")

Only those import it who must know every event: admit, the backbone's stack, and the operator's commands.
"""

import pkgutil
from collections.abc import Iterator, Mapping
from importlib import import_module
from types import ModuleType
from typing import Self

from daybook.contracts import operations
from daybook.contracts.contract import ContractError, Event


class Catalogue(Mapping[str, type[Event]]):
    """The contracts in some modules, with those of operations, by type.

    `foreign` are those that sources send that do not know this system, by source and detail-type. `package` is the
    package that the modules were found in.
    """

    def __init__(self, *modules: ModuleType, package: str = "") -> None:
        """Raises ContractError if two contracts have one type, or streams of one kind have two owners."""
        self.package = package
        self._contracts: dict[str, type[Event]] = {}
        owners: dict[str, str] = {}
        for module in (*modules, operations):
            for value in vars(module).values():
                if isinstance(value, type) and issubclass(value, Event) and value.__module__ == module.__name__:
                    self._add(value, owners)
        self.foreign: dict[tuple[str, str], type[Event]] = {}
        for event in self._contracts.values():
            contract = event.contract
            for source in contract.sources if contract.foreign else ():
                other = self.foreign.setdefault((source, str(contract.foreign)), event)
                if other is not event:
                    msg = f"{contract.type} and {other.contract.type} are both sent as {contract.foreign!r} by {source}"
                    raise ContractError(msg)

    @classmethod
    def of_package(cls, package: str) -> Self:
        """The contracts in all modules of the package."""
        found = pkgutil.iter_modules(import_module(package).__path__, f"{package}.")
        return cls(*(import_module(module.name) for module in found), package=package)

    def __getitem__(self, event_type: str) -> type[Event]:
        return self._contracts[event_type]

    def __iter__(self) -> Iterator[str]:
        return iter(self._contracts)

    def __len__(self) -> int:
        return len(self._contracts)

    def _add(self, event: type[Event], owners: dict[str, str]) -> None:
        contract = event.contract
        if contract.type in self._contracts:
            msg = f"two contracts are named {contract.type}; a detail-type must mean one thing"
            raise ContractError(msg)
        owner = owners.setdefault(contract.stream_kind, contract.service)
        if owner != contract.service:
            msg = f"streams {contract.stream_kind}/… belong to {owner}, not {contract.service}"
            raise ContractError(msg)
        self._contracts[contract.type] = event
