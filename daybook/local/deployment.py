"""Deploy the system to a local cloud with the real `cdk` command line and the same templates as on AWS.

Everything is built in the cloud's own folder, not in the checkout's `cdk.out`, so that two runs on one machine do not
interfere. The output of each step is in `cloud.logs`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from daybook.local import logs
from daybook.local.errors import StepFailed
from daybook.local.interrupts import defer_interrupts
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
    """A `cdk` command that runs in the background for the length of the block."""

    def __init__(self, name: str, arguments: Sequence[str], *, cloud: Cloud, directory: Path) -> None:
        self.name = name
        log = f"{arguments[0]}.log"
        self._kept_log = cloud.kept_logs / log
        if not _CDK.exists():
            raise StepFailed(name, "  The CDK command line is not installed. Run: make install", self._kept_log)
        with defer_interrupts():
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
        """Wait until the command ends. Raises `StepFailed` if it failed."""
        code = self._child.wait()
        if code:
            raise StepFailed(self.name, logs.last_lines(self._child.log, code), self._kept_log)


def synthesise(cloud: Cloud, app_directory: Path, assembly: Path, stage: str, **context: str) -> Step:
    """Start to synthesize the app in `app_directory` into the folder `assembly`. Needs no running cloud.

    `context` is passed to the app in addition to the stage.
    """
    options = [
        part for name, value in (("stage", stage), *context.items()) for part in ("--context", f"{name}={value}")
    ]
    arguments = ["synth", "--quiet", *options, "--output", str(assembly)]
    return Step("synthesizing the templates", arguments, cloud=cloud, directory=app_directory)


def bootstrap(cloud: Cloud) -> None:
    """Prepare the account for CDK: create the bucket and the roles that deployments expect."""
    arguments = ["bootstrap", "aws://000000000000/us-east-1"]
    with Step("preparing the account", arguments, cloud=cloud, directory=cloud.folder) as step:
        step.finish()


def deploy(cloud: Cloud, assembly: Path, *stacks: str) -> None:
    """Deploy these stacks of the assembly, or all stacks if none is named."""
    which = ["--exclusively", *stacks] if stacks else ["--all"]
    how = ["--method", "direct", "--concurrency", "8", "--require-approval", "never", "--app", str(assembly)]
    with Step("deploying", ["deploy", *which, *how], cloud=cloud, directory=cloud.folder) as step:
        step.finish()


def destroy(cloud: Cloud, assembly: Path, *stacks: str) -> None:
    """Destroy these stacks of the assembly, and no others."""
    arguments = ["destroy", "--exclusively", *stacks, "--force", "--app", str(assembly)]
    with Step("removing", arguments, cloud=cloud, directory=cloud.folder) as step:
        step.finish()
