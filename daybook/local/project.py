"""The folders of the application."""

from pathlib import Path

from daybook.application import application

ROOT = application().root


def private(project: Path) -> Path:
    """The folder `.daybook` of a project, ignored by git: logs, caches, the run file."""
    folder = project / ".daybook"
    folder.mkdir(exist_ok=True)
    return folder
