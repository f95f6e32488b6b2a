"""The stage `test` on moto, for tests that hold the checker against the system's own functions."""

from tests.unit.conftest import world  # noqa: F401 - a fixture
