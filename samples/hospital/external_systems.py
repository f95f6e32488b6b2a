"""The external systems of the hospital on local runs: a small terminology server."""

from collections.abc import Iterator
from contextlib import contextmanager

from samples.hospital.terminology_server import TerminologyServer


@contextmanager
def on_this_machine() -> Iterator[dict[str, str]]:
    """Start them. Yields the stage's options with their addresses."""
    with TerminologyServer() as server:
        yield {"terminology_server": server.url}
