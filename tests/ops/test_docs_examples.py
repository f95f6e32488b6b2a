"""The tests of commands in the docs pass, with the code in the docs."""

import pytest
from typer import testing

from tests.documentation import ExampleTest, example_tests


@pytest.mark.parametrize("test", example_tests("tests/ops/"))
def test_a_test_of_the_docs_passes(
    test: ExampleTest, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    test.run(request, monkeypatch, [testing])
