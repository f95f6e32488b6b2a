"""What functions are made of: the modules of their service's folder, and just what these import.

So a change of one service's functions changes that service's template and no other. Operators' modules (commands,
queries, setup) are no part of a function, and stay out.
"""

import shutil
import tempfile
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import grimp
from aws_cdk import aws_lambda as lambda_

from daybook.application import application
from daybook.constructs.lambda_modules import lambda_modules


@cache
def _folders() -> tempfile.TemporaryDirectory[str]:
    """Where bundles are put together. CDK copies them from here; the folder goes with the process."""
    return tempfile.TemporaryDirectory(prefix="daybook-bundles-")


def code(service: str) -> lambda_.Code:
    """The bundle of one service, for one stack. Its hash depends on its files' names and content alone."""
    return _asset(service, files(service))


def backbone_code() -> lambda_.Code:
    """The bundle of the backbone's own functions."""
    return _asset("backbone", backbone_files())


def files(service: str) -> dict[str, Path]:
    """The source files of one service's bundle, by their place in it."""
    return _sources(modules(service))


def backbone_files() -> dict[str, Path]:
    """The same of the backbone's bundle. admit finds all contracts in their folder, whoever imports them."""
    own = {"daybook.backbone", application().catalogue.package}
    found = own.union(*(_imports().find_descendants(each) for each in own))
    return _sources(found | modules("admission"))


def modules(service: str) -> set[str]:
    """The modules of a service's folder that run in Lambda, by their dotted names."""
    return lambda_modules(_imports(), f"{application().services}.{service}")


def _sources(found: set[str]) -> dict[str, Path]:
    """The files of these modules, of what they import, and of the packages that all of it is in."""
    graph = _imports()
    imported = found.union(*(graph.find_upstream_modules(each) for each in found))
    every = sorted(imported | {parent for module in imported for parent in _parents(module)})
    return dict(map(_placed, every))


def _asset(name: str, sources: dict[str, Path]) -> lambda_.Code:
    folder = Path(_folders().name, name)
    for place, source in sources.items():
        target = folder / place
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
    return lambda_.Code.from_asset(str(folder))


@cache
def _imports() -> grimp.ImportGraph:
    here = application()
    return grimp.build_graph("daybook", here.services, here.catalogue.package, cache_dir=None)


def _parents(module: str) -> list[str]:
    parts = module.split(".")
    return [".".join(parts[:length]) for length in range(1, len(parts))]


def _placed(module: str) -> tuple[str, Path]:
    """Where the module's file belongs in a bundle, and where it is."""
    spec = find_spec(module)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(module)
    place = module.replace(".", "/")
    return (f"{place}/__init__.py" if spec.submodule_search_locations else f"{place}.py"), Path(spec.origin)
