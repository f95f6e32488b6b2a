"""Connects a command to its stage."""

from collections.abc import Iterator
from contextlib import contextmanager

from botocore.exceptions import BotoCoreError, ClientError

from daybook.application import NoApplication
from daybook.operate.cli.printing import fail
from daybook.operate.connection import Connection
from daybook.operate.errors import OperatorError, explain
from daybook.store.event_store import NotAnEvent


@contextmanager
def connected(stage: str) -> Iterator[Connection]:
    """A connection to the stage. An error in the block ends the command with one sentence."""
    try:
        yield Connection.to(stage)
    except OperatorError as error:
        fail(str(error), exit_code=error.exit_code)
    except NoApplication as error:
        fail(str(error))
    except (BotoCoreError, ClientError) as error:
        fail(explain(error, stage))
    except NotAnEvent as error:
        fail(f"{error}; it was not written by this system: see the alarm tampered")
