"""The environments of deployed functions."""

from collections.abc import Mapping

from botocore.exceptions import ClientError

from daybook.operate.connection import Connection
from daybook.operate.errors import is_not_there


def environment(connection: Connection, function: str) -> Mapping[str, str] | None:
    """The environment variables of the function; None if it is not deployed. Raises botocore's errors."""
    try:
        found = connection.lambda_.get_function_configuration(FunctionName=connection.names.of(function))
    except ClientError as error:
        if is_not_there(error):
            return None
        raise
    return dict(found.get("Environment", {}).get("Variables", {}))
