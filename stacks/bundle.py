"""What a service's functions are made of: their own folder, and of kernel and contracts just what they import.

So a change of one service's functions changes that service's template and no other.
"""

import shutil
import tempfile
from functools import cache
from pathlib import Path

import grimp
from aws_cdk import aws_lambda as lambda_

ROOT = Path(__file__).resolve().parent.parent
_PACKAGES = ("functions", "backbone", "events")


@cache
def _folders() -> tempfile.TemporaryDirectory[str]:
    """Where bundles are put together. CDK copies them from here; the folder goes with the process."""
    return tempfile.TemporaryDirectory(prefix="daybook-bundles-")


def code(service: str) -> lambda_.Code:
    """The bundle of one service, for one stack. Its hash depends on its files' names and content alone."""
    folder = Path(_folders().name, service)
    for source in files(service):
        target = folder / source.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
    return lambda_.Code.from_asset(str(folder))


def files(service: str) -> list[Path]:
    """The source files of one service's bundle."""
    graph = _imports()
    own = f"functions.{service}"
    modules = {own} | graph.find_descendants(own) | graph.find_upstream_modules(own, as_package=True)
    packages = {parent for module in modules for parent in _parents(module)}
    return sorted(_file(module) for module in modules | packages)


@cache
def _imports() -> grimp.ImportGraph:
    return grimp.build_graph(*_PACKAGES, cache_dir=None)


def _parents(module: str) -> list[str]:
    parts = module.split(".")
    return [".".join(parts[:length]) for length in range(1, len(parts))]


def _file(module: str) -> Path:
    path = ROOT.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
