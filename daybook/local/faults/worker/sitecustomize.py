"""Installs the faults in a function's process. Python imports this module by itself when its folder is on the path.

It does nothing until botocore, or a module with a removable guard, is imported, if it was not already, and nothing at
all in a process that is not a function.
"""  # noqa: INP001 - Python wants it at the top of a folder

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from importlib.abc import Loader, MetaPathFinder
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType


def _add_handlers(handlers: Any) -> None:
    """Add to botocore's list of handlers, which every session copies."""
    hooks = importlib.import_module("daybook_faults.hooks")
    handlers.BUILTIN_HANDLERS.extend(hooks.handlers())


def _changes() -> dict[str, list[Callable[[Any], None]]]:
    """The patches for each module, applied when it was imported."""
    changes: dict[str, list[Callable[[Any], None]]] = {"botocore.handlers": [_add_handlers]}
    if "DAYBOOK_FAULTS_GUARDS" in os.environ:
        for module, make_removable in importlib.import_module("daybook_faults.guards").GUARDS:
            changes.setdefault(module, []).append(make_removable)
    return changes


class _Changing(Loader):
    """Loads a module with its own loader, then patches it."""

    def __init__(self, loader: Loader, changes: Sequence[Callable[[Any], None]]) -> None:
        self._loader = loader
        self._changes = changes

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self._loader.exec_module(module)
        for change in self._changes:
            change(module)


class _Finder(MetaPathFinder):
    """Finds the modules to patch."""

    def __init__(self, changes: Mapping[str, Sequence[Callable[[Any], None]]]) -> None:
        self._waiting = dict(changes)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        del path, target
        changes = self._waiting.pop(fullname, None)
        if changes is None:
            return None
        spec = importlib.util.find_spec(fullname)
        if spec and spec.loader:
            spec.loader = _Changing(spec.loader, changes)
        return spec


if "AWS_LAMBDA_FUNCTION_NAME" in os.environ and "DAYBOOK_FAULTS_PLAN" in os.environ:
    waiting = _changes()
    for name in sys.modules.keys() & waiting.keys():
        for change in waiting.pop(name):
            change(sys.modules[name])
    sys.meta_path.insert(0, _Finder(waiting))
