"""What the README tells its reader to type is what works."""

import json
import re
import shlex
from pathlib import Path

import pytest

from daybook.local.instructions import instructions
from daybook.operate.send import command as send
from daybook.operate.send.entries import problem, read_entries

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
WELCOME = instructions("http://127.0.0.1:4566")


@pytest.mark.parametrize("text", [README, WELCOME], ids=["README", "make run"])
def test_the_example_for_the_aws_command_line_is_an_event_that_is_admitted(text: str) -> None:
    (command,) = re.findall(r"^AWS_ACCESS_KEY_ID=test (?:.|\n)*?\]'$", text, re.MULTILINE)
    words = shlex.split(command)
    (entry,) = read_entries(words[words.index("--entries") + 1])

    assert json.loads(words[words.index("--entries") + 1])[0]["EventBusName"] == "daybook-local-ingress"
    assert words[words.index("--region") + 1] == "us-east-1"
    assert problem(entry) is None


def test_every_file_and_every_make_target_that_the_readme_names_is_there() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))

    assert set(re.findall(r"\bmake ([a-z]+)\b", README)) <= targets
    for link in re.findall(r"\]\(([^)#]+)\)", README):
        assert (ROOT / link).exists(), link


@pytest.mark.parametrize("text", [README, WELCOME, send.EXAMPLES], ids=["README", "make run", "daybook send --help"])
def test_every_sample_that_is_named_is_there(text: str) -> None:
    named = re.findall(r"\bsamples/\S+\.json", text)

    assert named
    assert [sample for sample in named if not (ROOT / sample).is_file()] == []
