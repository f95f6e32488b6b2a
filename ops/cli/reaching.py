"""The way from a command to its stage."""

from collections.abc import Iterator
from contextlib import contextmanager

from botocore.exceptions import BotoCoreError, ClientError

from backbone.store import NotAnEvent
from ops.cli.printing import fail
from ops.connection import Connection
from ops.errors import OperatorError, explain


@contextmanager
def connected(stage: str) -> Iterator[Connection]:
    """The stage, for the length of the block. What goes wrong with it ends the command with one sentence."""
    try:
        yield Connection.to(stage)
    except OperatorError as error:
        fail(str(error), exit_code=error.exit_code)
    except (BotoCoreError, ClientError) as error:
        fail(explain(error, stage))
    except NotAnEvent as error:
        fail(f"{error}; it was not written by this system: look at the alarm on tampering")
