"""A stage is deployed twice at once from one checkout: the second is told so, and the first goes on undisturbed."""

import subprocess
import sys
from pathlib import Path

from local import environment
from local.project import ROOT
from tests.local.left_behind import until

# An app that takes its time: until it may go on.
APP = """
import pathlib, time
pathlib.Path("began").touch()
deadline = time.monotonic() + 60
while not pathlib.Path("go").exists() and time.monotonic() < deadline:
    time.sleep(0.02)
import aws_cdk
app = aws_cdk.App()
aws_cdk.Stack(app, "daybook-local-nothing")
app.synth()
"""


def test_the_second_of_two_who_deploy_from_one_checkout_is_told_who_is_at_it(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(APP)
    with cdk("synth", tmp_path) as first:
        try:
            until((tmp_path / "began").exists, what="the first makes its templates")

            with cdk("deploy", tmp_path) as second:
                said, _ = second.communicate(timeout=60)
        finally:
            (tmp_path / "go").touch()
        first.communicate(timeout=60)

    assert second.returncode == 1
    assert "is currently synthing to" in said
    assert "Invoke the CLI in sequence" in said
    assert first.returncode == 0


def cdk(command: str, folder: Path) -> subprocess.Popen[str]:
    """A command of CDK on the app in the folder. It reaches no cloud."""
    (folder / "home").mkdir(exist_ok=True)
    (folder / "tmp").mkdir(exist_ok=True)
    return subprocess.Popen(
        [str(ROOT / "node_modules" / ".bin" / "cdk"), command, "--app", f"{sys.executable} app.py", "--no-notices"],
        cwd=folder,
        env=environment.isolated(folder, "http://127.0.0.1:1"),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
