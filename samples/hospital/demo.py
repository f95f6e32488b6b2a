"""The hospital: patients' records in three systems that agree, and bedside devices that are monitored.

A sample may also have these keys. `escalates`: alarms that nobody acknowledges in time. `silent`: a device that sends
no reports. `damages`: a patient for each system whose row is damaged by hand before the entries of `then` are sent.
"""

from collections import Counter
from collections.abc import Iterator

from rich.table import Table

from daybook.local.demo.business import Business, Phase, Summary
from daybook.local.demo.driver import DemoDriver
from daybook.operate.drawing import table
from daybook.operate.tables import DeployedTable, PlainTable
from events.equipment import EquipmentAlarmEscalated, EquipmentAlarmRaised, StaffPaged
from functions.equipment.queries import Device, devices
from functions.patients.demographics import BIRTH_DATE, NAMES
from functions.patients.facts import Fact
from functions.patients.queries import SYSTEMS, Patient, Patients
from samples.hospital.pager import Page, pages

_WARD = "ICU-2"
_PAGED = {EquipmentAlarmRaised.__name__, EquipmentAlarmEscalated.__name__}


class Hospital(Business):
    """A day in the hospital."""

    name = "hospital"
    success_message = "The three systems agree on every patient. Each alarm was paged once at each of its levels."
    further_reading = {
        "functions/patients/pharmacy.py": "the function that found the conflict of a prescription with an allergy",
        "functions/equipment/raise_alarm.py": "the function that raises alarms and ignores noise",
        "events/equipment.py": "the contract of a device's reports",
    }

    def phases(self) -> tuple[Phase, Phase, Phase]:
        """Register devices, send records and readings, then damage a record and wait for timers."""
        return (
            Phase("registering devices", self._register),
            Phase("sending records and readings", self._send),
            Phase("damaging a record, and waiting for escalations and silence", self._damage_and_wait),
        )

    def summary(self) -> Summary:
        """The ward, the records, and the pager."""
        connection = self.system.connection
        on_ward = list(devices(connection, _WARD))
        records = Patients.of(connection)
        patients = [records.patient(row.patient_id) for row in records.index.scan()]
        received = pages(self.system.cloud, connection)
        return Summary(
            tables=[_devices(on_ward), _records(patients), _pages(received)],
            problems=[*_disagreements(patients), *self._wrong_pages(received), *self._wrong_silence(on_ward)],
        )

    def _register(self, driver: DemoDriver) -> None:
        driver.send(self.first.entries)

    def _send(self, driver: DemoDriver) -> None:
        self.send_samples(driver)

    def _damage_and_wait(self, driver: DemoDriver) -> None:
        for sample in self.samples:
            for system, patient_id in sample.own.get("damages", {}).items():
                self._damage(system, patient_id)
            driver.wait_for(EquipmentAlarmEscalated.__name__, sample.own.get("escalates", ()))
            if device := sample.own.get("silent"):
                driver.wait_for("EquipmentFellSilent", [f"device/{device}"])
            driver.send(sample.then)

    def _damage(self, system: str, patient_id: str) -> None:
        """Write a wrong birth date into the row of a system, without an event."""
        records = DeployedTable.of(self.system.connection, SYSTEMS[system])
        record = records.rows([patient_id])[patient_id]
        fact = record.facts[BIRTH_DATE]
        wrong = Fact(value="1900-01-01", revision=fact.revision, event=fact.event)
        records.put(record.evolve(facts={**record.facts, BIRTH_DATE: wrong}))

    def _wrong_pages(self, received: list[Page]) -> Iterator[str]:
        """Alarms that were not paged once at each of their levels, and pages without an event."""
        paged: Counter[str] = Counter()
        due: Counter[str] = Counter()
        for row in PlainTable(self.system.connection, self.system.connection.names.store).scan():
            paged.update([row["stream"]] if row["type"] == StaffPaged.__name__ else [])
            due.update([row["stream"]] if row["type"] in _PAGED else [])
        for alarm in sorted(paged.keys() | due.keys()):
            if paged[alarm] != due[alarm]:
                yield f"{alarm} was paged {paged[alarm]} times; expected {due[alarm]}"
        if len(received) != paged.total():
            yield f"the pager received {len(received)} pages; the event store has {paged.total()}"

    def _wrong_silence(self, on_ward: list[Device]) -> Iterator[str]:
        silent = {device.device_id for device in on_ward if any("silence" in each for each in device.problems)}
        expected = {sample.own["silent"] for sample in self.samples if "silent" in sample.own}
        if silent != expected:
            yield f"the silent devices are {sorted(silent)}; expected {sorted(expected)}"


def _disagreements(patients: list[Patient]) -> Iterator[str]:
    for patient in patients:
        if patient.differences or len(patient.rows) < len(SYSTEMS):
            yield f"the systems differ on patient {patient.patient_id}: {', '.join(patient.differences)}"


def _devices(on_ward: list[Device]) -> Table:
    return table(
        f"The devices on {_WARD}",
        ("device", "type", "status", "readings", "problems"),
        (
            (
                device.device_id,
                device.type,
                device.status or "no report",
                "; ".join(device.readings),
                "; ".join(device.problems),
            )
            for device in on_ward
        ),
    )


def _records(patients: list[Patient]) -> Table:
    rows = []
    for patient in sorted(patients, key=lambda patient: patient.patient_id):
        names = patient.facts(NAMES)
        revisions = [names[system].revision if system in names else "" for system in SYSTEMS if system in patient.rows]
        unchecked = "; ".join(map(str, patient.unchecked))
        related, conflicts = ", ".join(patient.related), ", ".join(patient.conflicts)
        rows.append((patient.patient_id, *revisions, related, conflicts, unchecked))
    return table(
        "The records, with the revision that each system has",
        ("record", *SYSTEMS, "other records", "conflicts of prescription and allergy", "unchecked prescriptions"),
        rows,
        numbers=tuple(SYSTEMS),
    )


def _pages(received: list[Page]) -> Table:
    rows = ((page.level, page.text.replace("\n", "; ")) for page in received)
    return table("The pager", ("level", "page"), rows, numbers=("level",))
