"""A service's bundle has only the modules that its functions import, so a change reaches no other service's stack."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from daybook.constructs import bundle
from tests.templates.sources import SERVICES, stack_of
from tests.templates.synthesis import ROOT, Assembly, copy_of_sources


def service_of(function: dict[str, object]) -> str:
    """The folder under functions/ that a function's handler is in."""
    return str(function["Handler"]).split(".")[1]


def test_a_stack_deploys_the_functions_of_its_own_service(aws: Assembly) -> None:
    for function in aws.resources("AWS::Lambda::Function"):
        assert stack_of(service_of(function["Properties"])) == function["Stack"]


@pytest.fixture(scope="module")
def imported() -> dict[str, set[str]]:
    """By service: the project's files that Python loads when it imports the modules that run in Lambda.

    A module that loads operators' code does not run in Lambda. All modules of the backbone do.
    """
    folders = {service: [_module(file) for file in _own(service)] for service in SERVICES}
    folders["backbone"] = folders.pop("admission") + [_module(f) for f in (ROOT / "daybook/backbone").glob("*.py")]
    loaded: dict[str, list[str]] = json.loads(_run(_IMPORT, ROOT, json.dumps(folders)))
    return {service: {str(Path(file).relative_to(ROOT)) for file in files} for service, files in loaded.items()}


@pytest.mark.parametrize("service", [stack_of(service) for service in SERVICES])
def test_a_bundle_contains_exactly_the_modules_that_run_in_lambda_and_their_imports(
    imported: dict[str, set[str]], service: str
) -> None:
    files = bundle.backbone_files() if service == "backbone" else bundle.files(service)

    assert set(files) == imported[service]


@pytest.mark.parametrize("service", SERVICES)
def test_a_bundle_contains_no_file_of_another_service_and_no_code_for_operators(service: str) -> None:
    paths = bundle.files(service)

    assert {path.split("/")[1] for path in paths if path.startswith("functions/")} == {"__init__.py", service}
    assert [path for path in paths if path.startswith("daybook/operate")] == []


def test_a_bundle_changes_only_with_the_content_of_its_files(tmp_path: Path, aws: Assembly) -> None:
    """The copy is in another folder, has other file times, and contains a file that no module imports."""
    sources = copy_of_sources(tmp_path / "elsewhere")
    (sources / "daybook" / "store" / "not_imported.py").write_text("PRICE = 1\n")
    with (sources / "functions" / "inventory" / "stock.py").open("a") as file:
        file.write("# changed\n")

    now = json.loads(_run(_NAME, sources, json.dumps(list(map(stack_of, SERVICES)))))

    functions = aws.properties("AWS::Lambda::Function")
    before = {stack_of(service_of(function)): function["Code"]["S3Key"] for function in functions}
    assert before.keys() == now.keys()
    assert {service for service in now if before[service] != now[service]} == {"inventory"}


def _own(service: str) -> list[Path]:
    return sorted((ROOT / "functions" / service).rglob("*.py"))


def _module(file: Path) -> str:
    return ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def _run(program: str, folder: Path, stdin: str) -> str:
    ran = subprocess.run(
        [sys.executable, "-c", program], cwd=folder, input=stdin, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


_IMPORT = """
import json, sys
from importlib import import_module

def ours():
    packages = {"daybook", "events", "functions"}
    return {name: module for name, module in sys.modules.items() if name.split(".")[0] in packages}

loaded = {}
for service, modules in json.load(sys.stdin).items():
    files = loaded.setdefault(service, [])
    for name in modules:
        for each in ours():
            del sys.modules[each]
        import_module(name)
        if "daybook.operate" not in sys.modules:
            files += [module.__file__ for module in ours().values()]
print(json.dumps(loaded))
"""

_NAME = """
import json, sys
from aws_cdk import App, Stack
from daybook.constructs import bundle
from daybook.constructs.stage import Stage

app, stage = App(), Stage(name="test")
made = {
    name: bundle.backbone_code(stage=stage) if name == "backbone" else bundle.code(name, stage=stage)
    for name in json.load(sys.stdin)
}
keys = {name: code.bind(Stack(app, name)).s3_location.object_key for name, code in made.items()}
print(json.dumps(keys))
"""
