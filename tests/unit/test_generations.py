"""A view that is made anew counts each event once, whenever it comes, and people read one whole view or the other."""

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
from daybook.operate.views.rebuild import BeingRebuilt, NotBeingRebuilt, TakenOver, abandon, rebuild
from daybook.operate.views.verify import verify
from daybook.operate.views.views import EventGone, Fold, NotProjected
from daybook.operate.views.views import View as DeployedView
from daybook.store.transaction import TooManyWrites
from events.inventory import StockReceived
from tests.unit.builders import Message, from_the_bus, goods, recorded
from tests.unit.contracts import Tally
from tests.unit.world import NAMES, Context, World

T = TypeVar("T")
R = TypeVar("R")
TABLE = NAMES.of("tallies")


def long_ago() -> datetime:
    return datetime.now(UTC) - timedelta(minutes=10)


@view(StockReceived)
def keeper(stock: StockReceived) -> list[Change]:
    """Sums pieces up, and keeps the highest delivery's."""
    return [
        Add(Tally, "a", {"total": stock.quantity, "number": 1}),
        SetIfNewer(Tally, "a", order=stock.quantity, fields={"left": str(stock.quantity)}),
        Add(Tally, f"of-{stock.sku}", {"total": stock.quantity}),
    ]


class Here(Connection):
    """The world's stage as operators reach it. Its indexes do not lag, and its functions run in this process."""

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
    connection: Connection = field(default_factory=lambda: Here(NAMES.stage))
    _number: int = 0

    @property
    def view(self) -> DeployedView:
        consumer = Consumer(
            name=keeper.name, kind="view", event="StockReceived", emits=(), timeout=10, tables={"tallies": TABLE}
        )
        return DeployedView(self.connection, "tallies", TABLE, {keeper.name: consumer})

    def recorded(self, quantity: int) -> Envelope:
        """A new event in the store. Its function has not got it yet."""
        self._number += 1
        envelope = recorded(goods(sku=f"sku-{self._number}", quantity=quantity), id=f"event-{self._number}")
        self.world.append(envelope)
        return envelope

    def handles(self, *events: Envelope) -> None:
        """The function handles each in an invocation of its own."""
        for event in events:
            assert self.world.deliver(keeper, from_the_bus(event)) == []

    def came(self, *quantities: int) -> None:
        """Events are recorded and handled."""
        self.handles(*(self.recorded(quantity) for quantity in quantities))

    def begins(self) -> Callable[[Envelope], None]:
        """An invocation begins, and has looked at the generations; what it calls may be handled in it, later."""
        run = Pipeline(keeper, backbone().ledger, Context(seconds=3600))
        seen = generations(self.connection, TABLE)

        def handle(event: Envelope) -> None:
            keeper._generations = {"tallies": seen}  # noqa: SLF001 - as in an invocation that began a while ago
            run.handle_batch([Message(from_the_bus(event)).record()])

        return handle

    def live(self) -> dict[str, dict[str, Any]]:
        """The rows that people read."""
        return {row["id"]: row for row in PlainTable(self.connection, TABLE).live().scan()}

    def plain(self, *quantities: int) -> tuple[int, int, str]:
        """Sum, number and highest, worked out plainly."""
        return sum(quantities), len(quantities), str(max(quantities))

    def shown(self) -> tuple[int, int, str]:
        """The same as people read it."""
        row = LiveView(self.connection.dynamodb, TABLE).row(Tally, "a") or Tally(name="a")
        return row.total, row.number, row.left

    def rebuilds(self, *, while_waiting: Sequence[Callable[[], object]] = (), at_each_step: Any = None) -> Any:
        """Make the view anew. While it waits, others act."""
        acts = iter(while_waiting)

        def wait(_: float) -> None:
            next(acts, lambda: None)()

        return rebuild(self.view, long_ago(), pause=wait, progress=at_each_step or (lambda _: None))

    def told(self) -> list[str]:
        """What the store says of operators' acts."""
        return [e.metadata.type for e in self.world.recorded() if e.metadata.stream.startswith("operation/")]


@pytest.fixture
def stage(world: World) -> Stage:
    return Stage(world)


def test_a_view_that_was_rebuilt_is_what_it_was_and_leaves_no_old_rows(stage: Stage) -> None:
    stage.came(5, 7, 2)
    before = stage.live()

    done = stage.rebuilds()

    assert stage.live() == before
    assert (done.generation, done.events, done.deleted) == (1, 3, len(before))
    assert {item["id"] for item in stage.world.items("tallies")} == {f"@1/{key}" for key in before} | {"@generation"}
    assert stage.told() == ["RebuildStarted", "ViewRebuilt"]


def test_rows_that_were_lost_and_changed_by_hand_are_there_again(stage: Stage) -> None:
    stage.came(5, 7, 2)
    before = stage.live()
    stage.world.client.delete_item(TableName=TABLE, Key={"id": {"S": "of-sku-1"}})
    stage.world.put(Tally(name="a", total=999))

    stage.rebuilds()

    assert stage.live() == before


def test_what_an_invocation_handles_that_began_before_counts_once(stage: Stage) -> None:
    stage.came(5)
    handle, late = stage.begins(), stage.recorded(9)

    stage.rebuilds(while_waiting=[lambda: handle(late)])

    assert stage.shown() == stage.plain(5, 9)


def test_what_is_handled_while_the_new_view_is_being_made_counts_once_in_both(stage: Stage) -> None:
    stage.came(5)
    waiting = stage.recorded(9)
    seen: list[tuple[int, int, str]] = []

    def step(_: str) -> None:
        if len(seen) < 2:  # once before the past is folded in, and once after
            stage.came(1)
        seen.append(stage.shown())

    stage.rebuilds(while_waiting=[lambda: stage.handles(waiting)], at_each_step=step)

    assert stage.shown() == stage.plain(5, 9, 1, 1)
    assert seen[0] == stage.plain(5, 1), "readers see the old view, which is up to date"


def test_what_is_dead_at_first_and_handled_later_counts_once(stage: Stage) -> None:
    stage.came(5)
    dead = stage.recorded(9)

    stage.rebuilds()
    stage.handles(dead)

    assert stage.shown() == stage.plain(5, 9)


# When an event is handled: before; in an invocation that began before, while that is waited for; while the new view is
# made, before and after the past was folded in; after the switch, in an invocation that began before it; at last.
BEFORE, IN_TIME, EARLY, LATE, OVERTAKEN, AFTER = range(6)
plans = st.lists(st.tuples(st.integers(1, 9), st.integers(BEFORE, AFTER)), min_size=1, max_size=6)


@given(plans)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_each_event_counts_once_whenever_it_is_handled(world: World, planned: list[tuple[int, int]]) -> None:
    world.clear_store()
    world.clear("tallies", "ledger")
    stage = Stage(world)
    events = [(stage.recorded(quantity), moment) for quantity, moment in planned]
    begun = {IN_TIME: stage.begins()}

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
            begun[OVERTAKEN] = stage.begins()

    act(BEFORE)
    stage.rebuilds(while_waiting=[lambda: act(IN_TIME), lambda: act(OVERTAKEN)], at_each_step=step)
    act(AFTER)

    assert stage.shown() == stage.plain(*(quantity for quantity, _ in planned))
    assert verify(stage.view, long_ago(), pause=lambda _: None).differences == []


def test_what_wrote_to_a_generation_that_was_given_up_counts_in_the_next(stage: Stage) -> None:
    def come_and_fail(_: float) -> None:
        stage.came(9)
        raise RuntimeError

    with pytest.raises(RuntimeError):
        rebuild(stage.view, long_ago(), pause=come_and_fail)
    stage.came(2)
    done = stage.rebuilds()

    assert stage.shown() == stage.plain(9, 2)
    assert done.generation == 2
    assert "RebuildAbandoned" in stage.told()


@pytest.mark.parametrize("number", range(12))
def test_a_rebuild_that_fails_anywhere_leaves_a_whole_view_and_the_next_one_succeeds(stage: Stage, number: int) -> None:
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

    assert stage.shown() == stage.plain(5, 7, 2)
    stage.came(1)
    rebuild(stage.view, long_ago(), anew=True, pause=lambda _: None)
    assert stage.shown() == stage.plain(5, 7, 2, 1)
    assert verify(stage.view, long_ago(), pause=lambda _: None).differences == []


def test_of_two_rebuilds_at_once_the_second_is_refused_and_may_take_over(stage: Stage) -> None:
    stage.came(5)
    refused: list[BaseException] = []

    def another(_: float) -> None:
        if not refused:
            with pytest.raises(BeingRebuilt) as caught:
                stage.rebuilds()
            refused.append(caught.value)
            rebuild(stage.view, long_ago(), anew=True, pause=lambda _: None)

    with pytest.raises(TakenOver):
        rebuild(stage.view, long_ago(), pause=another)

    assert "--anew" in str(refused[0])
    assert stage.shown() == stage.plain(5)


def test_a_rebuild_that_was_killed_can_be_given_up(stage: Stage) -> None:
    stage.came(5)
    operation = Operation.begin(stage.connection)
    rebuilding._begin(stage.view, operation, "", anew=False)  # noqa: SLF001 - and there it was killed

    abandon(stage.view, reason="it hung")

    assert generations(stage.connection, TABLE).building is None
    with pytest.raises(NotBeingRebuilt):
        abandon(stage.view)
    (told,) = [e for e in stage.world.recorded() if e.metadata.type == "RebuildAbandoned"]
    assert RebuildAbandoned.read(told.data, version=1).reason == "it hung"


def test_more_fields_than_one_update_holds_are_written_one_after_the_other(stage: Stage) -> None:
    fold = Fold()
    names = [f"field-{number}" for number in range(150)]
    for row in row_changes(SetIfNewer(Tally, "a", order=1, fields=dict.fromkeys(names, "x")), "e"):
        fold.add(row)
    for row in row_changes(Add(Tally, "a", dict.fromkeys([f"sum-{n}" for n in range(70)], 2)), "e"):
        fold.add(row)

    rebuilding._write(stage.view, 3, fold)  # noqa: SLF001 - no event that is small enough has so many

    (item,) = stage.world.items("tallies")
    assert item["id"] == "@3/a"
    assert [item[name] for name in names] == ["x"] * 150
    assert [item[f"sum-{n}"] for n in range(70)] == [2] * 70


def test_a_function_that_cannot_say_what_an_event_changes_stops_the_rebuild(stage: Stage) -> None:
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

    with pytest.raises(NotProjected, match="event-2"):
        stage.rebuilds()

    assert stage.shown() == stage.plain(5, 7)
    assert sorted(stage.told()) == ["RebuildAbandoned", "RebuildStarted"]


def test_verifying_finds_rows_that_are_lost_extra_and_changed_and_changes_nothing(stage: Stage) -> None:
    stage.came(5, 7, 2)
    dead = stage.recorded(9)
    stage.world.client.delete_item(TableName=TABLE, Key={"id": {"S": "of-sku-1"}})
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

    told = {each.key: (each.what, each.fields) for each in found.differences}
    assert told.keys() == {"of-sku-1", "ghost", "a"}
    assert told["of-sku-1"][0] == "missing"
    assert told["ghost"][0] == "extra"
    assert told["a"] == ("differs", {"total": (1, 14)})
    assert found.left_out == {"waiting": 1}
    assert stage.world.items("tallies") == before
    assert dead.metadata.id == "event-4"


def test_an_event_that_is_gone_from_the_store_stops_the_rebuild_and_the_old_view_stays(stage: Stage) -> None:
    stage.came(5, 7)
    first = next(e for e in stage.world.recorded() if e.metadata.id == "event-1").metadata
    held = stage.connection.dynamodb.meta.events

    def without_it(parsed: dict[str, Any], **_: Any) -> None:  # the index still has what the table has lost
        items = parsed.get("Responses", {}).get(NAMES.store, [])
        items[:] = [item for item in items if item["stream"]["S"] != first.stream]

    held.register("after-call.dynamodb.BatchGetItem", without_it)
    with pytest.raises(EventGone, match=f"{first.stream} #1"):
        stage.rebuilds()
    with pytest.raises(EventGone):
        verify(stage.view, long_ago(), pause=lambda _: None)
    held.unregister("after-call.dynamodb.BatchGetItem", without_it)

    assert stage.shown() == stage.plain(5, 7)


def test_a_view_that_changes_places_while_it_is_verified_has_no_differences(stage: Stage) -> None:
    stage.came(5)
    late = stage.recorded(9)

    def step(said: str) -> None:
        if said.startswith("comparing"):
            stage.handles(late)
        elif "differ" in said and stage.live().keys() and not generations(stage.connection, TABLE).live:
            stage.rebuilds()

    # Somebody has damaged the old view, so that there is something to look at again.
    stage.world.put(Tally(name="ghost", total=1))
    found = verify(stage.view, long_ago(), progress=step, pause=lambda _: None)

    assert (found.differences, found.busy) == ([], [])


def test_verifying_takes_what_is_handled_meanwhile_for_no_difference(stage: Stage) -> None:
    stage.came(5)
    waiting = stage.recorded(9)

    def step(said: str) -> None:
        if said.startswith("comparing"):
            stage.handles(waiting)
            stage.came(3)

    found = verify(stage.view, long_ago(), progress=step, pause=lambda _: None)

    assert (found.differences, found.busy) == ([], [])


def test_a_row_that_keeps_changing_is_told_as_busy(stage: Stage) -> None:
    stage.came(5)
    written = iter(range(1, 100))

    def step(_: str) -> None:  # somebody writes to it all the time, past all events
        stage.world.put(Tally(name="a", total=100 + next(written)))

    found = verify(stage.view, long_ago(), progress=step, pause=lambda _: None)

    assert [each.key for each in found.differences] == []
    assert found.busy == ["a"]


def test_functions_only_say_what_events_would_change(stage: Stage) -> None:
    event = stage.recorded(5)

    answer = keeper(
        {PROJECT: [{"id": "e", "version": 1, "data": event.data}, {"id": "f", "version": 9, "data": "{}"}]}, 0
    )

    first, second = answer["projected"]
    assert [row["key"] for row in first["rows"]] == ["a", "of-sku-1"]
    assert second["error"] == "UnknownVersion"
    assert stage.world.items("tallies") == []


def test_a_table_that_was_lost_and_made_again_is_filled_with_all_that_was_handled(stage: Stage) -> None:
    stage.rebuilds(at_each_step=lambda _: stage.came(5))
    stage.came(7)
    expected = stage.shown()
    stage.world.clear("tallies")  # the pointer too

    stage.rebuilds()

    assert stage.shown() == expected


def test_an_event_may_change_half_of_what_a_transaction_holds(stage: Stage) -> None:
    event = stage.recorded(1)
    first = {"tallies": Generations()}

    def projected(rows: int) -> Projection:
        changes = row_changes([Add(Tally, f"row-{n}", {"total": 1}) for n in range(rows)], event.metadata.id)
        return Projection(backbone(), keeper.name, event.metadata, changes, first)

    assert len(projected(49).parts()) == 50
    with pytest.raises(TooManyWrites, match="49 rows"):
        projected(50)


def test_generations_tell_their_rows_apart_whatever_the_keys_are() -> None:
    for key in ("a", "1/a", "2", "a@1/b"):
        for number in (0, 1, 2, 12):
            stands_under = row_id(number, key)
            assert [n for n in (0, 1, 2, 12) if row_key(n, stands_under) == key] == [number]
            assert [n for n in (0, 1, 2, 12) if row_key(n, stands_under) is not None] == [number]


def test_a_key_that_looks_like_a_generations_is_refused() -> None:
    with pytest.raises(ReservedKey):
        row_changes(Add(Tally, "@1/a", {"total": 1}), "e")


def test_the_pointer_is_read_as_it_was_written(stage: Stage) -> None:
    written = Generations(live=2, building=3, last=3, version=1, operation="o")
    stage.connection.dynamodb.transact_write_items(TransactItems=[written.part(TABLE)])

    assert generations(stage.connection, TABLE) == written
    with pytest.raises(stage.connection.dynamodb.exceptions.TransactionCanceledException):
        stage.connection.dynamodb.transact_write_items(TransactItems=[written.part(TABLE)])
