"""The hospital: patients' records in three systems that agree, and bedside devices that are watched.

Its samples may also say `escalates`: alarms that nobody acknowledges in time; `silent`: a device that is never heard
of; and `damages`: systems, each with a patient whose row there is damaged by hand before what comes `then`.
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
    success_message = "The three systems agree on every patient; each alarm was paged once at each of its levels."
    further_reading = {
        "functions/patients/pharmacy.py": "the function that found what a patient must not be given",
        "functions/equipment/raise_alarm.py": "the one that tells an alarm from noise",
        "events/equipment.py": "what a device must send",
    }

    def phases(self) -> tuple[Phase, Phase, Phase]:
        """Devices are registered, records and readings come, and time passes."""
        return (
            Phase("registering devices", self._morning),
            Phase("sending records and readings", self._noon),
            Phase("damaging a record, and waiting for those who do not answer", self._evening),
        )

    def summary(self) -> Summary:
        """The ward, the records, and the pager."""
        here = self.system
        there = list(devices(here.connection, _WARD))
        records = Patients.of(here.connection)
        patients = [records.patient(row.patient_id) for row in records.index.scan()]
        paged = pages(here.cloud, here.connection)
        return Summary(
            tables=[_devices(there), _records(patients), _pages(paged)],
            problems=[*_disagreements(patients), *self._pages(paged), *self._silence(there)],
        )

    def _morning(self, driver: DemoDriver) -> None:
        driver.send(self.first.entries)

    def _noon(self, driver: DemoDriver) -> None:
        self.send_samples(driver)

    def _evening(self, driver: DemoDriver) -> None:
        for sample in self.samples:
            for system, patient_id in sample.own.get("damages", {}).items():
                self._damage(system, patient_id)
            driver.wait_for(EquipmentAlarmEscalated.__name__, sample.own.get("escalates", ()))
            if device := sample.own.get("silent"):
                driver.wait_for("EquipmentFellSilent", [f"device/{device}"])
            driver.send(sample.then)

    def _damage(self, system: str, patient_id: str) -> None:
        """Write by hand, past all functions, what nobody has ever said."""
        records = DeployedTable.of(self.system.connection, SYSTEMS[system])
        record = records.rows([patient_id])[patient_id]
        known = record.facts[BIRTH_DATE]
        wrong = Fact(value="1900-01-01", revision=known.revision, event=known.event)
        records.put(record.with_facts({**record.facts, BIRTH_DATE: wrong}))

    def _pages(self, paged: list[Page]) -> Iterator[str]:
        """Alarms that were not paged once at each of their levels, and pages that nobody has told of."""
        told: Counter[str] = Counter()
        due: Counter[str] = Counter()
        for row in PlainTable(self.system.connection, self.system.connection.names.store).scan():
            told.update([row["stream"]] if row["type"] == StaffPaged.__name__ else [])
            due.update([row["stream"]] if row["type"] in _PAGED else [])
        for alarm in sorted(told.keys() | due.keys()):
            if told[alarm] != due[alarm]:
                yield f"{alarm} should have been paged {due[alarm]} times; it was {told[alarm]} times"
        if len(paged) != told.total():
            yield f"{len(paged)} pages were got, {told.total()} are in the event store"

    def _silence(self, there: list[Device]) -> Iterator[str]:
        silent = {device.device_id for device in there if any("silence" in each for each in device.troubles)}
        if silent != (meant := {sample.own["silent"] for sample in self.samples if "silent" in sample.own}):
            yield f"{sorted(meant)} should be silent; {sorted(silent)} are"


def _disagreements(patients: list[Patient]) -> Iterator[str]:
    for patient in patients:
        if patient.differences or len(patient.rows) < len(SYSTEMS):
            yield f"the systems do not agree on {patient.patient_id}: {', '.join(patient.differences)}"


def _devices(there: list[Device]) -> Table:
    return table(
        f"The devices on {_WARD}",
        ("device", "type", "status", "readings", "trouble"),
        (
            (
                device.device_id,
                device.type,
                device.status or "never heard of",
                "; ".join(device.readings),
                "; ".join(device.troubles),
            )
            for device in there
        ),
    )


def _records(patients: list[Patient]) -> Table:
    rows = []
    for patient in sorted(patients, key=lambda patient: patient.patient_id):
        names = patient.known(NAMES)
        revisions = [names[system].revision if system in names else "" for system in SYSTEMS if system in patient.rows]
        rows.append((patient.patient_id, *revisions, ", ".join(patient.related), ", ".join(patient.conflicts)))
    return table(
        "The records: at which revision each system is",
        ("record", *SYSTEMS, "the same person", "prescriptions that meet allergies"),
        rows,
        numbers=tuple(SYSTEMS),
    )


def _pages(paged: list[Page]) -> Table:
    rows = ((page.level, page.text.replace("\n", "; ")) for page in paged)
    return table("The pager", ("level", "page"), rows, numbers=("level",))
