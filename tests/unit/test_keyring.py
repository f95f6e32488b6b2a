"""A writer's key is created once, wrapped by KMS for this writer alone, and unwrapped once in each process."""

from collections.abc import Iterator

import pytest
from moto import mock_aws

from daybook.contracts.proof import Writer
from daybook.runtime import aws
from daybook.runtime.keyring import Keyring, KeyUnusable
from daybook.store.attributes import pack_item
from daybook.testing import tables
from daybook.testing.world import NAMES, environment
from tests.unit import faults


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A stage whose keys are wrapped by KMS."""
    for variable, value in environment({}).items():
        monkeypatch.setenv(variable, value)
    aws.client.cache_clear()
    with mock_aws():
        for table in tables.backbone_tables(NAMES):
            aws.client("dynamodb").create_table(**table)
        key = aws.client("kms").create_key()["KeyMetadata"]["KeyId"]
        aws.client("kms").create_alias(AliasName=NAMES.proofs_key, TargetKeyId=key)
        yield
    aws.client.cache_clear()


def a_process() -> Keyring:
    """The keyring of a new process."""
    return Keyring(NAMES, aws.client)


def put(writer: str, key: object) -> None:
    aws.client("dynamodb").put_item(TableName=NAMES.keys, Item=pack_item({"writer": writer, "key": key}))


def wrapped(writer: str) -> bytes:
    answer = aws.client("dynamodb").get_item(TableName=NAMES.keys, Key=pack_item({"writer": writer}))
    key: bytes = answer["Item"]["key"]["B"]
    return key


@pytest.mark.usefixtures("stage")
def test_a_key_is_created_at_first_use_and_is_the_same_in_all_processes() -> None:
    ours, theirs = a_process().writer("reserve-books"), a_process().writer("reserve-books")

    assert ours == theirs
    assert len(ours.key) == 32
    assert ours.key not in wrapped("reserve-books")
    assert a_process().writer("open-loan").key != ours.key
    assert a_process().find("reserve-books") == ours


@pytest.mark.usefixtures("stage")
def test_to_look_for_a_writer_creates_no_key() -> None:
    assert a_process().find("reserve-books") is None
    assert aws.client("dynamodb").scan(TableName=NAMES.keys)["Items"] == []


@pytest.mark.usefixtures("stage")
def test_two_processes_that_create_the_key_at_the_same_time_use_the_same_one() -> None:
    others: list[Writer] = []
    first = iter([None])

    def create_first(**_: object) -> None:
        others.extend(a_process().writer("reserve-books") for _ in first)

    aws.client("kms").meta.events.register("before-call.kms.GenerateDataKeyWithoutPlaintext", create_first)
    ours = a_process().writer("reserve-books")

    assert others == [ours]


@pytest.mark.usefixtures("stage")
def test_a_process_unwraps_a_key_once() -> None:
    a_process().writer("reserve-books")
    process, calls = a_process(), faults.requests("Decrypt")
    for _ in range(3):
        process.writer("reserve-books")

    assert len(calls) == 1


@pytest.mark.usefixtures("stage")
@pytest.mark.parametrize("key", ["damaged", "text", None], ids=str)
def test_a_row_that_is_not_a_wrapped_key_proves_nothing_and_is_not_replaced(key: object) -> None:
    a_process().writer("reserve-books")
    put("reserve-books", wrapped("reserve-books")[:-1] + b"?" if key == "damaged" else key)

    assert a_process().find("reserve-books") is None
    with pytest.raises(KeyUnusable, match="reserve-books"):
        a_process().writer("reserve-books")


@pytest.mark.usefixtures("stage")
def test_the_key_of_another_writer_in_a_writers_row_proves_nothing() -> None:
    # Guards: the writer's name in the encryption context.
    a_process().writer("open-loan")
    put("reserve-books", wrapped("open-loan"))

    assert a_process().find("reserve-books") is None


@pytest.mark.usefixtures("stage")
def test_an_error_of_kms_is_no_missing_key() -> None:
    # Otherwise publish would set aside valid events while KMS is down.
    a_process().writer("reserve-books")
    faults.always_answer("Decrypt", faults.DENIED)

    with pytest.raises(Exception, match="AccessDenied"):
        a_process().find("reserve-books")
