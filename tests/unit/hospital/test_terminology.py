"""A terminology server finds conflicts that codes alone do not show. Its answers are kept, and its outage is safe."""

from collections.abc import Iterator
from http import HTTPStatus

import pytest

from daybook.contracts.envelope import Envelope
from daybook.runtime.settings import option_variable, settings
from events.patients import TerminologyAnswered, TerminologyAsked
from functions.patients import ask_terminology
from functions.patients.pharmacy import save_terminology_answer
from functions.patients.terminology import TerminologyAnswer
from samples.hospital.terminology_server import TerminologyServer
from tests.unit.builders import from_the_bus
from tests.unit.hospital.records import RXNORM, SNOMED, a_patient, a_prescription, an_allergy, concept, merged
from tests.unit.hospital.systems import Systems
from tests.unit.world import World

NO_SYSTEM = "no common coding system"
PENICILLIN_ALLERGY, AMOXICILLIN_ALLERGY = concept("91936005", SNOMED), concept("294505008", SNOMED)
AMOXICILLIN_CAPSULE, IBUPROFEN_TABLET = concept("308182", RXNORM), concept("310965", RXNORM)


@pytest.fixture
def server() -> Iterator[TerminologyServer]:
    with TerminologyServer() as server:
        yield server


@pytest.fixture
def systems(world: World, server: TerminologyServer, monkeypatch: pytest.MonkeyPatch) -> Systems:
    monkeypatch.setenv(option_variable("terminology-server"), server.url)
    settings.cache_clear()
    return Systems(world)


def asked(systems: Systems) -> list[Envelope]:
    """The questions of all patients."""
    return [each for each in systems.world.recorded() if each.metadata.type == TerminologyAsked.contract.type]


def ask(systems: Systems) -> None:
    """Deliver all questions, and their answers. Those that were delivered before are duplicates."""
    for question in asked(systems):
        systems.world.deliver(ask_terminology.handler, from_the_bus(question))
    for answer in systems.world.recorded():
        if answer.metadata.type == TerminologyAnswered.contract.type:
            systems.deliver((save_terminology_answer, answer))  # type: ignore[arg-type]


def test_an_allergy_in_snomed_ct_conflicts_with_a_prescription_in_rxnorm(systems: Systems) -> None:
    systems.receives(an_allergy(code=PENICILLIN_ALLERGY), a_prescription(code=AMOXICILLIN_CAPSULE))
    assert systems.conflicts() == []

    ask(systems)

    assert systems.conflicts() == [("a1", "m1")]
    assert systems.unchecked() == []


def test_a_prescription_is_no_longer_unchecked_if_both_codes_have_atc_codes_of_different_groups(
    systems: Systems,
) -> None:
    systems.receives(an_allergy(code=PENICILLIN_ALLERGY), a_prescription(code=IBUPROFEN_TABLET))
    assert systems.unchecked() == [("m1", "ada/a1", NO_SYSTEM)]

    ask(systems)

    assert systems.conflicts() == []
    assert systems.unchecked() == []


def test_a_code_that_includes_the_prescribed_one_conflicts(systems: Systems) -> None:
    systems.receives(an_allergy(code=PENICILLIN_ALLERGY), a_prescription(code=AMOXICILLIN_ALLERGY))

    ask(systems)

    assert systems.conflicts() == [("a1", "m1")]


# A server that knows no relation has not said that there is none: a finding and a drug of SNOMED CT never include
# each other.
def test_a_code_that_the_server_does_not_know_stays_unchecked_and_is_not_asked_again(
    systems: Systems, server: TerminologyServer
) -> None:
    systems.receives(an_allergy(code=concept("1", SNOMED)), a_prescription(code=AMOXICILLIN_CAPSULE))
    ask(systems)
    before = len(asked(systems))

    systems.receives(a_patient(), a_prescription(revision=2, code=AMOXICILLIN_CAPSULE))
    ask(systems)

    assert systems.unchecked() == [("m1", "ada/a1", NO_SYSTEM)]
    assert len(asked(systems)) == before == len(server.requests)


def test_an_answer_counts_for_all_patients(systems: Systems, server: TerminologyServer) -> None:
    systems.receives(an_allergy(code=PENICILLIN_ALLERGY), a_prescription(code=AMOXICILLIN_CAPSULE))
    ask(systems)
    before = len(server.requests)

    systems.receives(
        an_allergy("augusta", code=PENICILLIN_ALLERGY), a_prescription("augusta", code=AMOXICILLIN_CAPSULE)
    )

    assert len(systems.conflicts()) == 2
    assert len(asked(systems)) == before == len(server.requests)


def test_an_old_answer_is_asked_for_again_while_the_prescription_is_unchecked(systems: Systems) -> None:
    systems.receives(an_allergy(code=PENICILLIN_ALLERGY), a_prescription(code=IBUPROFEN_TABLET))
    ask(systems)
    answer = systems.world.row(TerminologyAnswer, f"{SNOMED}|91936005")
    assert answer is not None
    systems.world.put(answer.evolve(atc=(), answered_at="2020-01-01T00:00:00.000Z"), version=100)
    before = len(asked(systems))

    systems.receives(a_patient())
    ask(systems)

    assert len(asked(systems)) == before + 1
    assert systems.unchecked() == []


def test_two_merged_records_are_compared_with_the_servers_answers(systems: Systems) -> None:
    systems.receives(an_allergy("ada", code=PENICILLIN_ALLERGY), a_prescription("augusta", code=AMOXICILLIN_CAPSULE))
    assert asked(systems) == []

    systems.receives(merged("augusta", "ada"))
    ask(systems)

    assert systems.conflicts() == [("a1", "m1")]


@pytest.mark.parametrize(
    "status", [HTTPStatus.INTERNAL_SERVER_ERROR, HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.UNAUTHORIZED]
)
def test_a_prescription_stays_unchecked_while_the_server_is_down_and_is_compared_after_that(
    systems: Systems, server: TerminologyServer, status: HTTPStatus
) -> None:
    systems.receives(an_allergy(code=PENICILLIN_ALLERGY), a_prescription(code=AMOXICILLIN_CAPSULE))
    server.status = status
    (first, *_) = asked(systems)
    assert systems.world.deliver(ask_terminology.handler, from_the_bus(first)) != []
    assert systems.unchecked() == [("m1", "ada/a1", NO_SYSTEM)]

    server.status = HTTPStatus.OK
    ask(systems)

    assert systems.conflicts() == [("a1", "m1")]
    assert systems.world.dead_letters() == []


def test_no_code_is_in_the_log_of_a_server_that_does_not_answer(
    systems: Systems, server: TerminologyServer, capsys: pytest.CaptureFixture[str]
) -> None:
    systems.receives(an_allergy(code=PENICILLIN_ALLERGY), a_prescription(code=AMOXICILLIN_CAPSULE))
    server.status = HTTPStatus.SERVICE_UNAVAILABLE

    for question in asked(systems):
        systems.world.deliver(ask_terminology.handler, from_the_bus(question))

    output = capsys.readouterr().out
    assert "terminology server" in output
    assert "91936005" not in output
    assert "308182" not in output


def test_nothing_is_asked_without_a_server(world: World) -> None:
    systems = Systems(world)

    systems.receives(an_allergy(code=PENICILLIN_ALLERGY), a_prescription(code=AMOXICILLIN_CAPSULE))

    assert asked(systems) == []
    assert systems.unchecked() == [("m1", "ada/a1", NO_SYSTEM)]


def test_nothing_is_asked_if_codes_can_be_compared_or_one_side_has_only_words(systems: Systems) -> None:
    systems.receives(an_allergy(), a_prescription(), a_prescription(key="m2", code={"text": "herbal tea"}))
    systems.receives(an_allergy("augusta", code={"text": "nuts"}), a_prescription("augusta", code=AMOXICILLIN_CAPSULE))

    assert asked(systems) == []
