"""Fault injection is installed in functions that use AWS, and in no other process."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from botocore.awsrequest import AWSPreparedRequest
from botocore.compat import HTTPHeaders

from daybook.local.faults import Fault, Faults
from daybook.local.faults.worker.daybook_faults import actions
from daybook.local.project import ROOT

REQUEST = AWSPreparedRequest("POST", "http://localhost", HTTPHeaders(), b"", stream_output=False)
PROGRAM = "import sys; {}; print('daybook_faults.hooks' in sys.modules)"


@pytest.mark.parametrize(
    ("function", "imports", "installed"),
    [
        ("daybook-local-publish", "import botocore.session", True),
        ("daybook-local-publish", "import json", False),
        (None, "import botocore.session", False),
    ],
)
def test_faults_are_installed_when_a_function_imports_botocore(
    tmp_path: Path, function: str | None, imports: str, installed: bool
) -> None:
    environment = {"PATH": os.environ["PATH"], "DAYBOOK_STAGE": "local", **Faults(tmp_path).environment}
    if function:
        environment["AWS_LAMBDA_FUNCTION_NAME"] = function

    output = subprocess.check_output([sys.executable, "-c", PROGRAM.format(imports)], env=environment, text=True)

    assert output == f"{installed}\n"


@pytest.mark.parametrize("guards", [True, False])
def test_the_code_is_patched_only_in_a_run_with_removable_guards(tmp_path: Path, guards: bool) -> None:
    environment = {"AWS_LAMBDA_FUNCTION_NAME": "daybook-local-publish", "DAYBOOK_STAGE": "local"}
    environment |= {"PATH": os.environ["PATH"], **Faults(tmp_path, guards=guards).environment}
    program = (
        "from daybook.consumers import pipeline, reaction\n"
        "print(pipeline.Pipeline._fetch.__module__, reaction.OrderedReaction.handle.__module__)"
    )

    output = subprocess.check_output([sys.executable, "-c", program], env=environment, text=True, cwd=ROOT)

    changed, own = (
        "daybook_faults.guards daybook_faults.guards\n",
        "daybook.consumers.pipeline daybook.consumers.reaction\n",
    )
    assert output == (changed if guards else own)


def test_a_barrier_holds_the_first_call_until_the_second_arrives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAYBOOK_FAULTS_PLAN", str(tmp_path / "plan.json"))
    barrier = Fault.barrier(60).rule()

    with ThreadPoolExecutor(2) as both:
        first = both.submit(actions.run, barrier, REQUEST, None)
        while not (tmp_path / f"{barrier['id']}.arrived").exists():
            assert not first.done()
        assert not first.done()
        actions.run(barrier, REQUEST, None)
        assert first.result(timeout=30) is None


def test_a_barrier_without_a_second_call_ends_after_its_timeout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAYBOOK_FAULTS_PLAN", str(tmp_path / "plan.json"))

    actions.run(Fault.barrier(0.0).rule(), REQUEST, None)
