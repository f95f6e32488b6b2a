"""Every command of the runbook runs against the deployed system."""

import re
import shlex
from pathlib import Path

from tests.deployed.deployed import Deployed, an_order
from tests.deployed.test_commands import daybook
from tests.local.processes import unique

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "runbook.md").read_text()
# An interrupted check is continued in tests/ops/test_audit_resumption.py.
COMMANDS = [
    line
    for line in dict.fromkeys(re.findall(r"^ *daybook (.*) --stage prod$", PAGE, re.MULTILINE))
    if not line.startswith("audit check --resume")
]
ID = "954ee5d5-d2e0-81b7-909d-26244858827d"
SUCCESS, PROBLEMS_FOUND = 0, 1


def test_every_command_of_the_runbook_runs(system: Deployed, tmp_path: Path) -> None:
    order = unique("order")
    corrected = an_order(order)
    (rejected,) = system.sends({**corrected, "Detail": {"data": {**corrected["Detail"]["data"], "lines": []}}})
    system.dead(rejected, "admit")
    body = daybook(system, "dead", "edit", rejected).stdout
    (tmp_path / "corrected.json").write_text(body.replace('"lines": []', f'"lines": {LINES}'))
    (tmp_path / "sent.json").write_text("{}")

    answers = {}
    try:
        for line in COMMANDS:
            words = [str(tmp_path / word) if word.endswith((".json", ".gz")) else word for word in shlex.split(line)]
            answer = daybook(system, *(word.replace(ID, rejected) for word in words if word != "--watch"))
            answers[line] = answer.returncode, answer.stdout, answer.stderr
    finally:
        for consumer in ("reserve-stock", "tally-transaction", "charge-order"):
            daybook(system, "resume", consumer, "--apply")

    failed = {line: answer for line, answer in answers.items() if answer[0] not in {SUCCESS, PROBLEMS_FOUND}}
    assert failed == {}
    assert (tmp_path / "evidence.jsonl.gz").stat().st_size > 0
    system.is_idle()
    assert "OrderPlaced" in system.types(f"order/{order}"), "the runbook's commands corrected the rejected order"


LINES = '[{"sku": "mug", "quantity": 1, "price": {"amount": 1250, "currency": "EUR"}}]'
