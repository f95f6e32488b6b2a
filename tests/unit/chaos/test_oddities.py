"""What the fuzz sends."""

from chaos.oddities import MARK, Door, generate, waits_for_newer_code

CONSUMERS = {
    "place-order": "OrderPlaced",
    "raise-alarm": "EquipmentStatusReported",
    "sync-billing": "PatientRecordUpdated",
}


def test_a_seed_makes_the_same_messages_each_time_and_another_others() -> None:
    first = generate(1, 300, CONSUMERS)

    assert generate(1, 300, CONSUMERS) == first
    assert generate(2, 300, CONSUMERS) != first


def test_there_are_messages_for_every_door_and_all_can_be_sent() -> None:
    made = generate(1, 1_000, CONSUMERS)

    assert len(made) == 1_000
    assert {odd.door for odd in made} == set(Door)
    assert all(0 < len(odd.body.encode()) <= 2**20 for odd in made)
    assert any(MARK in odd.body for odd in made)


def test_some_are_of_a_version_that_nobody_knows_yet() -> None:
    made = generate(1, 1_000, CONSUMERS)

    newer = [waits_for_newer_code(odd, CONSUMERS[odd.queue]) for odd in made if odd.queue in CONSUMERS]

    assert 0 < sum(key is not None for key in newer) < len(made) / 20
