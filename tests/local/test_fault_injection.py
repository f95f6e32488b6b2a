"""What lets faults in is there for functions that use AWS, and costs all other processes nothing."""

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
LET_IN = "import sys; {}; print('daybook_faults.hooks' in sys.modules)"


@pytest.mark.parametrize(
    ("function", "imports", "let_in"),
    [
        ("daybook-local-publish", "import botocore.session", True),
        ("daybook-local-publish", "import json", False),
        (None, "import botocore.session", False),
    ],
)
def test_faults_are_let_in_when_a_function_imports_botocore(
    tmp_path: Path, function: str | None, imports: str, let_in: bool
) -> None:
    environment = {"PATH": os.environ["PATH"], "DAYBOOK_STAGE": "local", **Faults(tmp_path).environment}
    if function:
        environment["AWS_LAMBDA_FUNCTION_NAME"] = function

    said = subprocess.check_output([sys.executable, "-c", LET_IN.format(imports)], env=environment, text=True)

    assert said == f"{let_in}\n"


@pytest.mark.parametrize("guards", [True, False])
def test_the_kernel_is_changed_only_in_a_run_whose_guards_can_be_removed(tmp_path: Path, guards: bool) -> None:
    environment = {"AWS_LAMBDA_FUNCTION_NAME": "daybook-local-publish", "DAYBOOK_STAGE": "local"}
    environment |= {"PATH": os.environ["PATH"], **Faults(tmp_path, guards=guards).environment}
    asked = "import daybook.consumers.consumer as c; print(c.write.__module__, c.OrderedReaction.batch.__module__)"

    said = subprocess.check_output([sys.executable, "-c", asked], env=environment, text=True, cwd=ROOT)

    changed, own = (
        "daybook_faults.guards daybook_faults.guards\n",
        "daybook.store.transaction daybook.consumers.consumer\n",
    )
    assert said == (changed if guards else own)


def test_of_two_calls_that_meet_the_first_is_held_until_the_second_is_there(
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


def test_a_call_that_meets_nobody_goes_on_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAYBOOK_FAULTS_PLAN", str(tmp_path / "plan.json"))

    actions.run(Fault.barrier(0.0).rule(), REQUEST, None)
