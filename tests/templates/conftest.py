"""The stage `test` in memory, for tests that compare what functions do with the templates."""

from tests.unit.conftest import dynamodb, world  # noqa: F401 - fixtures
