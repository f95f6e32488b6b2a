"""The stage in memory of tests/unit."""

from tests.unit.conftest import library, options, world  # noqa: F401 - fixtures
from tests.unit.test_resolving import mailer, running  # noqa: F401 - fixtures
