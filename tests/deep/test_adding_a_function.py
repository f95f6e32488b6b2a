"""The README's own example of a new function: its file and its line, as they stand there, deployed and at work."""

import io
import re
from pathlib import Path

from rich.console import Console

from daybook.local.progress import Progress
from daybook.local.system import up
from tests.deployed.deployed import Deployed, an_order
from tests.templates.synthesis import ROOT, copy_of_sources

README = (ROOT / "README.md").read_text()


def test_one_file_and_one_line_are_a_deployed_function(tmp_path: Path) -> None:
    project = copy_of_sources(tmp_path / "project")
    (project / ".venv").symlink_to(ROOT / ".venv")
    file, source = _the_file()
    (project / file).write_text(source)
    _append_to_the_stack(project / "stacks" / "inventory.py", _the_line())

    with up(Progress(Console(file=io.StringIO())), project=project) as cloud:
        system = Deployed.on(cloud)
        system.receives(an_order("1001", lines=[("mug", 2), ("mug", 1)]), an_order("1002", lines=[("mug", 4)]))

        assert system.row("demand", "mug", of="count-demand")["pieces"] == 7
        placed, *_ = system.trace("order/1001").steps
        assert "count-demand" in {delivery.consumer for delivery in placed.deliveries}


def _the_file() -> tuple[str, str]:
    ((file, source),) = re.findall(r"```python\n# (functions/\S+\.py)\n(.*?)```", README, re.DOTALL)
    return str(file), str(source)


def _the_line() -> str:
    (line,) = re.findall(r"```python\n(self\.reaction\(.*?\))\n```", README)
    return str(line)


def _append_to_the_stack(stack: Path, line: str) -> None:
    text = stack.read_text()
    if line not in text:  # else the reader of the README has been here before
        stack.write_text(text.rstrip() + f"\n        {line}\n")
