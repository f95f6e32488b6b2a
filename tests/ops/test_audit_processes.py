"""`daybook audit check` in parallel processes, with DynamoDB in the memory of this one."""

import base64
import json
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest
from botocore.exceptions import ClientError

from daybook.contracts import clock
from daybook.operate.audit import check as checking
from daybook.operate.audit.findings import Difference, Summary
from daybook.operate.audit.plan import Plan, Scope, store_id
from daybook.operate.audit.state_file import StateFile
from daybook.testing.dynamodb import DynamoDB
from daybook.testing.keys import writer
from tests.ops.audited import PLACE, RESERVE, an_order, audited, change, deliveries, forget
from tests.ops.world import STAGE, World

_WRITERS = ("admit", "operations", RESERVE, PLACE, "charge-order")


@pytest.fixture
def answer(dynamodb: DynamoDB, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Let other processes call the DynamoDB of the stage, and unwrap keys. The list has the operations they called. If
    it begins with an error code, all calls get this error.
    """
    called: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            operation = self.headers["X-Amz-Target"].rpartition(".")[2]
            called.append(operation)
            expired = called[0] == "ExpiredTokenException"
            answer = {"__type": called[0]} if expired else self.answer(operation, request)
            body = json.dumps(answer).encode()
            self.send_response(400 if expired else 200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def answer(self, operation: str, request: Any) -> dict[str, Any]:
            if operation != "Decrypt":
                return dynamodb.answer(operation, request)
            plain = writer(request["EncryptionContext"]["consumer"]).key
            return {"KeyId": "k", "Plaintext": base64.b64encode(plain).decode()}

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
    yield called
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def stage(world: World, request: pytest.FixtureRequest) -> World:
    """A stage with differences, whose own clients do not use the server."""
    audited(world)
    for number in range(30):
        an_order(world, str(number), after=number)
    forget(world, an_order(world, "undelivered")[0], PLACE)
    _, second, _ = deliveries(world, 3)
    change(world, second, data={"S": "{}x"})
    for name in _WRITERS:
        row = {"writer": {"S": name}, "key": {"B": b"wrapped"}}
        world.connection.dynamodb.put_item(TableName=world.names.keys, Item=row)
    connection = world.connection
    _ = connection.keyring, connection.sqs, connection.lambda_, connection.eventbridge, connection.journal
    request.getfixturevalue("answer")
    return world


def a_plan(stage: World, scope: str) -> Plan:
    now = datetime.now(UTC)
    since, until = {"everything": (None, None), "period": (now - timedelta(minutes=90), now)}[scope]
    plan = Plan.of(stage.connection, Scope(since=since, until=until, settled=now))
    return replace(plan, store_segments=20, ledger_segments=20)


def run(
    stage: World, state: StateFile, processes: int, progress: Callable[[checking.Progress], None] = lambda _: None
) -> tuple[Summary, list[str]]:
    differences: list[Difference] = []
    summary = checking.check(stage.connection, state, report=differences.append, progress=progress, processes=processes)
    return summary, sorted(map(repr, differences))


SCOPES = pytest.mark.parametrize("scope", ["everything", "period"])


@SCOPES
def test_two_processes_find_what_one_finds(stage: World, answer: list[str], scope: str) -> None:
    plan = a_plan(stage, scope)
    with StateFile.new(plan) as state:
        expected, cells = run(stage, state, 1), state.emitted.cells
    assert answer == []
    assert {"chain", "undelivered"} <= expected[0].differences.keys()

    with StateFile.new(replace(plan, began=clock.now())) as state:
        assert run(stage, state, 2) == expected
        assert state.emitted.cells == cells
    assert {"BatchGetItem", "Decrypt", "Query" if scope == "period" else "Scan"} <= set(answer)
    assert multiprocessing.active_children() == []


@SCOPES
def test_a_check_that_is_interrupted_goes_on_with_another_number_of_processes(stage: World, scope: str) -> None:
    plan = a_plan(stage, scope)
    with StateFile.new(plan) as state:
        expected = run(stage, state, 1)

    def interrupt(progress: checking.Progress) -> None:
        if progress.done == 3:
            os.kill(os.getpid(), signal.SIGINT)

    with StateFile.new(replace(plan, began=clock.now())) as state, pytest.raises(KeyboardInterrupt):
        run(stage, state, 2, interrupt)
    assert multiprocessing.active_children() == []

    with StateFile.existing(state.path, STAGE, store_id(stage.connection)) as again:
        assert len(again.left(plan.phases[0])) < len(list(plan.parts(plan.phases[0])))
        assert run(stage, again, 1) == expected


def test_an_error_in_a_process_ends_the_check(stage: World, answer: list[str]) -> None:
    answer.append("ExpiredTokenException")

    with (
        StateFile.new(a_plan(stage, "everything")) as state,
        pytest.raises(ClientError, match="ExpiredTokenException"),
    ):
        run(stage, state, 2)

    assert multiprocessing.active_children() == []
    assert not state.path.exists()


def test_few_parts_start_no_process(stage: World, answer: list[str]) -> None:
    with StateFile.new(replace(a_plan(stage, "everything"), store_segments=4, ledger_segments=4)) as state:
        run(stage, state, 8)

    assert answer == []
