"""A rebuild counts each event once, whenever it is handled. Readers always see one complete generation."""

import io
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import pytest
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from daybook.consumers.consumer import backbone
from daybook.consumers.generations import Generations, LiveView, row_id, row_key
from daybook.consumers.pipeline import Pipeline
from daybook.consumers.view import PROJECT, Add, Change, Projection, ReservedKey, SetIfNewer, row_changes, view
from daybook.contracts.envelope import Envelope
from daybook.contracts.operations import RebuildAbandoned
from daybook.operate.connection import LOCAL, Connection
from daybook.operate.consumers import Consumer
from daybook.operate.operation import Operation
from daybook.operate.tables import PlainTable, generations
from daybook.operate.views import rebuild as rebuilding
from daybook.operate.views.rebuild import NoRebuildInProgress, RebuildInProgress, RebuildReplaced, abandon, rebuild
from daybook.operate.views.verify import verify
from daybook.operate.views.views import EventMissing, Fold, ProjectionFailed
from daybook.operate.views.views import View as DeployedView
from daybook.store.transaction import TooManyWrites
from daybook.testing.world import NAMES, Context, World
from tests.application.builders import Message, from_the_bus, received_books, recorded
from tests.application.contracts.books import BooksReceived
from tests.unit.contracts import Tally

T = TypeVar("T")
R = TypeVar("R")
TABLE = NAMES.of("tallies")


def long_ago() -> datetime:
    return datetime.now(UTC) - timedelta(minutes=10)


@view(BooksReceived)
def keeper(stock: BooksReceived) -> list[Change]:
    """Sums the copies, and keeps the largest number of copies."""
    return [
        Add(Tally, "a", {"total": stock.copies, "number": 1}),
        SetIfNewer(Tally, "a", order=stock.copies, fields={"left": str(stock.copies)}),
        Add(Tally, f"of-{stock.isbn}", {"total": stock.copies}),
    ]


class ConnectionInMemory(Connection):
    """An operator's connection to the stage in memory: its indexes do not lag, and functions run in this process."""

    @property
    def stage(self) -> str:
        return LOCAL

    def each(self, function: Callable[[T], R], items: Iterable[T]) -> list[R]:
        return [function(item) for item in items]  # moto's transactions are not atomic between threads

    def client(self, service: str, **options: Any) -> Any:
        client = super().client(service, **options)
        if service == "lambda":
            client.meta.events.register("before-call.lambda.Invoke", _invoke)
        return client


def _invoke(params: dict[str, Any], **_: Any) -> tuple[AWSResponse, dict[str, Any]]:
    answer = keeper(json.loads(params["body"]), Context())
    return AWSResponse("", 200, HTTPHeaders(), None), {
        "Payload": io.BytesIO(json.dumps(answer).encode()),
        "StatusCode": 200,
    }


@dataclass
class Stage:
    """A view, its function, and the events that it handles."""

    world: World
    connection: Connection = field(default_factory=lambda: ConnectionInMemory(NAMES.stage))
    _number: int = 0

    @property
    def view(self) -> DeployedView:
        consumer = Consumer(
            name=keeper.name, kind="view", event="BooksReceived", emits=(), timeout=10, tables={"tallies": TABLE}
        )
        return DeployedView(self.connection, "tallies", TABLE, {keeper.name: consumer})

    def recorded(self, copies: int) -> Envelope:
        """A new event in the store, which its function has not received yet."""
        self._number += 1
        envelope = recorded(received_books(isbn=f"isbn-{self._number}", copies=copies), id=f"event-{self._number}")
        self.world.append(envelope)
        return envelope

    def handles(self, *events: Envelope) -> None:
        """The function handles each event in its own invocation."""
        for event in events:
            assert self.world.deliver(keeper, from_the_bus(event)) == []

    def came(self, *quantities: int) -> None:
        """Record events and handle them."""
        self.handles(*(self.recorded(copies) for copies in quantities))

    def begins(self) -> Callable[[Envelope], None]:
        """Begin an invocation that has read the generations. Returns a function that handles an event in it, later."""
        run = Pipeline(keeper, backbone().store, backbone().ledger, Context(seconds=3600))
        seen = generations(self.connection, TABLE)

        def handle(event: Envelope) -> None:
            keeper._generations = {"tallies": seen}  # noqa: SLF001 - as in an invocation that began earlier
            run.handle_batch([Message(from_the_bus(event)).record()])

        return handle

    def live(self) -> dict[str, dict[str, Any]]:
        """The rows that readers see."""
        return {row["id"]: row for row in PlainTable(self.connection, TABLE).live().scan()}

    def expected(self, *quantities: int) -> tuple[int, int, str]:
        """Sum, number and largest value, computed without events."""
        return sum(quantities), len(quantities), str(max(quantities))

    def shown(self) -> tuple[int, int, str]:
        """The same values, as readers see them."""
        row = LiveView(self.connection.dynamodb, TABLE).row(Tally, "a") or Tally(name="a")
        return row.total, row.number, row.left

    def rebuilds(self, *, while_waiting: Sequence[Callable[[], object]] = (), at_each_step: Any = None) -> Any:
        """Rebuild the view. Each wait runs the next function of `while_waiting`."""
        actions = iter(while_waiting)

        def wait(_: float) -> None:
            next(actions, lambda: None)()

        return rebuild(self.view, long_ago(), pause=wait, progress=at_each_step or (lambda _: None))

    def operations(self) -> list[str]:
        """The types of the events that record operations."""
        return [e.metadata.type for e in self.world.recorded() if e.metadata.stream.startswith("operation/")]


@pytest.fixture
def stage(world: World) -> Stage:
    return Stage(world)


def test_a_rebuild_without_changes_gives_the_same_rows_and_deletes_the_old_ones(stage: Stage) -> None:
    stage.came(5, 7, 2)
    before = stage.live()

    done = stage.rebuilds()

    assert stage.live() == before
    assert (done.generation, done.events, done.deleted) == (1, 3, len(before))
    assert {item["id"] for item in stage.world.items("tallies")} == {f"@1/{key}" for key in before} | {"@generation"}
    assert stage.operations() == ["RebuildStarted", "ViewRebuilt"]


def test_a_rebuild_restores_rows_that_were_deleted_or_changed_by_hand(stage: Stage) -> None:
    stage.came(5, 7, 2)
    before = stage.live()
    stage.world.client.delete_item(TableName=TABLE, Key={"id": {"S": "of-isbn-1"}})
    stage.world.put(Tally(name="a", total=999))

    stage.rebuilds()

    assert stage.live() == before


def test_an_event_of_an_invocation_that_began_before_the_rebuild_counts_once(stage: Stage) -> None:
    stage.came(5)
    handle, late = stage.begins(), stage.recorded(9)

    stage.rebuilds(while_waiting=[lambda: handle(late)])

    assert stage.shown() == stage.expected(5, 9)


def test_an_event_that_is_handled_during_the_rebuild_counts_once_in_both_generations(stage: Stage) -> None:
    stage.came(5)
    waiting = stage.recorded(9)
    seen: list[tuple[int, int, str]] = []

    def step(_: str) -> None:
        if len(seen) < 2:  # once before the events of the past are folded, and once after
            stage.came(1)
        seen.append(stage.shown())

    stage.rebuilds(while_waiting=[lambda: stage.handles(waiting)], at_each_step=step)

    assert stage.shown() == stage.expected(5, 9, 1, 1)
    assert seen[0] == stage.expected(5, 1), "readers see the old view, which is up to date"


def test_an_event_that_was_dead_during_the_rebuild_and_is_handled_later_counts_once(stage: Stage) -> None:
    stage.came(5)
    dead = stage.recorded(9)

    stage.rebuilds()
    stage.handles(dead)

    assert stage.shown() == stage.expected(5, 9)


# The moments at which an event is handled: before the rebuild; while the rebuild waits for an older invocation; before
# and after the events of the past are folded; after the switch, in an older invocation; after the rebuild.
BEFORE, WAITING, EARLY, LATE, OLDER, AFTER = range(6)
plans = st.lists(st.tuples(st.integers(1, 9), st.integers(BEFORE, AFTER)), min_size=1, max_size=6)


@given(plans)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_each_event_counts_once_whenever_it_is_handled(world: World, planned: list[tuple[int, int]]) -> None:
    world.clear_store()
    world.clear("tallies", "ledger")
    stage = Stage(world)
    events = [(stage.recorded(copies), moment) for copies, moment in planned]
    begun = {WAITING: stage.begins()}

    def act(moment: int) -> None:
        handle = begun.get(moment, stage.handles)
        for event, planned_for in events:
            if planned_for == moment:
                handle(event)
                handle(event)  # a second delivery

    steps = iter((EARLY, LATE))

    def step(_: str) -> None:
        act(moment := next(steps, -1))
        if moment == LATE:
            begun[OLDER] = stage.begins()

    act(BEFORE)
    stage.rebuilds(while_waiting=[lambda: act(WAITING), lambda: act(OLDER)], at_each_step=step)
    act(AFTER)

    assert stage.shown() == stage.expected(*(copies for copies, _ in planned))
    assert verify(stage.view, long_ago(), pause=lambda _: None).differences == []


def test_an_event_in_an_abandoned_generation_counts_in_the_next_one(stage: Stage) -> None:
    def handle_and_fail(_: float) -> None:
        stage.came(9)
        raise RuntimeError

    with pytest.raises(RuntimeError):
        rebuild(stage.view, long_ago(), pause=handle_and_fail)
    stage.came(2)
    done = stage.rebuilds()

    assert stage.shown() == stage.expected(9, 2)
    assert done.generation == 2
    assert "RebuildAbandoned" in stage.operations()


@pytest.mark.parametrize("number", range(12))
def test_a_rebuild_that_fails_at_any_call_keeps_the_view_and_the_next_rebuild_succeeds(
    stage: Stage, number: int
) -> None:
    stage.came(5, 7, 2)
    calls = iter(range(1000))

    def fail(**_: Any) -> None:
        if next(calls) == number:
            raise ConnectionError

    events = stage.connection.dynamodb.meta.events
    events.register("before-call.dynamodb", fail)
    try:
        stage.rebuilds()
        assert number > 6, "there are so many calls at the least"
    except ConnectionError:
        pass
    events.unregister("before-call.dynamodb", fail)

    assert stage.shown() == stage.expected(5, 7, 2)
    stage.came(1)
    rebuild(stage.view, long_ago(), restart=True, pause=lambda _: None)
    assert stage.shown() == stage.expected(5, 7, 2, 1)
    assert verify(stage.view, long_ago(), pause=lambda _: None).differences == []


def test_a_second_concurrent_rebuild_is_refused_and_can_replace_the_first(stage: Stage) -> None:
    stage.came(5)
    refused: list[BaseException] = []

    def another(_: float) -> None:
        if not refused:
            with pytest.raises(RebuildInProgress) as caught:
                stage.rebuilds()
            refused.append(caught.value)
            rebuild(stage.view, long_ago(), restart=True, pause=lambda _: None)

    with pytest.raises(RebuildReplaced):
        rebuild(stage.view, long_ago(), pause=another)

    assert "--restart" in str(refused[0])
    assert stage.shown() == stage.expected(5)


def test_a_rebuild_that_was_killed_can_be_abandoned(stage: Stage) -> None:
    stage.came(5)
    operation = Operation.start(stage.connection)
    rebuilding._start(stage.view, operation, "", restart=False)  # noqa: SLF001 - the process is killed here

    abandon(stage.view, reason="it hung")

    assert generations(stage.connection, TABLE).building is None
    with pytest.raises(NoRebuildInProgress):
        abandon(stage.view)
    (abandoned,) = [e for e in stage.world.recorded() if e.metadata.type == "RebuildAbandoned"]
    assert RebuildAbandoned.read(abandoned.data, version=1).reason == "it hung"


def test_more_fields_than_one_update_can_hold_are_written_in_several_updates(stage: Stage) -> None:
    fold = Fold()
    names = [f"field-{number}" for number in range(150)]
    for row in row_changes(SetIfNewer(Tally, "a", order=1, fields=dict.fromkeys(names, "x")), "e"):
        fold.add(row)
    for row in row_changes(Add(Tally, "a", dict.fromkeys([f"sum-{n}" for n in range(70)], 2)), "e"):
        fold.add(row)

    rebuilding._write(stage.view, 3, fold)  # noqa: SLF001 - no small event has so many fields

    (item,) = stage.world.items("tallies")
    assert item["id"] == "@3/a"
    assert [item[name] for name in names] == ["x"] * 150
    assert [item[f"sum-{n}"] for n in range(70)] == [2] * 70


def test_an_event_that_a_function_cannot_project_stops_the_rebuild(stage: Stage) -> None:
    stage.came(5)
    broken = stage.recorded(7)
    stage.handles(broken)
    item = {"stream": {"S": broken.metadata.stream}, "sequence": {"N": "1"}}
    stage.world.client.update_item(
        TableName=NAMES.store,
        Key=item,
        UpdateExpression="SET #data = :data",
        ExpressionAttributeNames={"#data": "data"},
        ExpressionAttributeValues={":data": {"S": "{}"}},
    )

    with pytest.raises(ProjectionFailed, match="event-2"):
        stage.rebuilds()

    assert stage.shown() == stage.expected(5, 7)
    assert sorted(stage.operations()) == ["RebuildAbandoned", "RebuildStarted"]


def test_verify_finds_missing_extra_and_changed_rows_and_changes_nothing(stage: Stage) -> None:
    stage.came(5, 7, 2)
    dead = stage.recorded(9)
    stage.world.client.delete_item(TableName=TABLE, Key={"id": {"S": "of-isbn-1"}})
    stage.world.put(Tally(name="ghost", total=1))
    stage.world.client.update_item(
        TableName=TABLE,
        Key={"id": {"S": "a"}},
        UpdateExpression="SET #total = :total",
        ExpressionAttributeNames={"#total": "total"},
        ExpressionAttributeValues={":total": {"N": "1"}},
    )
    before = stage.world.items("tallies")

    found = verify(stage.view, long_ago(), pause=lambda _: None)

    differences = {each.key: (each.what, each.fields) for each in found.differences}
    assert differences.keys() == {"of-isbn-1", "ghost", "a"}
    assert differences["of-isbn-1"][0] == "missing"
    assert differences["ghost"][0] == "extra"
    assert differences["a"] == ("differs", {"total": (1, 14)})
    assert found.left_out == {"waiting": 1}
    assert stage.world.items("tallies") == before
    assert dead.metadata.id == "event-4"


def test_an_event_that_is_missing_in_the_store_stops_the_rebuild_and_the_view_stays(stage: Stage) -> None:
    stage.came(5, 7)
    first = next(e for e in stage.world.recorded() if e.metadata.id == "event-1").metadata
    dynamodb_events = stage.connection.dynamodb.meta.events

    def without_it(parsed: dict[str, Any], **_: Any) -> None:  # the index still contains the event
        items = parsed.get("Responses", {}).get(NAMES.store, [])
        items[:] = [item for item in items if item["stream"]["S"] != first.stream]

    dynamodb_events.register("after-call.dynamodb.BatchGetItem", without_it)
    with pytest.raises(EventMissing, match=f"{first.stream} #1"):
        stage.rebuilds()
    with pytest.raises(EventMissing):
        verify(stage.view, long_ago(), pause=lambda _: None)
    dynamodb_events.unregister("after-call.dynamodb.BatchGetItem", without_it)

    assert stage.shown() == stage.expected(5, 7)


def test_a_view_that_is_rebuilt_while_it_is_verified_has_no_differences(stage: Stage) -> None:
    stage.came(5)
    late = stage.recorded(9)

    def step(line: str) -> None:
        if line.startswith("comparing"):
            stage.handles(late)
        elif "differ" in line and stage.live().keys() and not generations(stage.connection, TABLE).live:
            stage.rebuilds()

    # An invalid row in the old generation, so that there is a difference to check again.
    stage.world.put(Tally(name="ghost", total=1))
    found = verify(stage.view, long_ago(), progress=step, pause=lambda _: None)

    assert (found.differences, found.busy) == ([], [])


def test_an_event_that_is_handled_while_its_view_is_verified_is_no_difference(stage: Stage) -> None:
    stage.came(5)
    waiting = stage.recorded(9)

    def step(line: str) -> None:
        if line.startswith("comparing"):
            stage.handles(waiting)
            stage.came(3)

    found = verify(stage.view, long_ago(), progress=step, pause=lambda _: None)

    assert (found.differences, found.busy) == ([], [])


def test_a_row_that_keeps_changing_is_reported_as_busy(stage: Stage) -> None:
    stage.came(5)
    written = iter(range(1, 100))

    def step(_: str) -> None:  # another process keeps writing to the row
        stage.world.put(Tally(name="a", total=100 + next(written)))

    found = verify(stage.view, long_ago(), progress=step, pause=lambda _: None)

    assert [each.key for each in found.differences] == []
    assert found.busy == ["a"]


def test_a_projection_only_returns_what_events_would_change(stage: Stage) -> None:
    event = stage.recorded(5)

    answer = keeper(
        {PROJECT: [{"id": "e", "version": 1, "data": event.data}, {"id": "f", "version": 9, "data": "{}"}]}, 0
    )

    first, second = answer["projected"]
    assert [row["key"] for row in first["rows"]] == ["a", "of-isbn-1"]
    assert second["error"] == "UnknownVersion"
    assert stage.world.items("tallies") == []


def test_a_table_that_was_lost_and_created_again_is_filled_with_all_handled_events(stage: Stage) -> None:
    stage.rebuilds(at_each_step=lambda _: stage.came(5))
    stage.came(7)
    expected = stage.shown()
    stage.world.clear("tallies")  # also the row with the generations

    stage.rebuilds()

    assert stage.shown() == expected


def test_an_event_may_change_half_of_what_a_transaction_can_hold(stage: Stage) -> None:
    event = stage.recorded(1)
    first = {"tallies": Generations()}

    def projected(rows: int) -> Projection:
        changes = row_changes([Add(Tally, f"row-{n}", {"total": 1}) for n in range(rows)], event.metadata.id)
        return Projection(backbone(), keeper.name, event.metadata, changes, first)

    assert len(projected(49).parts()) == 50
    with pytest.raises(TooManyWrites, match="49 rows"):
        projected(50)


def test_the_key_of_a_row_identifies_its_generation() -> None:
    for key in ("a", "1/a", "2", "a@1/b"):
        for number in (0, 1, 2, 12):
            stored_key = row_id(number, key)
            assert [n for n in (0, 1, 2, 12) if row_key(n, stored_key) == key] == [number]
            assert [n for n in (0, 1, 2, 12) if row_key(n, stored_key) is not None] == [number]


def test_a_key_in_the_form_of_a_generations_key_is_an_error() -> None:
    with pytest.raises(ReservedKey):
        row_changes(Add(Tally, "@1/a", {"total": 1}), "e")


def test_the_row_with_the_generations_is_read_as_it_was_written(stage: Stage) -> None:
    written = Generations(live=2, building=3, last=3, version=1, operation="o")
    stage.connection.dynamodb.transact_write_items(TransactItems=[written.part(TABLE)])

    assert generations(stage.connection, TABLE) == written
    with pytest.raises(stage.connection.dynamodb.exceptions.TransactionCanceledException):
        stage.connection.dynamodb.transact_write_items(TransactItems=[written.part(TABLE)])
