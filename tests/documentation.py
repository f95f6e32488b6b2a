"""The pages of the docs, and the Python examples in them.

Each Python block begins with the file that it belongs to, and if necessary the place in it:

    # functions/inventory/count_demand.py
    # stacks/inventory.py, at the end of Inventory.__init__
    # tests/templates/test_permissions.py, in ALLOWED

Blocks with tests have no imports. They see all names of the blocks before them (on their page and on earlier pages of
the site), the modules of these blocks, and the modules that the caller of `ExampleTest.run` passes.
"""

import ast
import importlib
import re
import sys
import textwrap
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"


def _pages(nav: Any) -> list[Path]:
    """The pages of the site in the order of its navigation."""
    if isinstance(nav, str):
        return [DOCS / nav]
    return [page for each in (nav.values() if isinstance(nav, dict) else nav) for page in _pages(each)]


PAGES = [ROOT / "README.md", *_pages(tomllib.loads((ROOT / "zensical.toml").read_text())["project"]["nav"])]

_BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_HEAD = re.compile(r"# (?P<file>\S+\.py)(?:, (?P<place>.+))?\n")
_END_OF_INIT = "at the end of "


@dataclass(frozen=True)
class Example:
    """One block of Python. `place` is empty for a whole file, or for what is added to the end of one."""

    page: str
    file: str
    place: str
    code: str

    @property
    def module(self) -> str:
        """The module that it belongs to, by name."""
        return self.file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")

    @property
    def is_module(self) -> bool:
        """Whether it can be imported as it stands."""
        return not self.place and not self.file.startswith("tests/")

    def load(self, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
        """The module with this code in it, until the test ends."""
        known = self.module in sys.modules or (ROOT / self.file).exists()
        module = importlib.import_module(self.module) if known else ModuleType(self.module)
        if not known:
            monkeypatch.setitem(sys.modules, self.module, module)
            parent, _, name = self.module.rpartition(".")
            monkeypatch.setattr(importlib.import_module(parent), name, module, raising=False)
        names = dict(vars(module))
        self.run(names)
        for name, value in names.items():
            if name not in vars(module) or vars(module)[name] is not value:
                monkeypatch.setattr(module, name, value, raising=False)
        return module

    def run(self, names: dict[str, Any]) -> None:
        """Run the code with these names, to which it adds."""
        exec(compile(self.code, f"{self.page}: {self.file}", "exec", dont_inherit=True), names)  # noqa: S102

    def write(self, project: Path) -> None:
        """Put the code where it belongs in a copy of the project."""
        target = project / self.file
        target.parent.mkdir(parents=True, exist_ok=True)
        text = target.read_text() if target.exists() else ""
        if not self.place:
            target.write_text(f"{text}\n\n{self.code}" if text else self.code)
            return
        imports, body = _imports(self.code)
        text = text.replace("from constructs import Construct\n", f"from constructs import Construct\n{imports}", 1)
        at = re.search(
            rf"class {self.place.removeprefix(_END_OF_INIT).split('.')[0]}\b.*?__init__.*?\n(?=\n|\Z)", text, re.DOTALL
        )
        assert at, self
        target.write_text(text[: at.end()] + textwrap.indent(body, " " * 8) + text[at.end() :])


def examples(page: Path) -> list[Example]:
    """All blocks of Python of a page. Each names its file."""
    found = []
    for code in _BLOCK.findall(page.read_text()):
        head = _HEAD.match(code)
        assert head, f"{page.name}: a block of Python does not begin with its file:\n{code}"
        found.append(Example(page.name, head["file"], head["place"] or "", code[head.end() :]))
    return found


def all_examples() -> list[Example]:
    """All blocks of Python of all pages."""
    return [example for page in PAGES if page.exists() for example in examples(page)]


@dataclass(frozen=True)
class ExampleTest:
    """A test in the docs, and the blocks before it."""

    example: Example
    name: str
    before: tuple[Example, ...]

    def run(self, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, names: Iterable[ModuleType]) -> None:
        """Run it with the fixtures that it asks for, once all blocks before it are loaded."""
        known: dict[str, Any] = {"__name__": self.example.module}
        for module in [*names, *(each.load(monkeypatch) for each in self.before if each.is_module)]:
            known |= {name: value for name, value in vars(module).items() if not name.startswith("__")}
            known[module.__name__.rpartition(".")[2]] = module
        self.example.run(known)
        test = known[self.name]
        wanted = test.__code__.co_varnames[: test.__code__.co_argcount]
        test(**{name: request.getfixturevalue(name) for name in wanted})


def example_tests(folder: str) -> list[Any]:
    """The tests in the docs that belong to a folder, as parameters."""
    blocks = all_examples()
    return [
        pytest.param(ExampleTest(block, node.name, tuple(blocks[:number])), id=node.name)
        for number, block in enumerate(blocks)
        if block.file.startswith(folder)
        for node in ast.parse(block.code).body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    ]


def _imports(code: str) -> tuple[str, str]:
    lines = code.splitlines(keepends=True)
    imports = [line for line in lines if line.startswith(("from ", "import "))]
    return "".join(imports), "".join(line for line in lines if line not in imports).lstrip("\n")
