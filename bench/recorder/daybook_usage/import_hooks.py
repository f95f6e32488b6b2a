"""Import hooks that install the recorder: in botocore's list of handlers, and in the function's own module."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from importlib.abc import Loader, MetaPathFinder
from typing import TYPE_CHECKING

from . import record

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType

_BOTOCORE = "botocore.handlers"
_FUNCTIONS = ("functions.", "daybook.backbone.")


class _Extended(Loader):
    """Loads a module with its own loader, then changes it."""

    def __init__(self, loader: Loader, then: Callable[[ModuleType], None]) -> None:
        self._loader = loader
        self._then = then

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self._loader.exec_module(module)
        self._then(module)


class _Finder(MetaPathFinder):
    """Finds the modules to change."""

    def __init__(self) -> None:
        self._looking = False

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        del path, target
        if self._looking or not (fullname == _BOTOCORE or fullname.startswith(_FUNCTIONS)):
            return None
        self._looking = True
        try:
            spec = importlib.util.find_spec(fullname)
        finally:
            self._looking = False
        if spec and spec.loader:
            spec.loader = _Extended(spec.loader, _record_calls if fullname == _BOTOCORE else _time_handler)
        return spec


def install() -> None:
    """Install the recorder in this process, which may have loaded botocore already."""
    if _BOTOCORE in sys.modules:
        _record_calls(sys.modules[_BOTOCORE])
    sys.meta_path.insert(0, _Finder())


def _record_calls(module: ModuleType) -> None:
    module.BUILTIN_HANDLERS.extend(importlib.import_module("daybook_usage.calls").handlers())


def _time_handler(module: ModuleType) -> None:
    """Measure the runs of the process's own handler, if this module has it: a consumer of the function's name, or the
    handler of a module of the backbone.
    """
    function = record.function()
    names = [name for name, value in vars(module).items() if getattr(value, "name", None) == function]
    if module.__name__.rpartition(".")[2] == function.replace("-", "_") and "handler" not in names:
        names.append("handler")
    for name in names:
        if callable(handler := getattr(module, name, None)):
            vars(module)[name] = importlib.import_module("daybook_usage.runs").timed(handler)
