"""`daybook ward`: the devices and the patients of a ward."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from daybook.operate.cli.options import AsJson, Stage
from daybook.operate.cli.printing import console, fail, say_json
from daybook.operate.cli.stage import connected
from daybook.operate.drawing import since, table
from functions.equipment.queries import Device, devices
from functions.patients.queries import Patient, Patients

EXAMPLES = """
**Examples**

- `daybook ward ICU-2`
- `daybook ward ICU-2 --json | jq 'select(.problems != [])'`
"""

app = typer.Typer()


@app.command(epilog=EXAMPLES)
def ward(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The ward: `ICU-2`.")],
    *,
    stage: Stage = "dev",
    as_json: AsJson = False,
) -> None:
    """Show the devices of a ward and its patients.

    For each device you see its last report, how long ago that was measured, its open alarms, and the codes of readings
    that are not judged, each with the reason. For each patient you see the id of the record, the conflicts of
    prescriptions with allergies, the prescriptions that could not be compared with an allergy, and whether the three
    systems agree.

    Reads all rows of devices. With `--json`, one object a line.

    Exit code 1: no device and no patient is on such a ward.
    """
    with connected(stage) as connection:
        on_ward = list(devices(connection, name))
        patients = list(Patients.of(connection).on_ward(name))
        if as_json:
            for data in (*(each.as_data() for each in on_ward), *(each.as_data(reveal=False) for each in patients)):
                say_json(data)
        elif on_ward or patients:
            _show(name, on_ward, patients)
        if not (on_ward or patients):
            fail(f"no device and no patient is on a ward {name}", exit_code=1)


def _show(name: str, on_ward: list[Device], patients: list[Patient]) -> None:
    now = datetime.now(UTC)
    lines = [
        (
            device.device_id,
            device.type,
            device.status or "no report",
            "" if device.last.battery is None else f"{device.last.battery} %",
            "" if device.measured_at is None else f"{since(now - device.measured_at).removeprefix('+')} ago",
            "; ".join(device.readings),
            "; ".join(device.problems),
        )
        for device in on_ward
    ]
    columns = ("device", "type", "status", "battery", "measured", "readings", "problems")
    console().print(table(f"Devices on {name}", columns, lines, numbers=("battery", "measured")))
    console().print(
        table(
            f"Patients on {name}",
            ("record", "other records", "conflicts of prescription and allergy", "unchecked prescriptions", "systems"),
            (
                (
                    patient.patient_id,
                    ", ".join(patient.related),
                    ", ".join(patient.conflicts),
                    "; ".join(map(str, patient.unchecked)),
                    "differ" if patient.differences else "agree",
                )
                for patient in patients
            ),
        )
    )
