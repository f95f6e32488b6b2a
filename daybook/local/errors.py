"""Errors of local runs. Each message says what to do next."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from daybook.operate.terminal import command_line

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


class LocalRunError(Exception):
    """The local run failed. The message is written for the user."""

    exit_code: ClassVar[int] = 1


class PortTaken(LocalRunError):
    """The port is in use or not allowed. Choose another."""

    def __init__(self, port: int, why: str = "is taken by another program") -> None:
        other = port + 1 if 1024 <= port < 65535 else 4567  # noqa: PLR2004 - the unprivileged ports
        super().__init__(f"Port {port} {why}. Use another one: {command_line('make', 'run', f'PORT={other}')}")
        self.port = port


class StepFailed(LocalRunError):
    """A step failed. `why` holds the last lines of its log, `log` is the file that will keep all of it."""

    def __init__(self, step: str, why: str, log: Path) -> None:
        super().__init__(f"Failed: {step}.\n{why}\nFull log: {log}")
        self.step, self.why, self.log = step, why, log


class AlreadyRunning(LocalRunError):
    """This checkout already has a local run. Only one is allowed, so that `daybook --stage local` knows the run."""

    exit_code = 2

    def __init__(self, where: str) -> None:
        super().__init__(
            f"Daybook already runs from this checkout{where}. Use that run, or stop it with Ctrl-C in its terminal."
        )


class UnknownBusiness(LocalRunError):
    """There is no business with this name. Use one that the message lists."""

    exit_code = 2

    def __init__(self, name: str, known: Iterable[str]) -> None:
        super().__init__(f"There is no business {name!r}. Businesses: {', '.join(known)}.")


class NoSamples(LocalRunError):
    """The folder of a business has no samples. Add some, or name another folder."""

    exit_code = 2

    def __init__(self, folder: Path) -> None:
        super().__init__(f"No samples (*.json) in {folder}. Use --samples FOLDER, with one folder per business.")
