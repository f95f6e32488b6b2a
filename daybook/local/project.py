"""Where things are in the application's folder."""

from pathlib import Path

from daybook.application import application

ROOT = application().root


def private(project: Path) -> Path:
    """The folder, ignored by git, for what a local run keeps in a project: logs, caches, where it can be found."""
    folder = project / ".daybook"
    folder.mkdir(exist_ok=True)
    return folder
