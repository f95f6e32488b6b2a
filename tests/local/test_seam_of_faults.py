"""What lets faults in is there for functions that use AWS, and costs all other processes nothing."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from local.faults import Faults

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
