"""A check that was interrupted goes on, and finds what it would have found: at whatever moment it was interrupted."""

import os
import shlex
import shutil
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from daybook.operate import processes
from daybook.operate.audit import check as checking
from daybook.operate.audit.findings import Difference, Findings, Summary
from daybook.operate.audit.plan import Plan, Scope, store_id
from daybook.operate.audit.sketch import Cell
from daybook.operate.audit.state_file import InUse, NotACheck, StateFile, unfinished
from daybook.operate.connection import Connection
from daybook.operate.program import app
from daybook.runtime.names import Names
from daybook.testing.dynamodb import DynamoDB
from daybook.testing.dynamodb.errors import ServiceError
from tests.ops.audited import (
    PLACE,
    RESERVE,
    an_order,
    audited,
    change,
    check,
    deliveries,
    differences_in,
    forget,
    found,
    remove,
    resealed,
)
from tests.ops.killed_commands import Moment
from tests.ops.world import STAGE, World
from tests.unit.faults import Death, die_at_call

_MANY = 20_000  # pages

# What a check has found: its counts, its differences, and the sketch of emitted events.
Result = tuple[Summary, list[str], dict[int, Cell]]


@pytest.fixture
def stage(world: World) -> World:
    return audited(world)


@pytest.fixture
def damaged(stage: World) -> World:
    """A stage with differences of all kinds, in several parts of the tables and hours of the journal."""
    for number in range(6):
        an_order(stage, f"{number}", after=-number * 600_000)
    change(stage, resealed(an_order(stage, "twice")[1], stream="reservation/copy"))
    placed = stage.recorded("OrderPlaced", "order/none")
    lacking = stage.recorded("OutOfStock", "reservation/none", cause=placed, producer=RESERVE)
    stage.handled(placed, RESERVE, lacking)
    remove(stage, lacking)
    forget(stage, an_order(stage, "undelivered")[0], PLACE)
    stage.recorded("OrderPlaced", "order/unpublished")
    _, second, third, _ = deliveries(stage, 4)
    remove(stage, second)
    change(stage, third, data={"S": "{}x"})
    return stage


def scopes() -> dict[str, Scope]:
    now = datetime.now(UTC)
    since = now - timedelta(minutes=85)
    return {
        "everything": Scope(since=None, until=None, settled=now),
        "period": Scope(since=since, until=now - timedelta(minutes=5), settled=now),
    }


SCOPES = pytest.mark.parametrize("scope", ["everything", "period"])


def run(connection: Connection, state: StateFile, progress: Callable[[object], None] = lambda _: None) -> Result:
    differences: list[Difference] = []
    summary = checking.check(connection, state, report=differences.append, progress=progress)
    return summary, sorted(map(repr, differences)), state.emitted.cells


def at_once(connection: Connection, scope: Scope) -> Result:
    with StateFile.new(Plan.of(connection, scope)) as state:
        result = run(connection, state)
        state.delete()
    return result


def resumed(connection: Connection, path: Path) -> Result:
    with StateFile.existing(path, STAGE, store_id(connection)) as state:
        result = run(connection, state)
        state.delete()
    return result


# --- the same result ------------------------------------------------------------------------------------------------


@SCOPES
def test_a_check_that_is_interrupted_after_each_part_finds_the_same(damaged: World, scope: str) -> None:
    connection, chosen = damaged.connection, scopes()[scope]
    expected = at_once(connection, chosen)
    assert {"chain", "ledger", "undelivered", "unpublished"} <= expected[0].differences.keys()

    with StateFile.new(Plan.of(connection, chosen)) as state:
        interruptions = int(after_one_part(state, connection) is None)
    while True:
        with StateFile.existing(state.path, STAGE, store_id(connection)) as again:
            result = after_one_part(again, connection)
        if result:
            break
        interruptions += 1

    assert interruptions > 8
    assert result == expected


def after_one_part(state: StateFile, connection: Connection) -> Result | None:
    """Interrupt the check after its next part; returns the result if there is no more part."""
    before = parts_of(state)

    def interrupt(_: object) -> None:
        if parts_of(state) > before:
            raise KeyboardInterrupt

    try:
        return run(connection, state, interrupt)
    except KeyboardInterrupt:
        return None


def parts_of(state: StateFile) -> int:
    """The number of parts that are done."""
    plan = state.plan
    phases = (*plan.phases, *plan.searches)
    return sum(len([*plan.parts(phase)]) - len(state.left(phase)) for phase in phases)


@pytest.mark.parametrize(
    ("scope", "call"), [("everything", "Scan"), ("everything", "BatchGetItem"), ("period", "Query")]
)
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_check_that_is_killed_at_a_call_finds_the_same(
    damaged: World, scope: str, call: str, *, after: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    one_thread(monkeypatch)
    chosen = scopes()[scope]

    assert finds_the_same_though_killed(damaged, chosen, at_once(damaged.connection, chosen), (call, after))


def one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let calls be in the same order each time."""
    monkeypatch.setattr(processes, "_THREADS", 1)


def finds_the_same_though_killed(stage: World, scope: Scope, expected: Result, moment: Moment) -> bool:
    """Kill the check at this call of DynamoDB, and continue it. Returns whether it was killed."""
    connection = Connection(STAGE)
    _ = connection.keyring
    die_at_call(moment[0], after=moment[1], clients=[connection.dynamodb])
    path = None
    try:
        with StateFile.new(Plan.of(connection, scope)) as state:
            path = state.path
            result = run(connection, state)
            state.delete()
    except Death:
        # The file is there if a part was done.
        result = resumed(stage.connection, path) if path and path.exists() else expected
        assert result == expected
        return True
    assert result == expected
    return False


@pytest.mark.usefixtures("damaged")
def test_after_an_error_the_printed_command_goes_on_and_prints_all_differences(
    dynamodb: DynamoDB, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = found()
    assert len(expected) > 5
    expired = ["ExpiredTokenException"]

    def expire() -> None:
        for code in expired:
            raise ServiceError(code, "The security token included in the request is expired")

    at_the_ledger(expire, dynamodb, monkeypatch)

    first = check("--json")

    assert first.exit_code == 2
    assert "the AWS credentials have expired; sign in again" in first.stderr
    assert "Stopped at the ledger" in first.stderr
    expired.clear()
    assert found_by(first.stderr) == expected
    assert unfinished(STAGE) == []


def found_by(stderr: str) -> list[tuple[str, str, str]]:
    """The differences that the command finds that a check has printed on standard error."""
    line = stderr.partition("To continue: ")[2].partition("\n")[0].partition("; otherwise")[0]
    result = CliRunner().invoke(app, [*shlex.split(line)[1:], "--json", "--processes", "1"])
    assert result.exit_code == 1, result.output
    return differences_in(result.stdout)


def at_the_ledger(act: Callable[[], None], dynamodb: DynamoDB, monkeypatch: pytest.MonkeyPatch) -> None:
    """Call `act` before each scan of the ledger."""
    answer = dynamodb.answer

    def act_and_answer(operation: str, request: Any) -> Any:
        if operation == "Scan" and request["TableName"] == Names(STAGE).ledger:
            act()
        return answer(operation, request)

    monkeypatch.setattr(dynamodb, "answer", act_and_answer)


@pytest.mark.usefixtures("damaged")
def test_ctrl_c_stops_the_check_and_the_next_one_names_the_command_that_goes_on(
    dynamodb: DynamoDB, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = found()
    presses = iter([signal.SIGINT])

    def press_ctrl_c() -> None:
        for press in presses:
            os.kill(os.getpid(), press)

    at_the_ledger(press_ctrl_c, dynamodb, monkeypatch)

    first, second = check("--json"), check("--json")

    assert first.exit_code == 130
    assert "Stopped at the ledger" in first.stderr
    assert "A check is not complete" in second.stderr
    assert found_by(second.stderr) == expected


@pytest.mark.usefixtures("damaged")
def test_ctrl_c_ends_a_check_in_the_middle_of_a_part(dynamodb: DynamoDB, monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards: `_in_steps` raises Stopped."""
    presses, pages = iter([signal.SIGINT]), count(1)

    def answer(operation: str, request: Any) -> Any:
        answered = DynamoDB.answer(dynamodb, operation, request)
        if operation == "Scan" and next(pages) < _MANY:  # as if the segment went on for ever
            answered["LastEvaluatedKey"] = {"stream": {"S": "order/0"}, "sequence": {"N": "0"}}
            for press in presses:
                os.kill(os.getpid(), press)
        return answered

    monkeypatch.setattr(dynamodb, "answer", answer)

    assert check().exit_code == 130
    assert next(pages) < _MANY


@pytest.mark.usefixtures("damaged")
def test_before_anything_is_checked_nothing_is_kept(dynamodb: DynamoDB, monkeypatch: pytest.MonkeyPatch) -> None:
    def deny(operation: str, request: Any) -> Any:
        if operation == "Scan":
            raise ServiceError("AccessDeniedException", "no")
        return DynamoDB.answer(dynamodb, operation, request)

    monkeypatch.setattr(dynamodb, "answer", deny)

    result = check()

    assert result.exit_code == 2
    assert "nothing is checked yet" in result.stderr
    assert unfinished(STAGE) == []


# --- the file -------------------------------------------------------------------------------------------------------


@pytest.fixture
def state(stage: World) -> Iterator[StateFile]:
    with StateFile.new(Plan.of(stage.connection, scopes()["everything"])) as opened:
        yield opened


def a_finding(**fields: Any) -> Findings:
    found_ = Findings(differences=[Difference(kind="chain", text="…", **fields)], missing=["e-1"])
    found_.count("events", 3)
    found_.emitted.add(["e-1", "e-2"])
    return found_


def again(stage: World, path: Path) -> AbstractContextManager[StateFile]:
    return StateFile.existing(path, STAGE, store_id(stage.connection))


def test_what_is_saved_is_there_after_a_crash(stage: World, state: StateFile, tmp_path: Path) -> None:
    first, second, *_ = state.left("store")
    state.save(first, a_finding())
    state.save(second, a_finding())
    crashed = tmp_path / "crashed"
    shutil.copytree(state.path.parent, crashed)

    with again(stage, crashed / state.path.name) as after:
        assert after.plan == state.plan
        assert after.summary == state.summary == Summary(Counter(events=6), Counter(chain=2))
        assert after.emitted.cells == state.emitted.cells
        assert len(list(after.differences())) == 2
        assert after.missing() == {"e-1"}
        assert len(after.left("store")) == len(list(after.plan.parts("store"))) - 2


def test_a_part_whose_findings_were_not_all_written_is_not_done(stage: World, state: StateFile, tmp_path: Path) -> None:
    """Guards: the transaction in `StateFile.save`."""
    first, second, *_ = state.left("store")
    state.save(first, a_finding())
    with pytest.raises(TypeError):
        state.save(second, a_finding(sequence=object()))
    crashed = tmp_path / "crashed"
    shutil.copytree(state.path.parent, crashed)

    with again(stage, crashed / state.path.name) as after:
        assert second in after.left("store")
        assert after.summary.counts == {"events": 3}


def test_only_one_process_continues_a_check(stage: World, state: StateFile) -> None:
    with pytest.raises(InUse, match="does another process continue this check"), again(stage, state.path):
        pass


def test_the_file_is_only_for_its_owner(state: StateFile) -> None:
    assert state.path.stat().st_mode & 0o077 == 0
    assert state.path.parent.stat().st_mode & 0o077 == 0


def test_a_check_of_another_table_is_not_continued(stage: World, state: StateFile) -> None:
    state.save(state.left("store")[0], a_finding())
    folder = shutil.copytree(state.path.parent, state.path.parent.with_name("copy"))

    for other_stage, other_id in (("prod", store_id(stage.connection)), (STAGE, "another table")):
        with (
            pytest.raises(NotACheck, match="check --stage"),
            StateFile.existing(folder / state.path.name, other_stage, other_id),
        ):
            pass


@pytest.mark.parametrize("content", [b"", b"no database", None])
@pytest.mark.usefixtures("stage")
def test_a_file_that_is_no_check_is_refused(content: bytes | None, tmp_path: Path) -> None:
    file = tmp_path / "x.db"
    if content is not None:
        file.write_bytes(content)

    result = CliRunner().invoke(app, ["audit", "check", "--resume", str(file)])

    assert result.exit_code == 2
    assert str(file) in result.stderr
    assert "Traceback" not in result.output


@pytest.mark.usefixtures("stage")
def test_a_folder_that_cannot_be_written_is_reported(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))

    result = check()

    assert result.exit_code == 2
    assert "set XDG_STATE_HOME to a folder that you may write to" in result.stderr


@pytest.mark.usefixtures("stage")
def test_a_check_is_continued_with_its_own_period() -> None:
    result = check("--resume", "x.db", "--since", "2h")

    assert result.exit_code == 2
    assert "--resume continues with the period of that check" in result.stderr


def test_the_segments_of_a_table_grow_in_number_with_its_items(
    stage: World, dynamodb: DynamoDB, monkeypatch: pytest.MonkeyPatch
) -> None:
    def plan_of(items: int) -> Plan:
        described = {"Table": {"TableId": "t", "ItemCount": items}}
        monkeypatch.setattr(dynamodb, "answer", lambda *_: described)
        return Plan.of(stage.connection, scopes()["everything"])

    assert [plan_of(items).store_segments for items in (0, 39_999, 100_000_000, 10**12)] == [4, 4, 10_000, 1_000_000]
