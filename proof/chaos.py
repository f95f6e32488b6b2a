"""The whole system under faults."""

from local.progress import Progress


def run(progress: Progress, *, seed: int, scale: int) -> bool:
    """Returns whether all held."""
    raise NotImplementedError((progress, seed, scale))
