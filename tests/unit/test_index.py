"""The index: who is this? Found by number, name, birth date and ward; and who has a number that others have too."""

from typing import Any

import pytest

from daybook.store.transaction import MAX_WRITES
from events.patients import SharedIdentifierFound
from functions.patients import lookup
from functions.patients.index import Indexed, Numbered, index_patient
from tests.unit import faults
from tests.unit.records import MRN, a_patient, a_stay, merged, unmerged
from tests.unit.systems import Delivery, Systems
from tests.unit.world import World

# One name, as it is written by one and looked for by another.
WRITTEN_ALIKE = {
    "case": ("LOVELACE", "lovelace"),
    "accents": ("Zoë Müller", "zoe muller"),
    "accents, composed or not": ("Nguyễn", "Nguye\u0302\u0303n"),
    "a letter for two": ("Weiß", "WEISS"),
    "a capital with a dot": ("İpek", "ipek"),
    "hyphens": ("Anne-Marie", "Marie Anne"),
    "hyphens of another kind": ("Anne\u2011Marie", "anne marie"),
    "a hyphen that cannot be seen": ("Love\u00adlace", "Lovelace"),
    "apostrophes": ("O'Brien", "O\u2019Brien"),
    "underlines": ("ada_maria", "Ada Maria"),
    "ligatures": ("\ufb01eld", "Field"),
    "signs with capitals within": ("\u2121", "tel"),
    "letters of mathematics": ("\U0001d400da", "Ada"),
    "wide letters": ("\uff21\uff44\uff41", "ada"),
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
    systems.hears(a_patient(), a_stay(), a_patient("grace", name=[{"family": "Hopper"}], birthDate="1906-12-09"))

    for term in (lookup.numbered("4711"), lookup.named("ada"), lookup.born("1815-12-10"), lookup.on("ICU-2")):
        assert "ada" in found(systems, term)
    assert found(systems, lookup.named("hopper")) == found(systems, lookup.born("1906-12-09")) == {"grace"}


def test_a_patient_is_found_by_every_word_of_every_name(systems: Systems) -> None:
    maiden = {"use": "maiden", "family": "Byron", "given": ["Augusta", "Ada"]}
    in_one_text = {"text": "Countess of Lovelace"}
    systems.hears(a_patient(name=[{"family": "King-Noel", "given": ["Ada"]}, maiden, in_one_text]))

    for word in ("king", "noel", "ada", "byron", "augusta", "countess", "of", "lovelace"):
        assert found(systems, lookup.named(word)) == {"ada"}


@pytest.mark.parametrize(("written", "sought"), WRITTEN_ALIKE.values(), ids=WRITTEN_ALIKE)
def test_a_name_is_found_however_it_is_written(systems: Systems, written: str, sought: str) -> None:
    systems.hears(a_patient(name=[{"family": written}]))

    assert found(systems, *(lookup.named(word) for word in lookup.words(sought))) == {"ada"}


@pytest.mark.parametrize("name", ["राम", "शर्मा", "สมชาย", "李小龍", "Łucja", "محمد", "தமிழ்"])
def test_a_name_stays_one_word_in_every_script(name: str) -> None:
    (word,) = lookup.words(name)

    assert lookup.words(word) == [word]


@pytest.mark.parametrize("name", ["", " ", "-", "…", "_"])
def test_a_name_without_letters_has_no_words(name: str) -> None:
    assert lookup.words(name) == []


def test_a_name_of_which_a_part_is_only_an_extension_is_found_by_the_others(systems: Systems) -> None:
    systems.hears(a_patient(name=[{"given": [None, "Ada"]}]))

    assert found(systems, lookup.named("ada")) == {"ada"}


# Guards: the record decides, not the hint.
def test_a_patient_is_no_longer_found_by_what_they_are_no_longer_called(systems: Systems) -> None:
    systems.hears(a_patient(), a_stay(), a_patient(revision=2, name=[{"family": "King"}], identifier=None))

    assert "name:lovelace" in systems.terms()
    assert found(systems, lookup.named("lovelace")) == found(systems, lookup.numbered("4711")) == set()
    assert found(systems, lookup.named("king")) == {"ada"}

    systems.hears(a_stay(revision=2, status="finished"))

    assert found(systems, lookup.on("ICU-2")) == set()


def test_what_an_overtaken_update_says_leads_nobody_astray(systems: Systems) -> None:
    newer, older = systems.records(
        a_patient(revision=2, name=[{"family": "King"}]), a_patient(birthDate="1815-01-01", deceasedBoolean=True)
    )

    systems.delivers(*systems.deliveries(newer), *systems.deliveries(older))

    assert found(systems, lookup.named("lovelace")) == found(systems, lookup.born("1815-01-01")) == set()
    assert found(systems, lookup.named("king"), lookup.born("1815-12-10")) == {"ada"}


def test_a_patient_without_a_number_is_found_by_the_rest(systems: Systems) -> None:
    systems.hears(a_patient(identifier=None), a_patient("unknown", identifier=None, name=None, birthDate=None))

    assert found(systems, lookup.named("lovelace"), lookup.born("1815-12-10")) == {"ada"}
    assert systems.row(Indexed, "unknown").numbers == {}
    assert systems.terms("unknown") == []
    assert systems.shared() == []


def test_a_number_that_is_only_a_system_is_none(systems: Systems) -> None:
    systems.hears(a_patient(identifier=[{"system": MRN}]), a_patient("grace", identifier=[{"system": MRN}]))

    assert systems.row(Indexed).numbers == {}
    assert systems.shared() == []


@pytest.mark.parametrize("order", [("ada", "grace"), ("grace", "ada")], ids=str)
def test_two_patients_with_one_number_are_told_of_by_the_later_of_them(
    systems: Systems, order: tuple[str, str]
) -> None:
    systems.hears(*map(a_patient, order))

    assert systems.shared() == [told(order[1], order[0])]


def test_it_is_told_once_however_often_they_are_updated(systems: Systems) -> None:
    systems.hears(a_patient(), a_patient("grace"), a_patient(revision=2, gender="other"), a_patient("grace", 2))

    assert systems.shared() == [told("grace", "ada")]


def test_a_third_one_is_told_of_with_both_others(systems: Systems) -> None:
    systems.hears(a_patient(), a_patient("grace"), a_patient("hedy"))

    assert systems.shared()[1:] == [told("hedy", "ada", "grace")]


def test_one_number_of_two_systems_is_two_numbers(systems: Systems) -> None:
    systems.hears(
        a_patient(identifier=[{"system": MRN, "value": "4711"}]),
        a_patient("grace", identifier=[{"system": "https://insurance.example", "value": "4711"}]),
        a_patient("hedy", identifier=[{"value": "4711"}]),
    )

    assert systems.shared() == []


def test_a_number_that_somebody_had_is_free_for_another(systems: Systems) -> None:
    systems.hears(a_patient(), a_patient(revision=2, identifier=None), a_patient("grace"))

    assert systems.shared() == []


# Guards: a number counts as given whenever the record did not have it, whatever hints there are.
def test_a_number_that_somebody_gets_back_is_told_of_if_another_has_it_by_now(systems: Systems) -> None:
    systems.hears(a_patient(), a_patient(revision=2, identifier=None), a_patient("grace"))

    systems.hears(a_patient(revision=3))

    assert systems.shared() == [told("ada", "grace")]


def test_a_number_of_an_overtaken_update_is_told_of_once_the_patient_really_gets_it(systems: Systems) -> None:
    newer, older = systems.records(a_patient(revision=2, identifier=None), a_patient(deceasedBoolean=True))
    systems.delivers(*systems.deliveries(newer), *systems.deliveries(older))
    systems.hears(a_patient("grace"))
    assert systems.shared() == []

    systems.hears(a_patient(revision=3))

    assert systems.shared() == [told("ada", "grace")]


# Guards: the condition on which the number's row is written.
@pytest.mark.parametrize("had", [(), ("ada",), ("grace",), ("ada", "grace")], ids=lambda had: f"had by {had}")
def test_two_who_are_given_a_number_at_once_are_told_of(systems: Systems, had: tuple[str, ...]) -> None:
    for patient in had:
        systems.hears(a_patient(patient), a_patient(patient, 2, identifier=None))
    ada, grace = (index(systems, a_patient(patient, 3)) for patient in ("ada", "grace"))

    faults.meanwhile("TransactWriteItems", lambda: systems.delivers(grace))
    systems.delivers(ada)

    assert systems.shared() == [told("ada", "grace")]


def test_two_records_of_one_person_may_have_one_number(systems: Systems) -> None:
    systems.hears(a_patient(), merged("augusta", "ada"), a_patient("augusta"))

    assert systems.shared() == []


def test_a_person_of_several_records_is_told_of_with_another_ones(systems: Systems) -> None:
    systems.hears(a_patient(), merged("augusta", "ada"), a_patient("augusta"), a_patient("grace"))

    assert systems.shared() == [told("grace", "ada", "augusta")]


def test_records_that_are_parted_are_told_to_share_what_both_have(systems: Systems) -> None:
    systems.hears(a_patient(), merged("augusta", "ada"), a_patient("augusta"))

    systems.hears(unmerged("augusta"))

    assert systems.shared() == [told("augusta", "ada")]


def test_a_record_that_is_given_up_for_another_than_before_is_told_to_share_with_the_first(systems: Systems) -> None:
    systems.hears(a_patient(), merged("augusta", "ada"), a_patient("augusta"), merged("augusta", "byron", revision=3))

    assert systems.shared() == [told("augusta", "ada")]


def test_whoever_comes_along_with_a_record_that_is_parted_is_told_of_too(systems: Systems) -> None:
    systems.hears(a_patient(), merged("augusta", "ada"), merged("byron", "augusta"), a_patient("byron"))

    systems.hears(unmerged("augusta"))

    assert systems.shared() == [told("byron", "ada")]


def test_records_that_share_nothing_are_parted_in_silence(systems: Systems) -> None:
    systems.hears(a_patient(), merged("augusta", "ada"), a_patient("augusta", identifier=None), unmerged("augusta"))

    assert systems.shared() == []


# Guards: the rows of a parted person's numbers are written.
@pytest.mark.parametrize("parted_first", [True, False], ids=["parted first", "given first"])
def test_a_number_that_is_given_while_its_holders_are_parted_is_told_of(
    systems: Systems, *, parted_first: bool
) -> None:
    systems.hears(merged("augusta", "byron"), merged("byron", "ada"), a_patient("augusta"))
    (parting,) = systems.records(unmerged("augusta"))
    (to_the_index, *_) = systems.deliveries(parting)
    both = [to_the_index, index(systems, a_patient("ada"))]

    faults.meanwhile("TransactWriteItems", lambda: systems.delivers(both[1 - parted_first]))
    systems.delivers(both[parted_first])

    assert systems.shared() == [told("ada", "augusta") if parted_first else told("augusta", "ada")]


def test_what_hundred_have_is_nobodys_number(systems: Systems) -> None:
    world = systems.world
    holders = tuple(f"p{number}" for number in range(99))
    number: dict[str, Any] = {"identifier": [{"system": MRN, "value": "0000"}]}
    facts = {"identifiers": {"value": number["identifier"], "revision": 1, "event": "e"}}
    world.put(*(Indexed.model_validate({"patient_id": each, "facts": facts}) for each in holders))
    world.put(Numbered(number=f"{MRN}|0000", patients=holders))

    systems.hears(a_patient("hundredth", **number))
    systems.hears(*(a_patient(each, **number) for each in ("ada", "grace")), a_patient("ada", 2, **number))

    assert [(each.patient_id, len(each.others)) for each in systems.shared()] == [("hundredth", 99)]
    numbered = world.row(Numbered, f"{MRN}|0000")
    assert numbered is not None
    assert len(numbered.patients) == 100
    assert found(systems, lookup.numbered("0000")) >= {"ada", "grace"}


# The most of everything that one update may say, in letters that take 4 bytes each.
MOST: dict[str, Any] = {
    "identifier": [
        {"system": "\U0001d54f" * 300, "value": f"{number:02}" + "\U0001d54f" * 198} for number in range(20)
    ],
    "name": [
        {"text": f"T{number} {'x' * 990}", "family": f"F{number}", "given": [f"G{number}x{each}" for each in range(20)]}
        for number in range(20)
    ],
}


def test_the_most_that_an_update_may_say_is_written_at_once(systems: Systems) -> None:
    written = faults.requests("TransactWriteItems")
    systems.hears(a_patient(**MOST), a_patient("grace", **MOST))

    assert len(systems.shared()) == 20
    assert 70 < max(len(each["TransactItems"]) for each in written) <= MAX_WRITES
    for identifier in MOST["identifier"]:
        assert found(systems, lookup.numbered(identifier["value"])) == {"ada", "grace"}
    assert found(systems, lookup.born("1815-12-10")) == {"ada", "grace"}


@pytest.mark.parametrize("letter", ["x", "Ж", "李", "\U00020000", "ﷺ"], ids=ascii)
def test_a_name_however_long_fits_into_the_key_that_leads_to_it(systems: Systems, letter: str) -> None:
    name, ward = letter * 1_000, letter * 980
    systems.hears(a_patient("x" * 64, name=[{"family": name}]), a_stay("x" * 64, ward=ward))

    assert found(systems, *(lookup.named(word) for word in lookup.words(name))) == {"x" * 64}
    assert found(systems, lookup.on(ward)) == {"x" * 64}
    for row in systems.world.items("patient-terms"):
        assert len(row["id"].encode()) <= 2048
        assert len(row["term"].encode()) <= 2048


def found(systems: Systems, *terms: str) -> set[str]:
    """The patients to whom hints lead, and whose record says so."""
    rows = systems.world.items("patient-terms")
    candidates = set.intersection(*({row["patient_id"] for row in rows if row["term"] == term} for term in terms))
    return {each for each in candidates if lookup.terms(systems.row(Indexed, each).said) >= set(terms)}


def told(patient: str, *others: str) -> SharedIdentifierFound:
    return SharedIdentifierFound(patient_id=patient, others=others, system=MRN)


def index(systems: Systems, event: Any) -> Delivery:
    """An event, recorded, on its way to the index alone."""
    (envelope,) = systems.records(event)
    return index_patient, envelope  # type: ignore[return-value]
