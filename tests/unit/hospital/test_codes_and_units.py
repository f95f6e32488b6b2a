"""Codes that mean the same vital sign, and units that are converted to its unit."""

from decimal import Decimal

import pytest

from events.vitals import EQUIVALENT, KINDS, Kind, Reading, kind_of
from functions.equipment.interpretation import Measured, interpret
from functions.equipment.units import convert, convertible
from tests.unit.hospital.bedside import BREATH, HEAT, PULSE, SPO2, Bedside, at, limits, problem, reading
from tests.unit.world import World

SYSTOLIC, DIASTOLIC, MEAN, ETCO2 = "8480-6", "8462-4", "8478-0", "19891-1"


def value_of(code: str, value: float, unit: str) -> Decimal | None:
    """The value in the unit of its vital sign. None if it is not judged."""
    meaning = interpret(Reading.model_validate({"code": code, "unit": unit, "value": value}))
    return meaning.value if isinstance(meaning, Measured) else None


@pytest.mark.parametrize(
    ("code", "means"),
    [
        ("2708-6", SPO2),
        ("76477-9", PULSE),
        ("8331-1", HEAT),
        ("76534-7", SYSTOLIC),
        ("76533-9", "76533-9"),
        ("76215-3", SYSTOLIC),
        ("76213-8", DIASTOLIC),
        ("76214-6", MEAN),
        ("76535-4", DIASTOLIC),
        ("76536-2", MEAN),
        ("150456", SPO2),
        ("MDC_PULS_OXIM_SAT_O2", SPO2),
        ("MDC_ECG_HEART_RATE", PULSE),
        ("147842", PULSE),
        ("151562", BREATH),
        ("MDC_TEMP_BODY", HEAT),
        ("150021", SYSTOLIC),
        ("MDC_PRESS_BLD_ART_ABP_MEAN", MEAN),
        ("151708", ETCO2),
    ],
)
def test_a_code_raises_the_alarm_of_its_vital_sign(world: World, code: str, means: str) -> None:
    bedside = Bedside(world)
    bedside.has_limits(limits(code=means, low=30))

    bedside.reports(0, readings=[reading(code, 30)])

    assert [problem.code for problem in bedside.raised()] == [means]
    assert bedside.not_judged() == {}


@pytest.mark.parametrize("code", ["MDC_TEMP", "150344", "8741-1"])
def test_a_code_that_could_mean_another_place_is_not_judged(code: str) -> None:
    assert kind_of(code) is None


def test_each_equivalent_code_belongs_to_one_vital_sign() -> None:
    assert set(EQUIVALENT.values()) <= KINDS.keys()
    assert not EQUIVALENT.keys() & KINDS.keys()


def test_two_codes_of_one_vital_sign_share_an_alarm(world: World) -> None:
    bedside = Bedside(world)
    bedside.has_limits(limits(low=90, delay=15))

    bedside.reports(0, readings={"2708-6": 80})
    bedside.reports(15, readings={SPO2: 80})
    bedside.reports(30, readings={SPO2: 97, "2708-6": 97})

    assert [problem.since for problem in bedside.raised()] == [at(0)]
    assert bedside.cleared() == ["back_in_range"]


@pytest.mark.parametrize("values", [{"76215-3": 60, "76534-7": 120}, {"76534-7": 60, "76215-3": 120}])
def test_two_codes_of_one_vital_sign_in_one_report_are_judged_by_the_worst_value(
    world: World, values: dict[str, float]
) -> None:
    bedside = Bedside(world)

    bedside.reports(0, readings=values)
    bedside.reports(15, readings=values)

    assert [problem.value for problem in bedside.raised()] == [60]


@pytest.mark.parametrize("values", [{"76215-3": 60, "76534-7": 230}, {"76215-3": 230, "76534-7": 60}])
def test_one_vital_sign_raises_one_alarm_even_if_two_sensors_disagree(world: World, values: dict[str, float]) -> None:
    bedside = Bedside(world)
    bedside.has_limits(limits(code=SYSTOLIC, low=90, high=220, margin=5))

    bedside.reports(0, readings=values)

    assert len(bedside.raised()) == 1


def test_limits_that_are_set_for_a_code_apply_to_all_codes_of_its_vital_sign(world: World) -> None:
    bedside = Bedside(world)
    bedside.has_limits(limits(code=SPO2, low=80), limits(code="2708-6", low=95, revision=2))

    bedside.reports(0, readings={"150456": 93})

    assert [problem.limit for problem in bedside.raised()] == [95]


@pytest.mark.parametrize(
    ("code", "value", "unit", "expected"),
    [
        (PULSE, 72, "/min", "72"),
        (PULSE, 72, "{beats}/min", "72"),
        (PULSE, 72, "{Beats}/min", "72"),
        (BREATH, 15, "{breaths}/min", "15"),
        (PULSE, 72, "1/min", "72"),
        (PULSE, 72, "min-1", "72"),
        (PULSE, 72, "bpm", "72"),
        (PULSE, 1.2, "Hz", "72"),
        (PULSE, 1.2, "{beats}/s", "72"),
        (PULSE, 72, "MDC_DIM_BEAT_PER_MIN", "72"),
        (PULSE, 72, "264864", "72"),
        (BREATH, 15, "MDC_DIM_RESP_PER_MIN", "15"),
        (SPO2, 97, "%{saturation}", "97"),
        (SPO2, 0.97, "1", "97"),
        (SPO2, 97, "262688", "97"),
        (HEAT, 98.4, "[degF]", "36.888889"),
        (HEAT, 98.4, "°F", "36.888889"),
        (HEAT, 98.4, "MDC_DIM_FAHR", "36.888889"),
        (HEAT, 36.6, "°C", "36.6"),
        (HEAT, 309.75, "K", "36.6"),
        (SYSTOLIC, 120, "mmHg", "120"),
        (SYSTOLIC, 120, "mm Hg", "120"),
        (SYSTOLIC, 16, "kPa", "120.010201"),
        (SYSTOLIC, 160, "hPa", "120.010201"),
        (SYSTOLIC, 160, "mbar", "120.010201"),
        (SYSTOLIC, 16000, "Pa", "120.010201"),
        (SYSTOLIC, 16, "265987", "120.010201"),
        (ETCO2, 5, "kPa", "37.503188"),
        (ETCO2, 40, "cm[H2O]", "29.422451"),
    ],
)
def test_a_value_is_converted_to_the_unit_of_its_vital_sign(code: str, value: float, unit: str, expected: str) -> None:
    assert value_of(code, value, unit) == Decimal(expected)


@pytest.mark.parametrize(
    ("code", "value", "unit"),
    [
        (HEAT, 98.4, "%"),
        (SPO2, 97, ""),
        (SPO2, 97, "1"),
        (SYSTOLIC, 120, "/min"),
        (PULSE, 72, "{beats}"),
        (ETCO2, 5, "%"),
    ],
)
def test_a_value_in_a_unit_of_another_quantity_is_not_judged(code: str, value: float, unit: str) -> None:
    assert value_of(code, value, unit) is None


def test_a_pressure_in_kilopascals_raises_the_alarm_with_the_value_in_the_unit_of_its_limit(world: World) -> None:
    bedside = Bedside(world)
    bedside.has_limits(limits(code=SYSTOLIC, low=90))

    bedside.reports(0, readings=[reading("150021", 12, "kPa")])

    assert bedside.raised() == [
        problem(code=SYSTOLIC, name="systolic blood pressure", unit="mm[Hg]", value=90, limit=90, since=at(0))
    ]


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.name)
def test_each_unit_that_an_error_suggests_is_converted(kind: Kind) -> None:
    for unit in convertible(kind.unit):
        assert convert(Decimal(1), unit, kind.unit) is not None
