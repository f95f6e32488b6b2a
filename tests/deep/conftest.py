"""Fixtures of other folders, for tests that take too long for `make test`."""

from tests.deployed.conftest import faults, provider, running_system, system  # noqa: F401 - fixtures
