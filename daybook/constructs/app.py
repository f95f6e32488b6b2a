"""All stacks of an application: data, backbone, and one for each service in the package `stacks`."""

import difflib
from collections.abc import Callable, Iterable, Iterator
from importlib import import_module
from pkgutil import iter_modules

from aws_cdk import App
from aws_cdk.aws_dynamodb import Table

from daybook.constructs.backbone import Backbone
from daybook.constructs.backups import BackupCopies
from daybook.constructs.data_stack import DataStack
from daybook.constructs.function import Function
from daybook.constructs.listener import Listener
from daybook.constructs.service import Service
from daybook.constructs.stage import BadOption, Stage
from daybook.constructs.tables import name_in_options


class TableNameTaken(ValueError):
    """Two services have a table with the same name. Commands such as `daybook rebuild` name a view by its table."""


def add_stacks(app: App, stage: Stage) -> None:
    """Add the stacks in the order in which they are deployed: data, backbone, services. Raises TableNameTaken and
    BadOption.

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
    check_options(app, stage)


def check_options(app: App, stage: Stage) -> None:
    """Raise BadOption if an option names a consumer or a table that the app does not have."""
    made = app.node.find_all()
    consumers = [each.consumer for each in made if isinstance(each, Listener)]
    functions = [each.consumer for each in made if isinstance(each, Function)]
    tables = [name_in_options(each.node.id) for each in made if isinstance(each, Table)]
    for option, given, known in (
        ("concurrency", stage.concurrency, ["", *consumers]),
        ("reserved_concurrency", stage.reserved_concurrency, functions),
        ("warm_throughput", stage.warm_throughput, tables),
    ):
        for name in given.keys() - set(known):
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            msg = f"the option {option} names {name}, which does not exist{hint}"
            raise BadOption(msg)


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
