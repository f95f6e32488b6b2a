"""`daybook ward` against the deployed system: the devices, alarms and patients of a ward."""

import json

from tests.deployed.deployed import Deployed, an_event
from tests.deployed.hospital.test_equipment import LOW, a_device, a_report, limits_for
from tests.deployed.hospital.test_patients import numbered, receives
from tests.deployed.test_commands import daybook
from tests.local.processes import unique
from tests.unit.hospital.records import a_patient, a_prescription, a_stay, an_allergy


def test_ward_shows_the_devices_with_their_alarms_and_the_patients(system: Deployed) -> None:
    ward, alarming, silent, unregistered, ada, name = (
        unique("W"),
        *(unique("D") for _ in range(3)),
        unique("p"),
        unique("name"),
    )
    system.receives(a_registration_on(alarming, ward), a_registration_on(silent, ward), limits_for(alarming))
    system.receives(a_report(alarming, LOW, ward=ward), a_report(unregistered, 127, ward=ward))
    receives(system, a_patient(ada, identifier=numbered(unique("n")), name=[{"text": name}]), a_stay(ada, ward=ward))
    receives(system, an_allergy(ada), a_prescription(ada))
    receives(system, a_prescription(ada, key="rx-9", code=None, medicationReference={"display": "Amoxicillin"}))

    shown = daybook(system, "ward", ward)
    data = [json.loads(line) for line in daybook(system, "ward", ward, "--json").stdout.splitlines()]
    nowhere = daybook(system, "ward", unique("nowhere"))

    assert (shown.returncode, nowhere.returncode) == (0, 1)
    assert "no device and no patient is on a ward" in nowhere.stderr
    assert name not in shown.stdout + json.dumps(data)
    devices = {each["device_id"]: each for each in data if "device_id" in each}
    assert devices.keys() == {alarming, silent, unregistered}
    assert devices[alarming]["readings"] == [f"oxygen saturation by pulse oximetry {LOW} %"]
    assert devices[alarming]["problems"] == [f"oxygen saturation by pulse oximetry {LOW} %: raised, level 1"]
    assert (devices[silent]["status"], devices[silent]["problems"]) == (None, [])
    assert devices[unregistered]["readings"] == ["oxygen saturation by pulse oximetry 127 % (not judged)"]
    assert devices[unregistered]["problems"] == ["not registered", "not judged: 59408-5: impossible value"]
    (patient,) = [each for each in data if "patient_id" in each]
    assert (patient["patient_id"], patient["conflicts"]) == (ada, [f"m1 {ada}/a1"])
    assert patient["unchecked"] == [{"prescription": "rx-9", "allergy": None, "reason": "reference not resolved"}]
    assert [line for line in shown.stdout.splitlines() if silent in line and "no report" in line]


def test_ward_does_not_show_a_patient_who_has_left(system: Deployed) -> None:
    ward, ada = unique("W"), unique("p")
    receives(system, a_stay(ada, ward=ward))
    before = daybook(system, "ward", ward, "--json")

    receives(system, a_stay(ada, 2, ward=ward, status="finished"))

    assert ada in before.stdout
    assert daybook(system, "ward", ward).returncode == 1


def a_registration_on(device: str, ward: str) -> dict[str, object]:
    data = a_device(device_id=device, ward=ward, reports_every=3600, revision=1)
    return an_event("EquipmentRegistered", data, source="hospital.assets")
