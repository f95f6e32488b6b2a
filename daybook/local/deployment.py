"""The system onto a cloud: the real `cdk` command line, from the very templates that go to AWS.

Everything is built in the cloud's own folder: the tree's `cdk.out` is not touched, and two runs on one machine do not
meet. What the steps say is in `cloud.logs`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from daybook.local import logs
from daybook.local.errors import StepFailed
from daybook.local.interrupts import held
from daybook.local.processes import Child
from daybook.local.project import ROOT

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from types import TracebackType
    from typing import Self

    from daybook.local.cloud import Cloud

_CDK = ROOT / "node_modules" / ".bin" / "cdk"


class Step:
    """A `cdk` command that runs in the background of the block and does not outlive it."""

    def __init__(self, name: str, arguments: Sequence[str], *, cloud: Cloud, directory: Path) -> None:
        self.name = name
        log = f"{arguments[0]}.log"
        self._kept_log = cloud.kept_logs / log
        if not _CDK.exists():
            raise StepFailed(name, "  The CDK command line is not installed here. Type: make install", self._kept_log)
        with held():
            self._child = Child(
                [str(_CDK), *arguments, "--no-notices", "--no-color"],
                environment=cloud.environment,
                directory=directory,
                log=cloud.logs / log,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._child.end()

    def finish(self) -> None:
        """Wait for the command to end. `StepFailed` if it ended badly."""
        code = self._child.wait()
        if code:
            raise StepFailed(self.name, logs.why(self._child.log, code), self._kept_log)


def synthesise(cloud: Cloud, app_directory: Path, assembly: Path, stage: str, **context: str) -> Step:
    """Begin to make the templates of the app in `app_directory`, into the folder `assembly`. Needs no running cloud.

    `context` is what the app is told beside the stage.
    """
    told = [part for name, value in (("stage", stage), *context.items()) for part in ("--context", f"{name}={value}")]
    arguments = ["synth", "--quiet", *told, "--output", str(assembly)]
    return Step("making the templates", arguments, cloud=cloud, directory=app_directory)


def bootstrap(cloud: Cloud) -> None:
    """Prepare the account for CDK: the bucket, roles and version that deployments expect."""
    arguments = ["bootstrap", "aws://000000000000/us-east-1"]
    with Step("preparing the account", arguments, cloud=cloud, directory=cloud.folder) as step:
        step.finish()


def deploy(cloud: Cloud, assembly: Path, *stacks: str) -> None:
    """Bring up these stacks of the assembly, and no other; or, if none is named, all."""
    which = ["--exclusively", *stacks] if stacks else ["--all"]
    how = ["--method", "direct", "--concurrency", "8", "--require-approval", "never", "--app", str(assembly)]
    with Step("deploying", ["deploy", *which, *how], cloud=cloud, directory=cloud.folder) as step:
        step.finish()


def destroy(cloud: Cloud, assembly: Path, *stacks: str) -> None:
    """Take these stacks of the assembly away, and no other."""
    arguments = ["destroy", "--exclusively", *stacks, "--force", "--app", str(assembly)]
    with Step("removing", arguments, cloud=cloud, directory=cloud.folder) as step:
        step.finish()
