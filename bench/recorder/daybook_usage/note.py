"""Lines in one file, from all functions' processes."""

import json
import os
from typing import Any


def note(**told: Any) -> None:
    """Add a line that says which function says it."""
    function = os.environ["AWS_LAMBDA_FUNCTION_NAME"].removeprefix(f"daybook-{os.environ['DAYBOOK_STAGE']}-")
    line = json.dumps({"function": function, **told}) + "\n"
    file = os.open(os.environ["DAYBOOK_USAGE"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.write(file, line.encode())  # at once: lines of several processes do not mix
    finally:
        os.close(file)
