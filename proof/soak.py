"""Mixed traffic for a long time."""

from local.progress import Progress


def run(progress: Progress, *, seed: int, minutes: float) -> bool:
    """Returns whether all held."""
    raise NotImplementedError((progress, seed, minutes))
