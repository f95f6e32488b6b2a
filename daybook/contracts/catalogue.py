"""All contracts of an application, by event type.

    CATALOGUE = Catalogue.of_package("events")

Only code that must know every event imports the catalogue: admit, the backbone's stack, and the operator's commands.
"""

import pkgutil
from collections.abc import Iterator, Mapping
from importlib import import_module
from types import ModuleType
from typing import Self

from daybook.contracts import operations
from daybook.contracts.contract import ContractError, Event


class Catalogue(Mapping[str, type[Event]]):
    """The contracts in the given modules and those of operations, by event type.

    `foreign` maps source and detail-type to the contracts of sources that do not know this system (see Event).
    `package` is the package of the modules.
    """

    def __init__(self, *modules: ModuleType, package: str = "") -> None:
        """Raises ContractError if two contracts have the same type, or one kind of stream has two owners."""
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
                    msg = (
                        f"{contract.type} and {other.contract.type} have the same detail-type {contract.foreign!r} and "
                        f"source {source}; each pair needs one contract"
                    )
                    raise ContractError(msg)

    @classmethod
    def of_package(cls, package: str) -> Self:
        """The contracts in all modules of the package."""
        found = pkgutil.iter_modules(import_module(package).__path__, f"{package}.")
        return cls(*(import_module(module.name) for module in found), package=package)

    @property
    def timers(self) -> frozenset[str]:
        """The types of events that only timers record."""
        return frozenset(name for name, event in self.items() if event.contract.timer)

    def __getitem__(self, event_type: str) -> type[Event]:
        return self._contracts[event_type]

    def __iter__(self) -> Iterator[str]:
        return iter(self._contracts)

    def __len__(self) -> int:
        return len(self._contracts)

    def _add(self, event: type[Event], owners: dict[str, str]) -> None:
        contract = event.contract
        if contract.type in self._contracts:
            msg = f"two contracts have the name {contract.type}; a detail-type must have one contract"
            raise ContractError(msg)
        owner = owners.setdefault(contract.stream_kind, contract.service)
        if owner != contract.service:
            msg = f"streams {contract.stream_kind}/… belong to {owner}, not {contract.service}"
            raise ContractError(msg)
        self._contracts[contract.type] = event
