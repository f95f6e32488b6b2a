"""The index: searches by number, name, birth date and ward, and numbers that several patients have."""

from typing import Any

import pytest

from daybook.store.transaction import MAX_WRITES
from events.patients import SharedIdentifierFound
from functions.patients import lookup
from functions.patients.index import IndexRecord, NumberHolders, index_patient
from tests.unit import faults
from tests.unit.hospital.records import MRN, a_patient, a_stay, merged, unmerged
from tests.unit.hospital.systems import Delivery, Systems
from tests.unit.world import World

# A name as the record has it, and as somebody searches for it.
SPELLINGS = {
    "case": ("LOVELACE", "lovelace"),
    "accents": ("Zoë Müller", "zoe muller"),
    "accents, composed or not": ("Nguyễn", "Nguye\u0302\u0303n"),
    "one character for two": ("Weiß", "WEISS"),
    "a capital with a dot": ("İpek", "ipek"),
    "hyphens": ("Anne-Marie", "Marie Anne"),
    "hyphens of another kind": ("Anne\u2011Marie", "anne marie"),
    "an invisible hyphen": ("Love\u00adlace", "Lovelace"),
    "apostrophes": ("O'Brien", "O\u2019Brien"),
    "an apostrophe that is left out": ("O'Neil", "oneil"),
    "apostrophes of other kinds": ("O\u00b4Neil d\uff07Angelo Ka\u02bbahumanu", "oneil dangelo kaahumanu"),
    "a dot within a word": ("Marcel\u00b7l\u00ed", "marcelli"),
    "a stroke through o": ("S\u00f8rensen", "sorensen"),
    "a stroke through l": ("Sk\u0142odowska", "SKLODOWSKA"),
    "no dot on i": ("Y\u0131ld\u0131z", "yildiz"),
    "capitals with strokes": ("\u0110OR\u0110E \u00d8STBY", "dorde ostby"),
    "Icelandic": ("\u00deorsteinn Gu\u00f0mundss\u00e6r", "thorsteinn gudmundssaer"),
    "one character for oe": ("C\u0153ur", "coeur"),
    "a stroke and an accent": ("\u01festby", "ostby"),
    "Azerbaijani": ("\u018fliyev", "eliyev"),
    "underscores": ("ada_maria", "Ada Maria"),
    "ligatures": ("\ufb01eld", "Field"),
    "symbols with capitals": ("\u2121", "tel"),
    "mathematical characters": ("\U0001d400da", "Ada"),
    "wide characters": ("\uff21\uff44\uff41", "ada"),
    "Greek": ("ΓΙΏΡΓΟΣ", "γιώργος"),
    "Cyrillic": ("Ёлкин", "ёлкин"),
    "Korean, composed or not": ("김철수", "\u1100\u1175\u11b7\u110e\u1165\u11af\u1109\u116e"),
    "Hebrew with its points": ("דָּוִד", "דוד"),
    "Arabic with its vowels": ("مُحَمَّد", "محمد"),
}


@pytest.fixture
def systems(world: World) -> Systems:
    return Systems(world)


def test_a_patient_is_found_by_number_name_birth_date_and_ward(systems: Systems) -> None:
    systems.receives(a_patient(), a_stay(), a_patient("grace", name=[{"family": "Hopper"}], birthDate="1906-12-09"))

    for term in (
        lookup.number_term("4711"),
        lookup.name_term("ada"),
        lookup.birth_date_term("1815-12-10"),
        lookup.ward_term("ICU-2"),
    ):
        assert "ada" in found(systems, term)
    assert (
        found(systems, lookup.name_term("hopper")) == found(systems, lookup.birth_date_term("1906-12-09")) == {"grace"}
    )


def test_a_patient_is_found_by_every_word_of_every_name(systems: Systems) -> None:
    maiden = {"use": "maiden", "family": "Byron", "given": ["Augusta", "Ada"]}
    in_one_text = {"text": "Countess of Lovelace"}
    systems.receives(a_patient(name=[{"family": "King-Noel", "given": ["Ada"]}, maiden, in_one_text]))

    for word in ("king", "noel", "ada", "byron", "augusta", "countess", "of", "lovelace"):
        assert found(systems, lookup.name_term(word)) == {"ada"}


@pytest.mark.parametrize(("name", "search"), SPELLINGS.values(), ids=SPELLINGS)
def test_a_name_is_found_in_any_spelling(systems: Systems, name: str, search: str) -> None:
    systems.receives(a_patient(name=[{"family": name}]))

    assert found(systems, *(lookup.name_term(word) for word in lookup.words(search))) == {"ada"}


@pytest.mark.parametrize("name", ["राम", "शर्मा", "สมชาย", "李小龍", "Łucja", "محمد", "O'Neil", "தமிழ்"])
def test_a_name_stays_one_word_in_every_script(name: str) -> None:
    (word,) = lookup.words(name)

    assert lookup.words(word) == [word]


@pytest.mark.parametrize("name", ["", " ", "-", "…", "_"])
def test_a_name_without_chars_has_no_words(name: str) -> None:
    assert lookup.words(name) == []


def test_a_name_with_a_null_part_is_found_by_its_other_parts(systems: Systems) -> None:
    systems.receives(a_patient(name=[{"given": [None, "Ada"]}]))

    assert found(systems, lookup.name_term("ada")) == {"ada"}


# Guards: a search checks hints against the record.
def test_a_patient_is_not_found_by_a_former_name_number_or_ward(systems: Systems) -> None:
    systems.receives(a_patient(), a_stay(), a_patient(revision=2, name=[{"family": "King"}], identifier=None))

    assert "name:lovelace" in systems.terms()
    assert found(systems, lookup.name_term("lovelace")) == found(systems, lookup.number_term("4711")) == set()
    assert found(systems, lookup.name_term("king")) == {"ada"}

    systems.receives(a_stay(revision=2, status="finished"))

    assert found(systems, lookup.ward_term("ICU-2")) == set()


def test_a_patient_is_not_found_by_the_values_of_an_older_revision_that_arrives_late(systems: Systems) -> None:
    newer, older = systems.record(
        a_patient(revision=2, name=[{"family": "King"}]), a_patient(birthDate="1815-01-01", deceasedBoolean=True)
    )

    systems.deliver(*systems.deliveries(newer), *systems.deliveries(older))

    assert found(systems, lookup.name_term("lovelace")) == found(systems, lookup.birth_date_term("1815-01-01")) == set()
    assert found(systems, lookup.name_term("king"), lookup.birth_date_term("1815-12-10")) == {"ada"}


def test_a_patient_without_a_number_is_found_by_name_and_birth_date(systems: Systems) -> None:
    systems.receives(a_patient(identifier=None), a_patient("unknown", identifier=None, name=None, birthDate=None))

    assert found(systems, lookup.name_term("lovelace"), lookup.birth_date_term("1815-12-10")) == {"ada"}
    assert systems.row(IndexRecord, "unknown").numbers == {}
    assert systems.terms("unknown") == []
    assert systems.shared() == []


def test_an_identifier_without_a_value_is_not_a_number(systems: Systems) -> None:
    systems.receives(a_patient(identifier=[{"system": MRN}]), a_patient("grace", identifier=[{"system": MRN}]))

    assert systems.row(IndexRecord).numbers == {}
    assert systems.shared() == []


@pytest.mark.parametrize("order", [("ada", "grace"), ("grace", "ada")], ids=str)
def test_a_shared_number_is_reported_in_the_stream_of_the_later_patient(
    systems: Systems, order: tuple[str, str]
) -> None:
    systems.receives(*map(a_patient, order))

    assert systems.shared() == [shared(order[1], order[0])]


def test_a_shared_number_is_reported_once_for_any_number_of_updates(systems: Systems) -> None:
    systems.receives(a_patient(), a_patient("grace"), a_patient(revision=2, gender="other"), a_patient("grace", 2))

    assert systems.shared() == [shared("grace", "ada")]


def test_a_third_patient_with_the_number_is_reported_with_both_others(systems: Systems) -> None:
    systems.receives(a_patient(), a_patient("grace"), a_patient("hedy"))

    assert systems.shared()[1:] == [shared("hedy", "ada", "grace")]


def test_the_same_number_in_two_number_systems_is_not_shared(systems: Systems) -> None:
    systems.receives(
        a_patient(identifier=[{"system": MRN, "value": "4711"}]),
        a_patient("grace", identifier=[{"system": "https://insurance.example", "value": "4711"}]),
        a_patient("hedy", identifier=[{"value": "4711"}]),
    )

    assert systems.shared() == []


def test_a_number_that_a_patient_no_longer_has_is_not_shared(systems: Systems) -> None:
    systems.receives(a_patient(), a_patient(revision=2, identifier=None), a_patient("grace"))

    assert systems.shared() == []


def test_an_old_number_is_found_but_not_shared(systems: Systems) -> None:
    old = {"use": "old", "system": MRN, "value": "4711"}
    systems.receives(a_patient(identifier=[old]), a_patient("grace"), a_patient("hedy", identifier=[old]))

    assert systems.shared() == []
    assert found(systems, lookup.number_term("4711")) == {"ada", "grace", "hedy"}


def test_a_number_that_is_no_longer_old_is_shared(systems: Systems) -> None:
    systems.receives(a_patient(identifier=[{"use": "old", "system": MRN, "value": "4711"}]), a_patient("grace"))

    systems.receives(a_patient(revision=2))

    assert systems.shared() == [shared("ada", "grace")]


# Guards: a number is new to a patient if the record did not have it, whether a hint exists or not.
def test_a_number_that_a_patient_gets_back_is_reported_if_another_patient_has_it_now(systems: Systems) -> None:
    systems.receives(a_patient(), a_patient(revision=2, identifier=None), a_patient("grace"))

    systems.receives(a_patient(revision=3))

    assert systems.shared() == [shared("ada", "grace")]


def test_a_number_of_a_late_older_revision_is_reported_when_a_newer_revision_has_it(systems: Systems) -> None:
    newer, older = systems.record(a_patient(revision=2, identifier=None), a_patient(deceasedBoolean=True))
    systems.deliver(*systems.deliveries(newer), *systems.deliveries(older))
    systems.receives(a_patient("grace"))
    assert systems.shared() == []

    systems.receives(a_patient(revision=3))

    assert systems.shared() == [shared("ada", "grace")]


# Guards: the version of the number's row.
@pytest.mark.parametrize("had", [(), ("ada",), ("grace",), ("ada", "grace")], ids=lambda had: f"had by {had}")
def test_two_patients_who_get_a_number_at_the_same_time_are_reported(systems: Systems, had: tuple[str, ...]) -> None:
    for patient in had:
        systems.receives(a_patient(patient), a_patient(patient, 2, identifier=None))
    ada, grace = (index(systems, a_patient(patient, 3)) for patient in ("ada", "grace"))

    faults.meanwhile("TransactWriteItems", lambda: systems.deliver(grace))
    systems.deliver(ada)

    assert systems.shared() == [shared("ada", "grace")]


def test_two_records_of_one_person_may_have_the_same_number(systems: Systems) -> None:
    systems.receives(a_patient(), merged("augusta", "ada"), a_patient("augusta"))

    assert systems.shared() == []


def test_all_records_of_a_person_are_reported_with_another_patient(systems: Systems) -> None:
    systems.receives(a_patient(), merged("augusta", "ada"), a_patient("augusta"), a_patient("grace"))

    assert systems.shared() == [shared("grace", "ada", "augusta")]


def test_an_unmerge_reports_a_number_that_both_records_have(systems: Systems) -> None:
    systems.receives(a_patient(), merged("augusta", "ada"), a_patient("augusta"))

    systems.receives(unmerged("augusta"))

    assert systems.shared() == [shared("augusta", "ada")]


def test_a_merge_into_another_record_reports_a_number_shared_with_the_first_one(systems: Systems) -> None:
    systems.receives(
        a_patient(), merged("augusta", "ada"), a_patient("augusta"), merged("augusta", "byron", revision=3)
    )

    assert systems.shared() == [shared("augusta", "ada")]


def test_an_unmerge_reports_numbers_of_records_that_were_merged_into_the_unmerged_one(systems: Systems) -> None:
    systems.receives(a_patient(), merged("augusta", "ada"), merged("byron", "augusta"), a_patient("byron"))

    systems.receives(unmerged("augusta"))

    assert systems.shared() == [shared("byron", "ada")]


def test_an_unmerge_of_records_without_a_shared_number_reports_nothing(systems: Systems) -> None:
    systems.receives(a_patient(), merged("augusta", "ada"), a_patient("augusta", identifier=None), unmerged("augusta"))

    assert systems.shared() == []


# Guards: an unmerge saves the rows of the person's numbers.
@pytest.mark.parametrize("unmerged_first", [True, False], ids=["unmerged first", "number first"])
def test_a_number_that_a_patient_gets_during_an_unmerge_of_its_holders_is_reported(
    systems: Systems, *, unmerged_first: bool
) -> None:
    systems.receives(merged("augusta", "byron"), merged("byron", "ada"), a_patient("augusta"))
    (unmerge,) = systems.record(unmerged("augusta"))
    (to_the_index, *_) = systems.deliveries(unmerge)
    both = [to_the_index, index(systems, a_patient("ada"))]

    faults.meanwhile("TransactWriteItems", lambda: systems.deliver(both[1 - unmerged_first]))
    systems.deliver(both[unmerged_first])

    assert systems.shared() == [shared("ada", "augusta") if unmerged_first else shared("augusta", "ada")]


def test_a_number_with_a_hundred_holders_is_not_reported(systems: Systems) -> None:
    world = systems.world
    holders = tuple(f"p{number}" for number in range(99))
    number: dict[str, Any] = {"identifier": [{"system": MRN, "value": "0000"}]}
    facts = {"identifiers": {"value": number["identifier"], "revision": 1, "event": "e"}}
    world.put(*(IndexRecord.model_validate({"patient_id": each, "facts": facts}) for each in holders))
    world.put(NumberHolders(number=f"{MRN}|0000", patients=holders))

    systems.receives(a_patient("hundredth", **number))
    systems.receives(*(a_patient(each, **number) for each in ("ada", "grace")), a_patient("ada", 2, **number))

    assert [(each.patient_id, len(each.others)) for each in systems.shared()] == [("hundredth", 99)]
    row = world.row(NumberHolders, f"{MRN}|0000")
    assert row is not None
    assert len(row.patients) == 100
    assert found(systems, lookup.number_term("0000")) >= {"ada", "grace"}


# The largest update, in characters of 4 bytes each.
LARGEST: dict[str, Any] = {
    "identifier": [
        {"system": "\U0001d54f" * 300, "value": f"{number:02}" + "\U0001d54f" * 198} for number in range(20)
    ],
    "name": [
        {"text": f"T{number} {'x' * 990}", "family": f"F{number}", "given": [f"G{number}x{each}" for each in range(20)]}
        for number in range(20)
    ],
}


def test_the_largest_update_is_written_in_one_transaction(systems: Systems) -> None:
    written = faults.requests("TransactWriteItems")
    systems.receives(a_patient(**LARGEST), a_patient("grace", **LARGEST))

    assert len(systems.shared()) == 20
    assert 70 < max(len(each["TransactItems"]) for each in written) <= MAX_WRITES
    for identifier in LARGEST["identifier"]:
        assert found(systems, lookup.number_term(identifier["value"])) == {"ada", "grace"}
    assert found(systems, lookup.birth_date_term("1815-12-10")) == {"ada", "grace"}


@pytest.mark.parametrize("char", ["x", "Ж", "李", "\U00020000", "ﷺ"], ids=ascii)
def test_the_term_of_a_very_long_name_fits_into_a_key(systems: Systems, char: str) -> None:
    name, ward = char * 1_000, char * 980
    systems.receives(a_patient("x" * 64, name=[{"family": name}]), a_stay("x" * 64, ward=ward))

    assert found(systems, *(lookup.name_term(word) for word in lookup.words(name))) == {"x" * 64}
    assert found(systems, lookup.ward_term(ward)) == {"x" * 64}
    for row in systems.world.items("patient-terms"):
        assert len(row["id"].encode()) <= 2048
        assert len(row["term"].encode()) <= 2048


def found(systems: Systems, *terms: str) -> set[str]:
    """The patients to whom all terms lead and apply."""
    rows = systems.world.items("patient-terms")
    candidates = set.intersection(*({row["patient_id"] for row in rows if row["term"] == term} for term in terms))
    return {each for each in candidates if lookup.terms(systems.row(IndexRecord, each).values) >= set(terms)}


def shared(patient: str, *others: str) -> SharedIdentifierFound:
    return SharedIdentifierFound(patient_id=patient, others=others, system=MRN)


def index(systems: Systems, event: Any) -> Delivery:
    """Record an event. Returns its delivery to the index only."""
    (envelope,) = systems.record(event)
    return index_patient, envelope  # type: ignore[return-value]
