"""`daybook ward`: how a ward is."""

import json
from datetime import UTC, datetime
from typing import Annotated

import typer

from daybook.operate.cli.options import AsJson, Stage
from daybook.operate.cli.printing import console, fail
from daybook.operate.cli.reaching import connected
from daybook.operate.drawing import plain, since, table
from functions.equipment.queries import Device, devices
from functions.patients.queries import Patient, Patients

EXAMPLES = """
**Examples**

- `daybook ward ICU-2`
- `daybook ward ICU-2 --json | jq 'select(.troubles != [])'`
"""

app = typer.Typer()


@app.command(epilog=EXAMPLES)
def ward(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The ward: `ICU-2`.")],
    *,
    stage: Stage = "dev",
    as_json: AsJson = False,
) -> None:
    """See how a ward is: each device with what it has told last, how long ago that was measured, and its alarms; and
    the patients who are there, by the ids of their records, with what is to be minded.

    Reads all rows of devices. With `--json`, one object a line.

    Exit code 1: nothing is known of such a ward.
    """
    with connected(stage) as connection:
        there = list(devices(connection, name))
        patients = list(Patients.of(connection).on_ward(name))
        if as_json:
            told = [device.as_data() for device in there] + [patient.as_data(reveal=False) for patient in patients]
            for data in told:
                typer.echo(json.dumps(data, ensure_ascii=False))
        elif there or patients:
            _show(name, there, patients)
        if not (there or patients):
            fail(f"nothing is known of a ward {name}", exit_code=1)


def _show(name: str, there: list[Device], patients: list[Patient]) -> None:
    now = datetime.now(UTC)
    lines = [
        (
            plain(device.device_id),
            plain(device.type),
            device.status or "never heard of",
            "" if device.told.battery is None else f"{device.told.battery} %",
            "" if device.measured_at is None else f"{since(now - device.measured_at).removeprefix('+')} ago",
            plain("; ".join(device.readings)),
            plain("; ".join(device.troubles)),
        )
        for device in there
    ]
    columns = ("device", "type", "status", "battery", "measured", "readings", "trouble")
    console().print(table(f"Devices on {plain(name)}", columns, lines, numbers=("battery", "measured")))
    console().print(
        table(
            f"Patients on {plain(name)}",
            ("record", "the same person", "prescriptions that meet allergies", "systems"),
            (
                (
                    plain(patient.patient_id),
                    plain(", ".join(patient.related)),
                    plain(", ".join(patient.conflicts)),
                    "differ" if patient.differences else "agree",
                )
                for patient in patients
            ),
        )
    )
