"""`daybook protect`: protect the tables of a stage against deletion.

The protection is not in the templates: CloudFormation could not roll back a deployment that has created a protected
table, and what it leaves behind would be in the way of the next try. An update of a stack does not change it.
"""

from collections.abc import Iterator

from daybook.contracts.operations import TablesProtected
from daybook.operate.cli.operation import preview, progress, report
from daybook.operate.cli.options import Apply, AsJson, Stage
from daybook.operate.cli.printing import answer
from daybook.operate.cli.stage import connected
from daybook.operate.connection import Connection
from daybook.operate.operation import Operation
from daybook.operate.setup import Finding
from daybook.operate.terminal import daybook

EXAMPLES = """
**Examples**

- `daybook protect --stage prod`
- `daybook protect --apply --stage prod`
"""


def protect(*, stage: Stage = "dev", apply: Apply = False, as_json: AsJson = False) -> None:
    """Protect all tables of the stage against deletion, also those of services that were removed. Do it once after the
    first deployment, and again when a service gets a table; `daybook doctor` says when.

    To delete a table, first run `aws dynamodb update-table --table-name TABLE --no-deletion-protection-enabled`.
    """
    with connected(stage) as connection:
        tables = list(unprotected(connection))
        data = {"tables": tables}
        if not tables:
            answer({**data, "applied": False}, "All tables are protected. There is nothing to do.", as_json=as_json)
        elif not apply:
            preview(data, f"Would protect {len(tables)} tables:", *(f"  {each}" for each in tables), as_json=as_json)
        else:
            again = (
                f"Interrupted: some tables are not protected yet. Repeat: {daybook('protect', apply=True, stage=stage)}"
            )
            with progress("protecting tables", lambda: again) as update:
                operation = Operation.start(connection)
                operation.commit(TablesProtected(**operation.about, tables=tuple(tables)))
                for number, table in enumerate(tables, 1):
                    connection.client("dynamodb").update_table(TableName=table, DeletionProtectionEnabled=True)
                    update(f"protecting tables: {number} of {len(tables)}")
            report(data, f"{len(tables)} tables are protected.", as_json=as_json)


def unprotected(connection: Connection) -> Iterator[str]:
    """The names of the stage's tables that anybody with the permission could delete. Raises botocore's errors."""
    client, prefix = connection.client("dynamodb"), connection.names.of("")
    for page in client.get_paginator("list_tables").paginate():
        for name in page["TableNames"]:
            if name.startswith(prefix) and not client.describe_table(TableName=name)["Table"].get(
                "DeletionProtectionEnabled"
            ):
                yield name


def check_protection(connection: Connection) -> Finding:
    """Whether the tables of a stage whose data are kept are protected."""
    if not connection.names.keeps_data:
        return Finding("tables", well=True, found=f"{connection.stage} keeps no data when it is deleted")
    tables = list(unprotected(connection))
    if not tables:
        return Finding("tables", well=True, found="all are protected against deletion")
    found = f"{len(tables)} are not protected against deletion"
    return Finding("tables", well=False, found=found, do=daybook("protect", apply=True, stage=connection.stage))
