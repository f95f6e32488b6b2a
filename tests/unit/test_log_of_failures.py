"""The log line of an error says where the error arose, and quotes nothing of the event."""

import json

import pytest

from daybook.consumers.failure import log_failure
from daybook.runtime import observability


@pytest.mark.usefixtures("world")
def test_the_line_names_the_place_in_the_function_not_the_line_that_logs(capsys: pytest.CaptureFixture[str]) -> None:
    module = {"__name__": "functions.orders.broken"}
    exec("def body(text):\n    return int(text)\n", module)  # noqa: S102 - a function of an application
    try:
        module["body"]("Ada Lovelace")  # type: ignore[operator]
    except ValueError as error:
        log_failure(observability.logger("broken"), {"event_id": "e-1"}, error)

    (line,) = map(json.loads, capsys.readouterr().out.splitlines())
    assert (line["event_id"], line["error"]) == ("e-1", "ValueError")
    assert line["error_location"] == "functions/orders/broken.py:2"
    assert "location" not in line
    assert "Lovelace" not in json.dumps(line)
