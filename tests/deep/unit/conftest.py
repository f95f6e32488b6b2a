"""The world of tests/unit."""

from tests.unit.conftest import dynamodb, provider, till, world  # noqa: F401 - fixtures
from tests.unit.test_resolving import post, running  # noqa: F401 - fixtures
