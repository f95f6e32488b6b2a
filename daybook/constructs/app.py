"""All stacks of an application: data, backbone, and one for each service in the package `stacks`."""

from collections.abc import Callable, Iterable, Iterator
from importlib import import_module
from pkgutil import iter_modules

from aws_cdk import App

from daybook.constructs.backbone import Backbone
from daybook.constructs.backups import BackupCopies
from daybook.constructs.data_stack import DataStack
from daybook.constructs.service import Service
from daybook.constructs.stage import Stage


class TableNameTaken(ValueError):
    """Two services have a table with the same name. Commands such as `daybook rebuild` name a view by its table."""


def add_stacks(app: App, stage: Stage) -> None:
    """Add the stacks in the order in which they are deployed: data, backbone, services. Raises TableNameTaken.

    A stage with a second region for backups also gets a stack there, which is deployed before all others.
    """
    data = DataStack(app, stage=stage)
    backbone = Backbone(app, stage=stage)
    backbone.add_stack_dependency(data)
    stacks = [service(app, stage=stage) for service in services("stacks")]
    check_table_names(stacks)
    for stack in stacks:
        stack.add_stack_dependency(backbone)
    if stage.backup_region:
        data.add_stack_dependency(BackupCopies(app, stage=stage))


def check_table_names(stacks: Iterable[Service]) -> None:
    """Raise TableNameTaken if two of the services have a table with the same name."""
    owners: dict[str, str] = {}
    for stack in stacks:
        for table in stack.tables:
            if table in owners:
                msg = f"the services {owners[table]} and {stack.service} have a table {table}; rename one of them"
                raise TableNameTaken(msg)
            owners[table] = stack.service


def services(package: str) -> Iterator[Callable[..., Service]]:
    """The Service classes in the modules of a package, ordered by module name."""
    for found in iter_modules(import_module(package).__path__, f"{package}."):
        module = import_module(found.name)
        for value in vars(module).values():
            if isinstance(value, type) and issubclass(value, Service) and value.__module__ == module.__name__:
                yield value
