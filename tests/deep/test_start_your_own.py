"""The page of the docs that deletes the businesses and adds a first service: its commands, files and tests, as written.

What it leaves of this project must pass `make check` and the tests of the package, and the new service must work.
"""

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from daybook.local.cloud import free_port
from tests.documentation import DOCS, ROOT, examples
from tests.local.processes import TIMEOUT, until

PAGE = DOCS / "start-your-own.md"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of this project that is installed, without a download."""
    copy = tmp_path / "project"
    hidden_or_built = shutil.ignore_patterns(".*", "build", "cdk.out", "node_modules", "__pycache__", "*.egg-info")
    shutil.copytree(ROOT, copy, ignore=hidden_or_built)
    (copy / "node_modules").symlink_to(ROOT / "node_modules")
    (copy / ".venv").mkdir()
    for part in (ROOT / ".venv").iterdir():
        (copy / ".venv" / part.name).symlink_to(part)
    installed = copy / ".venv" / ".installed"  # newer than what it depends on, so that `make` installs nothing
    installed.unlink()
    installed.touch()
    return copy


def test_the_page_makes_an_application_that_works(project: Path) -> None:
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    delete, samples, checks, operations, output = (text for language, text in blocks if not language)

    run(delete, project)
    for example in examples(PAGE):
        example.write(project)
    run(samples, project)
    run(checks, project)
    with local_run(project):
        run(operations, project)
        loans = operations.splitlines()[-1]
        until(lambda: run(loans, project) == output, what=output, seen=lambda: run(loans, project))


def run(commands: str, project: Path) -> str:
    """Run commands as a user types them. Returns their output; fails with it if one of them fails."""
    environment = _environment(project)
    ran = subprocess.run(
        ["bash", "-e"], cwd=project, env=environment, input=commands, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, f"{commands}\n{ran.stdout}{ran.stderr}"
    return ran.stdout


@contextmanager
def local_run(project: Path) -> Iterator[None]:
    """`make run`, until the end of the block."""
    command = [str(project / ".venv" / "bin" / "python"), "-m", "daybook.local", "run", "--port", str(free_port())]
    log = project / "run.log"
    with log.open("w") as file:
        process = subprocess.Popen(command, cwd=project, env=_environment(project), stdout=file, stderr=file)
    try:
        until(lambda: "Stop with Ctrl-C" in log.read_text() or process.poll() is not None, what="up")
        assert process.poll() is None, log.read_text()
        yield
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(TIMEOUT)


def _environment(project: Path) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "PYTHON"))}
    return inherited | {"PATH": f"{project / '.venv' / 'bin'}{os.pathsep}{os.environ['PATH']}"}
