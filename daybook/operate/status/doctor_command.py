"""`daybook doctor`: what a person must still do."""

from dataclasses import asdict

import typer

from daybook.operate.cli.options import AsJson, Stage
from daybook.operate.cli.printing import answer
from daybook.operate.cli.reaching import connected
from daybook.operate.status.doctor import examine

EXAMPLES = """
**Examples**

- `daybook doctor --stage prod`
- `daybook doctor --json | jq -r 'select(.well | not) | .do'`
"""


def doctor(*, stage: Stage = "dev", as_json: AsJson = False) -> None:
    """See what a person must still do in the account, since no deployment can: verify the sender of e-mails, leave
    SES's sandbox, put the Stripe key into its secret, confirm who receives alarms.

    Changes nothing. Stripe is asked whether it takes the key, which is never shown. With `--json`, one object a line.

    Exit code 1: something is left to do.
    """
    with connected(stage) as connection:
        left = 0
        for finding in examine(connection):
            left += not finding.well
            line = f"{'ok  ' if finding.well else 'TODO'}  {finding.what}: {finding.found}"
            answer(asdict(finding), line, *([] if finding.well else [f"      {finding.do}"]), as_json=as_json)
        if left:
            raise typer.Exit(1)
