"""`daybook doctor`: check the account, the deployed functions, and the manual setup."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from typing import Annotated

import typer
from botocore.exceptions import ClientError

from daybook.application import application
from daybook.operate.cli.options import AsJson, Stage
from daybook.operate.cli.printing import answer
from daybook.operate.cli.stage import connected, explained
from daybook.operate.connection import LOCAL, Connection
from daybook.operate.consumers import consumers
from daybook.operate.errors import code, explain
from daybook.operate.protect import check_protection
from daybook.operate.setup import Finding, subscribers
from daybook.operate.status.first_deployment import walk
from daybook.operate.status.functions import check_concurrency, check_functions, check_mappings, check_rules
from daybook.operate.status.policies import check_policies
from daybook.operate.terminal import deployment

_Check = Callable[[Connection], Finding | Iterable[Finding]]

EXAMPLES = """
**Examples**

- `daybook doctor --stage prod`
- `daybook doctor --json | jq -r 'select(.well | not) | .do'`
- `daybook doctor --first-deployment --stage prod`
"""

FirstDeployment = Annotated[
    bool,
    typer.Option(
        "--first-deployment",
        help="Walk through what only a real account can show: one check at a time, with its command and what must "
        "happen. Your answers are kept.",
    ),
]


def doctor(*, stage: Stage = "dev", first_deployment: FirstDeployment = False, as_json: AsJson = False) -> None:
    """Check the account and the deployed stage: a verified sender of e-mails, SES out of the sandbox and its rates, the
    Stripe key in its secret, confirmed receivers of alarms; how many functions may run at once; whether all functions
    are active, and their mappings on. Also compare the policies of queues and buses with the templates.

    Changes nothing. Calls Stripe to check the key, which is never shown. With `--json`, prints one object per line.
    Reports also what AWS does not let you check.

    Exit code 1: a step is not done, or a check was not possible.
    """
    if first_deployment:
        with explained(stage):
            walk(stage, as_json=as_json)
        return
    with connected(stage) as connection:
        left = 0
        for finding in _run_checks(connection):
            left += not finding.well
            line = f"{'ok  ' if finding.well else 'TODO'}  {finding.what}: {finding.found}"
            answer(asdict(finding), line, *([] if finding.well else [f"      {finding.do}"]), as_json=as_json)
        if left:
            raise typer.Exit(1)


def _run_checks(connection: Connection) -> Iterator[Finding]:
    """Run all checks, and yield each finding. Raises botocore's errors."""
    yield _deployed(connection)
    checks: list[_Check] = [
        check_concurrency,
        check_functions,
        check_mappings,
        check_rules,
        check_policies,
        check_protection,
        _alarms,
    ]
    checks += [check for service in application().of_services("setup") for check in service.CHECKS]
    for check in checks:
        yield from _findings(check, connection)


def _findings(check: _Check, connection: Connection) -> Iterator[Finding]:
    """The findings of a check. If AWS refuses a call, the finding says so, and the other checks still run."""
    try:
        found = check(connection)
        yield from ((found,) if isinstance(found, Finding) else found)
    except ClientError as error:
        what = check.__name__.removeprefix("check").strip("_").replace("_", " ")
        refused = f"not checked: AWS refuses {error.operation_name} ({code(error)})"
        yield Finding(what, well=False, found=refused, do=explain(error, connection.stage))


def _deployed(connection: Connection) -> Finding:
    stage, there = connection.stage, len(consumers(connection))
    found = f"{stage} is deployed, with {there} consumers" if there else f"no consumer of {stage} is deployed"
    return Finding("stage", bool(there), found, f"deploy it: {deployment(stage)}")


def _alarms(connection: Connection) -> Finding:
    if connection.stage == LOCAL:
        return Finding("alarms", well=True, found="alarms are not sent on a local run")
    name = connection.names.alarms
    how = f"set alarm_email in the context of cdk.json and deploy the backbone, or subscribe to {name}"
    return subscribers(connection, name, "alarms", "notified of alarms", how)
