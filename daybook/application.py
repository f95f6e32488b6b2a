"""The application that this process serves, as configured in its pyproject.toml:

    [tool.daybook]
    catalogue = "events.catalogue:CATALOGUE"  # all its contracts
    services = "functions"  # the package with one folder for each service
    samples = "samples"  # the package with one folder for each business

The operator's commands and the local system look for it in the current folder, in the folders above, and then in this
checkout. Lambda functions do not use this module: their files pass what they need as arguments.
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
    """No pyproject.toml with a table [tool.daybook] in the current folder, above it, or in the checkout."""

    def __init__(self, folder: Path) -> None:
        super().__init__(
            f"no {_FILE} with a table [tool.daybook] is in {folder} or above; go to the application's folder"
        )


@dataclass(frozen=True)
class Application:
    """An application in the folder `root`: its contracts, services and samples."""

    root: Path
    settings: dict[str, str]

    @classmethod
    def found_from(cls, folder: Path) -> Self:
        """The application in `folder`, above it, or in this checkout. Raises NoApplication."""
        here = folder.resolve()
        for root in (here, *here.parents, _CHECKOUT):
            try:
                project: dict[str, Any] = tomllib.loads((root / _FILE).read_text(encoding="utf-8"))
            except (OSError, ValueError):
                continue
            if settings := project.get("tool", {}).get("daybook"):
                return cls(root, settings)
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
        """The module `name` of each service that has one, ordered by service name."""
        return self._submodules(self.services, name)

    def of_samples(self, name: str) -> Iterator[ModuleType]:
        """The module `name` of each business that has one, ordered by business name."""
        return self._submodules(self.settings["samples"], name)

    def _submodules(self, package: str, name: str) -> Iterator[ModuleType]:
        for found in iter_modules(self._module(package).__path__, f"{package}."):
            if found.ispkg and find_spec(f"{found.name}.{name}"):
                yield self._module(f"{found.name}.{name}")

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
