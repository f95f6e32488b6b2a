"""The code of functions: the modules of their service's folder, and only the modules that these import.

So a change of one service's functions changes only that service's template. Operators' modules (commands, queries,
setup) are not in the bundle.
"""

import shutil
import tempfile
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import grimp
from aws_cdk import aws_lambda as lambda_

from daybook.application import application
from daybook.constructs.byte_code import compile_folder
from daybook.constructs.lambda_modules import lambda_modules
from daybook.constructs.stage import Stage

_IN_LAMBDA = "/var/task"


@cache
def _folders() -> tempfile.TemporaryDirectory[str]:
    """The folder in which bundles are assembled. CDK copies them from here; it is deleted when the process ends."""
    return tempfile.TemporaryDirectory(prefix="daybook-bundles-")


def code(service: str, *, stage: Stage) -> lambda_.Code:
    """The bundle of one service, for one stack. Its hash depends only on the names and contents of its files."""
    return _asset(service, files(service), stage)


def backbone_code(*, stage: Stage) -> lambda_.Code:
    """The bundle of the backbone's own functions."""
    return _asset("backbone", backbone_files(), stage)


def files(service: str) -> dict[str, Path]:
    """The source files of one service's bundle, by their path in it."""
    return _sources(modules(service))


def backbone_files() -> dict[str, Path]:
    """The source files of the backbone's bundle. It contains all contracts, because admit reads their whole package."""
    own = {"daybook.backbone", application().catalogue.package}
    found = own.union(*(_imports().find_descendants(each) for each in own))
    return _sources(found | modules("admission"))


def modules(service: str) -> set[str]:
    """The dotted names of the modules of a service's folder that run in Lambda."""
    return lambda_modules(_imports(), f"{application().services}.{service}")


def _sources(found: set[str]) -> dict[str, Path]:
    """The files of these modules, of the modules that they import, and of all their packages."""
    graph = _imports()
    imported = found.union(*(graph.find_upstream_modules(each) for each in found))
    all_modules = sorted(imported | {parent for module in imported for parent in _parents(module)})
    return dict(map(_path_and_file, all_modules))


def _asset(name: str, sources: dict[str, Path], stage: Stage) -> lambda_.Code:
    folder = Path(_folders().name, name)
    for path, source in sources.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
    if not stage.is_local:  # there, functions run with the Python of this machine
        compile_folder(folder, _IN_LAMBDA)
    return lambda_.Code.from_asset(str(folder))


@cache
def _imports() -> grimp.ImportGraph:
    here = application()
    return grimp.build_graph("daybook", here.services, here.catalogue.package, cache_dir=None)


def _parents(module: str) -> list[str]:
    parts = module.split(".")
    return [".".join(parts[:length]) for length in range(1, len(parts))]


def _path_and_file(module: str) -> tuple[str, Path]:
    """The path of the module in a bundle, and its source file."""
    spec = find_spec(module)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(module)
    path = module.replace(".", "/")
    return (f"{path}/__init__.py" if spec.submodule_search_locations else f"{path}.py"), Path(spec.origin)
