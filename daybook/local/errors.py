"""What can go wrong while the system is brought up, each with the next step in its sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


class LocalRunError(Exception):
    """The system could not be brought up on this machine. The message is for people."""

    exit_code: ClassVar[int] = 1


class PortTaken(LocalRunError):
    """The port that was asked for is in use, or may not be used. Ask for another."""

    def __init__(self, port: int, why: str = "is taken by another program") -> None:
        other = port + 1 if 1024 <= port < 65535 else 4567  # noqa: PLR2004 - the unprivileged ports
        super().__init__(f"Port {port} {why}. Use another one: make run PORT={other}")
        self.port = port


class StepFailed(LocalRunError):
    """A step ended badly. `why` holds the last lines that say something, `log` is where all of it will be kept."""

    def __init__(self, step: str, why: str, log: Path) -> None:
        super().__init__(f"Failed: {step}.\n{why}\nThe whole log: {log}")
        self.step, self.why, self.log = step, why, log


class AlreadyRunning(LocalRunError):
    """This checkout already has a run. There is one at a time, so that `daybook --stage local` knows which."""

    exit_code = 2

    def __init__(self, where: str) -> None:
        super().__init__(
            f"Daybook already runs from this checkout{where}. Use that, or stop it with Ctrl-C where it was started."
        )


class UnknownBusiness(LocalRunError):
    """There is no business of this name. Name one of those that there are."""

    exit_code = 2

    def __init__(self, name: str, known: Iterable[str]) -> None:
        super().__init__(f"There is no business {name!r} to show; there are: {', '.join(known)}.")


class NoSamples(LocalRunError):
    """There is nothing to send: the folder of a business holds no samples. Put some there, or name another folder."""

    exit_code = 2

    def __init__(self, folder: Path) -> None:
        super().__init__(f"No samples (*.json) are in {folder}; say --samples FOLDER, with a folder for each business.")
