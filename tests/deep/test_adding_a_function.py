"""The first example of the docs, a new function, deployed and run exactly as the docs show it."""

import io
from pathlib import Path

from rich.console import Console

from daybook.local.progress import Progress
from daybook.local.system import up
from tests.deployed.deployed import Deployed, an_order
from tests.documentation import DOCS, examples
from tests.templates.synthesis import ROOT, copy_of_sources


def test_one_file_and_one_line_of_a_stack_deploy_a_function(tmp_path: Path) -> None:
    project = copy_of_sources(tmp_path / "project")
    (project / ".venv").symlink_to(ROOT / ".venv")
    file, line, *_ = examples(DOCS / "add-a-reaction.md")
    file.write(project)
    line.write(project)

    with up(Progress(Console(file=io.StringIO())), project=project) as cloud:
        system = Deployed.on(cloud)
        system.receives(an_order("1001", lines=[("mug", 2), ("mug", 1)]), an_order("1002", lines=[("mug", 4)]))

        assert system.row("demand", "mug", of="count-demand")["pieces"] == 7
        placed, *_ = system.trace("order/1001").steps
        assert "count-demand" in {delivery.consumer for delivery in placed.deliveries}
