"""Python imports this by itself when this folder is on its path: it lets faults into a function's process.

Nothing happens until botocore is imported, and nothing at all in a process that is no function.
"""  # noqa: INP001 - Python wants it at the top of a folder

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from importlib.abc import Loader, MetaPathFinder
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType

_HANDLERS = "botocore.handlers"


class _Extended(Loader):
    """Loads botocore's list of handlers, which every session copies, and adds to it."""

    def __init__(self, loader: Loader) -> None:
        self._loader = loader

    def exec_module(self, module: ModuleType) -> None:
        self._loader.exec_module(module)
        hooks = importlib.import_module("daybook_faults.hooks")  # not before it is needed
        module.BUILTIN_HANDLERS.extend(hooks.handlers())


class _Door(MetaPathFinder):
    """Waits for the one module."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        del path, target  # the other finders' business
        if fullname != _HANDLERS:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(fullname)
        if spec and spec.loader:
            spec.loader = _Extended(spec.loader)
        return spec


if "AWS_LAMBDA_FUNCTION_NAME" in os.environ and "DAYBOOK_FAULTS_PLAN" in os.environ:
    sys.meta_path.insert(0, _Door())
