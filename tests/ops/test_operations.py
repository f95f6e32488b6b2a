"""What operators do is recorded with what it changes, or neither happens; and who did it."""

import getpass
import socket
from pathlib import Path
from typing import Any

import pytest
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders

from daybook.contracts.operations import DeadLettersDiscarded
from daybook.operate.connection import LOCAL, Connection
from daybook.operate.dead_letters.index import change, named
from daybook.operate.operation import Operation
from daybook.store.ledger import DISCARDED
from daybook.store.transaction import ConditionsFailed
from tests.ops.aws import answering
from tests.ops.world import World
from tests.unit.faults import CONFLICT


def an_act(operation: Operation) -> DeadLettersDiscarded:
    dead_letter = {"event": "e-1", "consumer": "confirm-order"}
    return DeadLettersDiscarded(**operation.about, reason="a test", dead_letters=(dead_letter,))


def discard(world: World, operation: Operation) -> None:
    dead_letter = named(world.connection, "e-1")
    row = change(world.connection, dead_letter, {"state": DISCARDED}, remove=("dead",))
    operation.commit(an_act(operation), {"ledger": row})


def test_an_operation_is_recorded_with_who_did_it_in_one_transaction_with_what_it_changes(world: World) -> None:
    world.died("e-1", "confirm-order")
    operation = Operation.begin(world.connection)
    transactions: list[Any] = []
    world.connection.dynamodb.meta.events.register(
        "before-call.dynamodb.TransactWriteItems", lambda **_: transactions.append(1)
    )

    discard(world, operation)

    (event,) = world.connection.store.stream(f"operation/{operation.id}")
    read = DeadLettersDiscarded.read(event.data, version=1)
    assert len(transactions) == 1
    assert (read.operation_id, read.operator) == (operation.id, operation.operator)
    assert (event.metadata.type, event.metadata.producer, event.source) == (
        "DeadLettersDiscarded",
        "daybook",
        "daybook.operations",
    )
    entry = world.connection.ledger.find("e-1", "confirm-order")
    assert entry is not None
    assert (entry.state, "dead" in entry.details) == (DISCARDED, False)


def test_an_operation_whose_condition_does_not_hold_leaves_no_record(world: World) -> None:
    world.died("e-1", "confirm-order", after=1)
    dead_letter = named(world.connection, "e-1")
    world.died("e-1", "confirm-order", after=2)
    operation = Operation.begin(world.connection)

    with pytest.raises(ConditionsFailed):
        operation.commit(an_act(operation), {"ledger": change(world.connection, dead_letter, {"state": DISCARDED})})

    assert list(world.connection.store.stream(f"operation/{operation.id}")) == []


def test_operations_of_one_operation_stand_in_one_stream_each_chained_to_the_one_before(world: World) -> None:
    operation = Operation.begin(world.connection)
    operation.commit(an_act(operation))
    Operation.resume(world.connection, operation.id).commit(an_act(operation))

    first, second = world.connection.store.stream(f"operation/{operation.id}")

    assert (first.metadata.sequence, second.metadata.sequence) == (1, 2)
    assert second.previous == first.hash


def test_two_operations_at_the_same_time_are_two_streams(world: World) -> None:
    assert Operation.begin(world.connection).id != Operation.begin(world.connection).id


def test_who_did_it_is_awss_word_and_on_this_machine_its_own(world: World, tmp_path: Path) -> None:
    assert Operation.begin(world.connection).operator.startswith("arn:aws:")
    with answering({}) as asked:
        local = Connection.to(LOCAL, environment={"AWS_ENDPOINT_URL": asked.endpoint}, folder=tmp_path)
        assert Operation.begin(local).operator == f"{getpass.getuser()}@{socket.gethostname()}"
        assert asked == []


def test_a_mere_conflict_with_others_is_retried(world: World) -> None:
    status, content = CONFLICT
    waiting = iter([content])

    def conflict(params: Any, **_: Any) -> Any:
        for each in waiting:
            return AWSResponse(params["url"], status, HTTPHeaders(), None), each
        return None

    world.connection.dynamodb.meta.events.register("before-call.dynamodb.TransactWriteItems", conflict)
    operation = Operation.begin(world.connection)
    operation.commit(an_act(operation))

    assert len(list(world.connection.store.stream(f"operation/{operation.id}"))) == 1
