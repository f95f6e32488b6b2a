"""Whoever is called at night types what the runbook says, line by line, and each line gives an answer."""

import re
import shlex
from pathlib import Path

from tests.deployed.deployed import Deployed, an_order, unique
from tests.deployed.test_commands import daybook

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "runbook.md").read_text()
TYPED = list(dict.fromkeys(re.findall(r"^ *daybook (.*) --stage prod$", PAGE, re.MULTILINE)))
ID = "954ee5d5-d2e0-81b7-909d-26244858827d"
DONE, SOMETHING_IS_WRONG = 0, 1


def test_every_line_of_the_runbook_is_walked_and_answers(system: Deployed, tmp_path: Path) -> None:
    order = unique("walked")
    mended = an_order(order)
    (refused,) = system.sends({**mended, "Detail": {"data": {**mended["Detail"]["data"], "lines": []}}})
    system.dead(refused, "admit")
    letter = daybook(system, "dead", "edit", refused).stdout
    (tmp_path / "mended.json").write_text(letter.replace('"lines": []', f'"lines": {LINES}'))
    (tmp_path / "sent.json").write_text("{}")

    answers = {}
    try:
        for line in TYPED:
            words = [str(tmp_path / word) if word.endswith((".json", ".gz")) else word for word in shlex.split(line)]
            answer = daybook(system, *(word.replace(ID, refused) for word in words if word != "--watch"))
            answers[line] = answer.returncode, answer.stdout, answer.stderr
    finally:
        for consumer in ("reserve-stock", "tally-transaction", "charge-order"):
            daybook(system, "resume", consumer, "--apply")

    wrong = {line: told for line, told in answers.items() if told[0] not in {DONE, SOMETHING_IS_WRONG}}
    assert wrong == {}
    assert (tmp_path / "evidence.jsonl.gz").stat().st_size > 0
    system.is_idle()
    assert "OrderPlaced" in system.types(f"order/{order}"), "the order that was refused was mended on the way"


LINES = '[{"sku": "mug", "quantity": 1, "price": {"amount": 1250, "currency": "EUR"}}]'
