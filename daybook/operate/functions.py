"""The deployed functions, and their environments."""

from collections.abc import Iterator, Mapping
from typing import Any

from botocore.exceptions import ClientError

from daybook.operate.connection import Connection
from daybook.operate.errors import OperatorError, is_denied, is_not_there


class MayNotListFunctions(OperatorError):
    """The operator may not list functions. Their environments describe the consumers and their tables."""


def functions(connection: Connection) -> Iterator[Mapping[str, Any]]:
    """The configurations of the stage's functions, without their states, as ListFunctions returns them.

    Raises MayNotListFunctions, and botocore's errors.
    """
    prefix = connection.names.of("")
    try:
        for page in connection.lambda_.get_paginator("list_functions").paginate():
            yield from (each for each in page["Functions"] if each["FunctionName"].startswith(prefix))
    except ClientError as error:
        if is_denied(error):
            raise MayNotListFunctions(
                f"you may not list the functions of the stage {connection.stage}, which name the deployed consumers "
                "and tables: lambda:ListFunctions is required; use a role that has it, for example with AWS_PROFILE"
            ) from error
        raise


def environment(connection: Connection, function: str) -> Mapping[str, str] | None:
    """The environment variables of the function; None if it is not deployed. Raises botocore's errors."""
    try:
        found = connection.lambda_.get_function_configuration(FunctionName=connection.names.of(function))
    except ClientError as error:
        if is_not_there(error):
            return None
        raise
    return dict(found.get("Environment", {}).get("Variables", {}))
