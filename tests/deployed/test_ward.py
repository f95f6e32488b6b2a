"""`daybook ward`, against the deployed system: devices, alarms and patients of a ward, side by side."""

import json

from tests.deployed.deployed import Deployed, an_event, unique
from tests.deployed.test_commands import daybook
from tests.deployed.test_equipment import LOW, a_device, a_report, limits_for
from tests.deployed.test_patients import numbered, receives
from tests.unit.records import a_patient, a_prescription, a_stay, an_allergy


def test_a_ward_shows_its_devices_with_their_alarms_and_its_patients(system: Deployed) -> None:
    ward, watched, quiet, strange, ada, name = (
        unique("W"),
        *(unique("D") for _ in range(3)),
        unique("p"),
        unique("name"),
    )
    system.receives(registered(watched, ward), registered(quiet, ward), limits_for(watched))
    system.receives(a_report(watched, LOW, ward=ward), a_report(strange, LOW, ward=ward))
    receives(system, a_patient(ada, identifier=numbered(unique("n")), name=[{"text": name}]), a_stay(ada, ward=ward))
    receives(system, an_allergy(ada), a_prescription(ada))

    shown = daybook(system, "ward", ward)
    data = [json.loads(line) for line in daybook(system, "ward", ward, "--json").stdout.splitlines()]
    nowhere = daybook(system, "ward", unique("nowhere"))

    assert (shown.returncode, nowhere.returncode) == (0, 1)
    assert "nothing is known of a ward" in nowhere.stderr
    assert name not in shown.stdout + json.dumps(data)
    devices = {each["device_id"]: each for each in data if "device_id" in each}
    assert devices.keys() == {watched, quiet, strange}
    assert devices[watched]["readings"] == [f"oxygen saturation by pulse oximetry {LOW} %"]
    assert devices[watched]["troubles"] == [f"oxygen saturation by pulse oximetry {LOW} %: raised, level 1"]
    assert (devices[quiet]["status"], devices[quiet]["troubles"]) == (None, [])
    assert devices[strange]["troubles"] == ["not registered"]
    (patient,) = [each for each in data if "patient_id" in each]
    assert (patient["patient_id"], patient["conflicts"]) == (ada, [f"m1 {ada}/a1"])
    assert [line for line in shown.stdout.splitlines() if quiet in line and "never heard of" in line]


def test_a_patient_who_has_left_is_no_longer_on_the_ward(system: Deployed) -> None:
    ward, ada = unique("W"), unique("p")
    receives(system, a_stay(ada, ward=ward))
    there = daybook(system, "ward", ward, "--json")

    receives(system, a_stay(ada, 2, ward=ward, status="finished"))

    assert ada in there.stdout
    assert daybook(system, "ward", ward).returncode == 1


def registered(device: str, ward: str) -> dict[str, object]:
    data = a_device(device_id=device, ward=ward, reports_every=3600, revision=1)
    return an_event("EquipmentRegistered", data, source="hospital.assets")
