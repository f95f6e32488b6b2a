"""The contract of a patient's record."""

import json

import pytest

from daybook.contracts.contract import ContractBroken
from events.patients import PatientRecordUpdated


@pytest.mark.parametrize(
    ("resource", "reason"),
    [
        ({"resourceType": "a secret"}, "resource: resourceType must be one of Patient, "),
        ({"resourceType": "Patient", "birthDate": "a secret"}, "resource.birthDate: String should match"),
        ({"resourceType": "Patient", "name": [{"a secret": 1, "family": 1}]}, "resource.name.0.family: Input"),
        ("a secret", "resource: resourceType must be one of Patient, "),
    ],
)
def test_the_reason_for_a_part_of_no_known_kind_says_which_there_are_and_quotes_nothing(
    resource: object, reason: str
) -> None:
    with pytest.raises(ContractBroken) as broken:
        PatientRecordUpdated.read(json.dumps({**PatientRecordUpdated.example, "resource": resource}), version=1)

    assert f"PatientRecordUpdated: {reason}" in str(broken.value)
    assert "secret" not in str(broken.value)
