"""Synthesises the real app, as `cdk synth` does, and reads what came out."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
LOCKS = tuple(lock.name for lock in ROOT.glob("requirements-lambda*.txt"))
SOURCES = ("app.py", "cdk.json", *LOCKS, "backbone", "events", "functions", "stacks")

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
        """All resources of a type, of one stack or of all; `Id` and `Stack` are added to what the template says."""
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
        """What the role of a function may do."""
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

    def bundle(self, stack: str) -> Path:
        """The folder with the code of a service's functions."""
        function = self.properties("AWS::Lambda::Function", stack)[0]
        return self.folder / f"asset.{function['Code']['S3Key'].removesuffix('.zip')}"

    def fingerprints(self) -> dict[str, str]:
        """Every template as text, which names every asset by its hash."""
        return {stack: json.dumps(template, sort_keys=True) for stack, template in self.templates.items()}


def synthesise(folder: Path, stage: str, root: Path = ROOT, **context: str) -> Assembly:
    """Run the app in `root` for a stage, into `folder`. Findings of cdk-nag fail it."""
    settings = json.loads((root / "cdk.json").read_text())["context"] | {"stage": stage} | context
    environment = {**os.environ, "CDK_OUTDIR": str(folder), "CDK_CONTEXT_JSON": json.dumps(settings)}
    node = Path(sys.executable).parent
    environment["PATH"] = f"{node}{os.pathsep}{environment['PATH']}"
    ran = subprocess.run(
        [sys.executable, "app.py"], cwd=root, env=environment, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    return Assembly(folder, stage)


def copy_of_sources(target: Path) -> Path:
    """The project's sources in another folder, to be changed at will."""
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
