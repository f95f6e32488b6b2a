"""Where things are in this checkout."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def private(project: Path) -> Path:
    """The folder, ignored by git, for what a local run keeps in a project: logs, caches, where it can be found."""
    folder = project / ".daybook"
    folder.mkdir(exist_ok=True)
    return folder
