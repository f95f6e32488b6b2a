"""Operations are recorded with the operator, in one transaction with their changes."""

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


def an_event(operation: Operation) -> DeadLettersDiscarded:
    dead_letter = {"event": "e-1", "consumer": "confirm-order"}
    return DeadLettersDiscarded(**operation.about, reason="a test", dead_letters=(dead_letter,))


def discard(world: World, operation: Operation) -> None:
    dead_letter = named(world.connection, "e-1")
    row = change(world.connection, dead_letter, {"state": DISCARDED}, remove=("dead",))
    operation.commit(an_event(operation), {"ledger": row})


def test_an_operation_is_recorded_with_the_operator_in_one_transaction_with_its_changes(world: World) -> None:
    world.died("e-1", "confirm-order")
    operation = Operation.start(world.connection)
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
    operation = Operation.start(world.connection)

    with pytest.raises(ConditionsFailed):
        operation.commit(an_event(operation), {"ledger": change(world.connection, dead_letter, {"state": DISCARDED})})

    assert list(world.connection.store.stream(f"operation/{operation.id}")) == []


def test_events_of_one_operation_are_chained_in_one_stream(world: World) -> None:
    operation = Operation.start(world.connection)
    operation.commit(an_event(operation))
    Operation.resume(world.connection, operation.id).commit(an_event(operation))

    first, second = world.connection.store.stream(f"operation/{operation.id}")

    assert (first.metadata.sequence, second.metadata.sequence) == (1, 2)
    assert second.previous == first.hash


def test_two_operations_have_two_streams(world: World) -> None:
    assert Operation.start(world.connection).id != Operation.start(world.connection).id


def test_the_operator_is_the_arn_and_on_a_local_run_the_user_of_the_machine(world: World, tmp_path: Path) -> None:
    assert Operation.start(world.connection).operator.startswith("arn:aws:")
    with answering({}) as calls:
        local = Connection.to(LOCAL, environment={"AWS_ENDPOINT_URL": calls.endpoint}, folder=tmp_path)
        assert Operation.start(local).operator == f"{getpass.getuser()}@{socket.gethostname()}"
        assert calls == []


def test_a_conflict_with_another_transaction_is_retried(world: World) -> None:
    status, content = CONFLICT
    waiting = iter([content])

    def conflict(params: Any, **_: Any) -> Any:
        for each in waiting:
            return AWSResponse(params["url"], status, HTTPHeaders(), None), each
        return None

    world.connection.dynamodb.meta.events.register("before-call.dynamodb.TransactWriteItems", conflict)
    operation = Operation.start(world.connection)
    operation.commit(an_event(operation))

    assert len(list(world.connection.store.stream(f"operation/{operation.id}"))) == 1
