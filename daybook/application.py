"""The application that Daybook serves here, as its pyproject.toml says:

    [tool.daybook]
    catalogue = "events.catalogue:CATALOGUE"  # all its contracts
    services = "functions"  # the package with one folder for each service
    samples = "samples"  # the package with one folder for each business

The operator's commands and the local run find it in the current folder or one above, else in this checkout. Functions
never ask: they get what they need when they are made.
"""

import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from pkgutil import iter_modules
from types import ModuleType
from typing import Any, Self, cast

from daybook.contracts.catalogue import Catalogue

_FILE = "pyproject.toml"
_CHECKOUT = Path(__file__).resolve().parents[1]


class NoApplication(LookupError):
    """No pyproject.toml with a table [tool.daybook] is in the current folder, above it, or in the checkout."""

    def __init__(self, folder: Path) -> None:
        super().__init__(
            f"no {_FILE} with a table [tool.daybook] is in {folder} or above; go to the application's folder"
        )


@dataclass(frozen=True)
class Application:
    """An application in the folder `root`: its contracts, its services, and its samples."""

    root: Path
    settings: dict[str, str]

    @classmethod
    def found_from(cls, folder: Path) -> Self:
        """The application in the folder, above it, or in this checkout. Raises NoApplication."""
        here = folder.resolve()
        for place in (here, *here.parents, _CHECKOUT):
            try:
                said: dict[str, Any] = tomllib.loads((place / _FILE).read_text(encoding="utf-8"))
            except (OSError, ValueError):
                continue
            if settings := said.get("tool", {}).get("daybook"):
                return cls(place, settings)
        raise NoApplication(here)

    @cached_property
    def catalogue(self) -> Catalogue:
        """All contracts."""
        module, _, name = self.settings["catalogue"].partition(":")
        return cast("Catalogue", getattr(self._module(module), name))

    @property
    def services(self) -> str:
        """The package with one folder for each service."""
        return self.settings["services"]

    def of_services(self, name: str) -> Iterator[ModuleType]:
        """The module of that name of each service that has one, in the order of the services' names."""
        return self._parts(self.services, name)

    def of_samples(self, name: str) -> Iterator[ModuleType]:
        """The module of that name of each business that has one, in the order of the businesses' names."""
        return self._parts(self.settings["samples"], name)

    def _parts(self, package: str, name: str) -> Iterator[ModuleType]:
        for part in iter_modules(self._module(package).__path__, f"{package}."):
            if part.ispkg and find_spec(f"{part.name}.{name}"):
                yield self._module(f"{part.name}.{name}")

    def _module(self, name: str) -> ModuleType:
        if str(self.root) not in sys.path:
            sys.path.insert(0, str(self.root))
        return import_module(name)


@cache
def application() -> Application:
    """The application that this process serves. Raises NoApplication."""
    return Application.found_from(Path.cwd())


def catalogue() -> Catalogue:
    """The contracts of the application that this process serves. Raises NoApplication."""
    return application().catalogue
