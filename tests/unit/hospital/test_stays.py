"""Where a patient is: the ward of an encounter, by the status, period, physical type and parents of its locations."""

from typing import Any

import pytest

from functions.patients import lookup
from functions.patients.index import IndexRecord
from tests.unit.hospital.records import a_stay
from tests.unit.hospital.systems import Systems
from tests.unit.world import World

PHYSICAL_TYPE = "http://terminology.hl7.org/CodeSystem/location-physical-type"


def at(key: str, physical_type: str | None = None, **fields: Any) -> dict[str, Any]:
    """A location of an encounter."""
    typed = {"physicalType": {"coding": [{"system": PHYSICAL_TYPE, "code": physical_type}]}} if physical_type else {}
    return {"location": {"reference": f"Location/{key}"}, **typed, **fields}


def part(key: str, physical_type: str, part_of: str | None = None) -> dict[str, Any]:
    """A location inside the encounter."""
    location = {
        "resourceType": "Location",
        "id": key,
        "physicalType": {"coding": [{"system": PHYSICAL_TYPE, "code": physical_type}]},
    }
    return location | ({"partOf": {"reference": part_of}} if part_of else {})


NOW = {"status": "active"}
WARD, ROOM, BED = part("W", "wa", "#B"), part("W-R1", "ro", "#W"), part("W-B7", "bd", "#W-R1")
BUILDING = part("B", "bu")
# The fields of a stay, and the ward of the patient.
STAYS: dict[str, tuple[dict[str, Any], str]] = {
    "ward and bed": ({"location": [at("W", "wa", **NOW), at("W-B7", "bd", **NOW)]}, "W"),
    "bed and ward": ({"location": [at("W-B7", "bd", **NOW), at("W", "wa", **NOW)]}, "W"),
    "ward, room and bed": ({"location": [at("W", "wa"), at("W-R1", "ro"), at("W-B7", "bd")]}, "W"),
    "a ward, and a location without a type": ({"location": [at("W", "wa"), at("X")]}, "W"),
    "a bed alone": ({"location": [at("W-B7", "bd")]}, ""),
    "a bed, and a location without a type": ({"location": [at("W"), at("W-B7", "bd")]}, "W"),
    "locations without a type": ({"location": [at("V"), at("W")]}, "W"),
    "two wards": ({"location": [at("V", "wa"), at("W", "wa")]}, "W"),
    "two wards, the first one since later": (
        {
            "location": [
                at("W", "wa", period={"start": "2026-03-01T12:00:00+02:00"}),
                at("V", "wa", period={"start": "2026-03-01T09:59:60Z"}),
            ]
        },
        "W",
    ),
    "a ward whose period has ended": ({"location": [at("W", "wa"), at("V", "wa", period={"end": "2026-03-01"})]}, "W"),
    "an active ward whose period has an end": ({"location": [at("W", "wa", period={"end": "2036-03-01"}, **NOW)]}, "W"),
    "a planned and a completed ward": (
        {"location": [at("W", "wa"), at("V", "wa", status="planned"), at("U", "wa", status="completed")]},
        "W",
    ),
    "a bed in a room in a ward": ({"contained": [BED, ROOM, WARD], "location": [at("#W-B7")]}, "W"),
    "a bed whose room is in no ward": ({"contained": [BED, part("W-R1", "ro")], "location": [at("#W-B7")]}, ""),
    "locations that are part of each other": (
        {"contained": [part("W-B7", "bd", "#W-R1"), part("W-R1", "ro", "#W-B7")], "location": [at("#W-B7")]},
        "",
    ),
    "a ward in a building": ({"contained": [WARD, BUILDING], "location": [at("#W")]}, "W"),
    "a stay that has ended": ({"status": "finished", "location": [at("W", "wa", **NOW)]}, ""),
}
STAYS = {
    name: (
        {
            **fields,
            "location": [
                {**each, "location": {"reference": each["location"]["reference"].replace("Location/#", "#")}}
                for each in fields["location"]
            ],
        },
        ward,
    )
    for name, (fields, ward) in STAYS.items()
}


@pytest.fixture
def systems(world: World) -> Systems:
    return Systems(world)


@pytest.mark.parametrize(("fields", "ward"), STAYS.values(), ids=STAYS)
def test_a_patient_is_on_the_ward_of_the_stay(systems: Systems, fields: dict[str, Any], ward: str) -> None:
    systems.receives(a_stay(**fields))

    assert systems.row(IndexRecord).value("encounter/e1")["ward"] == ward
    assert systems.terms() == ([lookup.ward_term(ward)] if ward else [])
