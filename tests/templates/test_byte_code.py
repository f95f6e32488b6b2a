"""Functions and layers have byte code if this machine has a Python of the runtime's version."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from daybook.constructs import bundle, byte_code
from daybook.constructs.byte_code import compile_folder, interpreter
from daybook.constructs.stage import Stage

THIS = f"{sys.version_info.major}.{sys.version_info.minor}"
UNCHECKED_HASH = (1).to_bytes(4, "little")  # https://peps.python.org/pep-0552/


@pytest.fixture(autouse=True)
def _found_again() -> Iterator[None]:
    interpreter.cache_clear()
    yield
    interpreter.cache_clear()


@pytest.fixture
def this_python(monkeypatch: pytest.MonkeyPatch) -> None:
    """The runtime has the version of the Python that runs this test."""
    monkeypatch.setattr(byte_code, "RUNTIME", THIS)


def compiled(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in sorted(folder.rglob("*.pyc"))}


@pytest.mark.usefixtures("this_python")
def test_each_module_of_a_bundle_has_byte_code_that_python_takes_without_a_look_at_the_source(tmp_path: Path) -> None:
    for path, source in bundle.files("inventory").items():
        target = tmp_path / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(source.read_bytes())

    compile_folder(tmp_path, "/var/task")

    files = compiled(tmp_path)
    assert len(files) == len(bundle.files("inventory"))
    assert {content[4:8] for content in files.values()} == {UNCHECKED_HASH}
    assert not any(str(tmp_path).encode() in content for content in files.values())


@pytest.mark.usefixtures("this_python")
def test_the_same_sources_give_the_same_byte_code_in_each_folder(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "module.py").write_text("def double(number: int) -> int:\n    return 2 * number\n")
        compile_folder(tmp_path / name, "/var/task")

    assert compiled(tmp_path / "one") == compiled(tmp_path / "two") != {}


def test_without_such_a_python_there_is_no_byte_code_and_a_line_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(byte_code, "RUNTIME", "3.2")
    (tmp_path / "module.py").write_text("X = 1\n")

    compile_folder(tmp_path, "/var/task")

    assert compiled(tmp_path) == {}
    assert "uv python install 3.2" in capsys.readouterr().err


@pytest.mark.usefixtures("this_python")
@pytest.mark.parametrize(("stage", "has_byte_code"), [("dev", True), ("local", False)])
def test_bundles_have_byte_code_except_in_the_local_cloud(
    monkeypatch: pytest.MonkeyPatch, stage: str, has_byte_code: bool
) -> None:
    folders: list[str] = []
    monkeypatch.setattr("daybook.constructs.bundle.lambda_.Code.from_asset", folders.append)
    bundle._folders.cache_clear()  # noqa: SLF001 - a folder of this test's own

    bundle.code("inventory", stage=Stage(name=stage))

    assert bool(compiled(Path(folders[0]))) == has_byte_code
