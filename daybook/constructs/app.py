"""All stacks of an application: the backbone's stack, and one for each service in the package `stacks`."""

from collections.abc import Callable, Iterator
from importlib import import_module
from pkgutil import iter_modules

from aws_cdk import App

from daybook.constructs.backbone import Backbone
from daybook.constructs.service import Service
from daybook.constructs.stage import Stage


def add_stacks(app: App, stage: Stage) -> None:
    """Add the backbone's stack, and a stack for each service, which is deployed after it."""
    backbone = Backbone(app, stage=stage)
    for service in services("stacks"):
        service(app, stage=stage).add_stack_dependency(backbone)


def services(package: str) -> Iterator[Callable[..., Service]]:
    """The Service classes in the modules of a package, ordered by module name."""
    for found in iter_modules(import_module(package).__path__, f"{package}."):
        module = import_module(found.name)
        for value in vars(module).values():
            if isinstance(value, type) and issubclass(value, Service) and value.__module__ == module.__name__:
                yield value
