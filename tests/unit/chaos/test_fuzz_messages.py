"""The messages of the fuzz test."""

from chaos.fuzz_messages import MARKER, EntryPoint, generate

CONSUMERS = {
    "place-order": "OrderPlaced",
    "raise-alarm": "EquipmentStatusReported",
    "sync-billing": "PatientRecordUpdated",
}


def test_messages_depend_on_the_seed_only() -> None:
    first = generate(1, 300, CONSUMERS)

    assert generate(1, 300, CONSUMERS) == first
    assert generate(2, 300, CONSUMERS) != first


def test_there_are_messages_for_every_entry_point_and_all_can_be_sent() -> None:
    made = generate(1, 1_000, CONSUMERS)

    assert len(made) == 1_000
    assert {odd.entry_point for odd in made} == set(EntryPoint)
    assert all(0 < len(odd.body.encode()) <= 2**20 for odd in made)
    assert any(MARKER in odd.body for odd in made)
