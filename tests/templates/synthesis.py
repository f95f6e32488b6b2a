"""Synthesizes the app, each stage once for all tests of a run, and reads the templates."""

import fcntl
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from aws_cdk import App

from daybook.constructs.app import add_stacks
from daybook.constructs.stage import Stage

ROOT = Path(__file__).resolve().parents[2]
LOCKS = tuple(lock.name for lock in ROOT.glob("requirements-lambda*.txt"))
SOURCES = ("app.py", "cdk.json", "pyproject.toml", *LOCKS, "daybook", "events", "functions", "stacks")

Resource = dict[str, Any]


@dataclass(frozen=True)
class Assembly:
    """The cloud assembly of one stage."""

    folder: Path
    stage: str

    @cached_property
    def templates(self) -> dict[str, dict[str, Any]]:
        """Templates by stack, without the stage: `inventory`."""
        prefix = f"daybook-{self.stage}-"
        files = self.folder.glob("*.template.json")
        return {
            file.name.removesuffix(".template.json").removeprefix(prefix): json.loads(file.read_text())
            for file in files
        }

    def resources(self, kind: str, stack: str | None = None) -> list[Resource]:
        """All resources of a type, of one stack or of all; with `Id` and `Stack` added."""
        return [
            {**resource, "Id": name, "Stack": each}
            for each, template in sorted(self.templates.items())
            if stack in {None, each}
            for name, resource in template["Resources"].items()
            if resource["Type"] == kind
        ]

    def properties(self, kind: str, stack: str | None = None) -> list[dict[str, Any]]:
        """The properties of all resources of a type."""
        return [resource["Properties"] for resource in self.resources(kind, stack)]

    def statements(self, function: str) -> list[dict[str, Any]]:
        """The policy statements of a function's role."""
        stage_function = f"daybook-{self.stage}-{function}"
        (found,) = [
            f for f in self.resources("AWS::Lambda::Function") if f["Properties"]["FunctionName"] == stage_function
        ]
        role = found["Properties"]["Role"]["Fn::GetAtt"][0]
        return [
            statement
            for policy in self.properties("AWS::IAM::Policy", found["Stack"])
            if {"Ref": role} in policy["Roles"]
            for statement in policy["PolicyDocument"]["Statement"]
        ]

    def fingerprints(self) -> dict[str, str]:
        """Each template as text. It contains the hashes of all assets."""
        return {stack: json.dumps(template, sort_keys=True) for stack, template in self.templates.items()}


def synthesise(folder: Path, stage: str, context: Mapping[str, str] | None = None, *, root: Path = ROOT) -> Assembly:
    """Run the app in `root` as `cdk synth` does, into `folder`. A finding of cdk-nag is an error."""
    environment = {
        **os.environ,
        "CDK_OUTDIR": str(folder),
        # Tests read these templates, which name assets by their hashes: no asset is copied.
        "CDK_CONTEXT_JSON": json.dumps({**_context(root, stage, context), "aws:cdk:disable-asset-staging": True}),
    }
    node = Path(sys.executable).parent
    environment["PATH"] = f"{node}{os.pathsep}{environment['PATH']}"
    ran = subprocess.run(
        [sys.executable, "app.py"], cwd=root, env=environment, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, f"app.py in {root} failed for the stage {stage}:\n{ran.stdout}{ran.stderr}"
    return Assembly(folder, stage)


def synthesise_unchecked(folder: Path, stage: str, context: Mapping[str, str]) -> Assembly:
    """Synthesize a stage in this process, with its assets and without cdk-nag. This takes a quarter of the time."""
    app = App(outdir=str(folder), context=_context(ROOT, stage, context))
    add_stacks(app, Stage.of(app))
    app.synth()
    return Assembly(folder, stage)


def _context(root: Path, stage: str, context: Mapping[str, str] | None = None) -> dict[str, Any]:
    settings: dict[str, Any] = json.loads((root / "cdk.json").read_text())["context"]
    return {**settings, "stage": stage, **(context or {})}


def once(folder: Path, make: Callable[[Path], object]) -> None:
    """Fill `folder` with `make`, unless it exists. Concurrent processes wait for the first one."""
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            unfinished = folder.with_suffix(".unfinished")
            shutil.rmtree(unfinished, ignore_errors=True)
            make(unfinished)
            unfinished.rename(folder)


def copy_of_sources(target: Path) -> Path:
    """Copy the project's sources to another folder, where a test may change them."""
    ignored = shutil.ignore_patterns("__pycache__")
    for name in SOURCES:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, target / name, ignore=ignored)
        else:
            target.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target / name)
    return target


def texts(value: object) -> Iterator[str]:
    """All texts in a part of a template."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for each in value.values():
            yield from texts(each)
    elif isinstance(value, list):
        for each in value:
            yield from texts(each)
