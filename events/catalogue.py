"""All contracts, by their type. Only those import it who must know every event: admit, and the operator's commands."""

from collections.abc import Iterable, Mapping
from types import ModuleType

from backbone.contract import ContractError, Event
from events import (
    accounts,
    compliance,
    equipment,
    fraud,
    inventory,
    notifications,
    operations,
    orders,
    patients,
    payments,
    shipping,
)

_MODULES = (
    accounts,
    compliance,
    equipment,
    fraud,
    inventory,
    notifications,
    operations,
    orders,
    patients,
    payments,
    shipping,
)


def _collect(modules: tuple[ModuleType, ...]) -> Mapping[str, type[Event]]:
    found: dict[str, type[Event]] = {}
    owners: dict[str, str] = {}
    for module in modules:
        for value in vars(module).values():
            if not (isinstance(value, type) and issubclass(value, Event) and value.__module__ == module.__name__):
                continue
            contract = value.contract
            if contract.type in found:
                msg = f"two contracts are named {contract.type}; a detail-type must mean one thing"
                raise ContractError(msg)
            if owners.setdefault(contract.stream_kind, contract.service) != contract.service:
                msg = (
                    f"streams {contract.stream_kind}/… belong to {owners[contract.stream_kind]}, not {contract.service}"
                )
                raise ContractError(msg)
            found[contract.type] = value
    return found


def _foreign(contracts: Iterable[type[Event]]) -> Mapping[tuple[str, str], type[Event]]:
    found: dict[tuple[str, str], type[Event]] = {}
    for event in contracts:
        contract = event.contract
        for source in contract.sources if contract.foreign else ():
            other = found.setdefault((source, str(contract.foreign)), event)
            if other is not event:
                msg = f"{contract.type} and {other.contract.type} are both sent as {contract.foreign!r} by {source}"
                raise ContractError(msg)
    return found


CATALOGUE = _collect(_MODULES)

# What those send that do not know this system: by source and detail-type.
FOREIGN = _foreign(CATALOGUE.values())
