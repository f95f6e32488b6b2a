"""Append records of all functions' processes to one file."""

import json
import os
from typing import Any


def function() -> str:
    """The name of this process's function."""
    return os.environ["AWS_LAMBDA_FUNCTION_NAME"].removeprefix(f"daybook-{os.environ['DAYBOOK_STAGE']}-")


def record(**fields: Any) -> None:
    """Append a record with the function's name."""
    line = json.dumps({"function": function(), **fields}) + "\n"
    file = os.open(os.environ["DAYBOOK_USAGE"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.write(file, line.encode())  # in one write, so that processes do not mix lines
    finally:
        os.close(file)
