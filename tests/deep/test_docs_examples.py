"""All examples of the docs, in one project, can be deployed, with the permissions that the docs state."""

from pathlib import Path

from tests.assemblies import EMAILS
from tests.documentation import all_examples
from tests.templates import test_permissions as permissions
from tests.templates.synthesis import copy_of_sources, synthesise
from tests.unit.world import NAMES


def test_the_examples_of_the_docs_are_deployed_with_the_permissions_that_the_docs_state(tmp_path: Path) -> None:
    project = copy_of_sources(tmp_path / "project")
    allowed: dict[str, set[str]] = {}
    for example in all_examples():
        if example.place == "in ALLOWED":
            allowed |= eval(f"{{{example.code}}}", dict(vars(permissions)))  # noqa: S307 - the docs' own
        elif not example.file.startswith("tests/"):
            example.write(project)

    assembly = synthesise(tmp_path / "assembly", NAMES.stage, EMAILS, root=project)

    assert allowed
    assert {function: permissions.permissions_of(assembly, function) for function in allowed} == allowed
