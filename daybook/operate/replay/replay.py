"""Replaying the past to one consumer: what that would do, doing it side by side, and going on where it stopped.

A replay is an act of an operator, with a record of its beginning and its end. Between these, each lane keeps how far
it has come in a row of the ledger's table (partition key `operation#<id>`, sort key the lane), written after what it
tells of was delivered. Who goes on after a crash gives the consumer at most one portion a lane for a second time, and
that is done once.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from itertools import islice
from typing import Self

from daybook.contracts import clock
from daybook.contracts.operations import ReplayFinished, ReplayStarted
from daybook.operate.connection import Connection
from daybook.operate.consumers import Consumer, consumers
from daybook.operate.delivery import Delivery, Outcome
from daybook.operate.errors import OperatorError
from daybook.operate.missing_events import Gap
from daybook.operate.operation import Operation
from daybook.operate.parallel import Going, Lane, side_by_side
from daybook.operate.rate_limit import Pace
from daybook.operate.replay.consequences import effects_of
from daybook.operate.replay.selection import Selection, lanes
from daybook.operate.subscriptions import Subscriptions, UnknownConsumer, listens_since
from daybook.store.attributes import pack, pack_item, unpack_item
from daybook.store.journal import Line
from daybook.store.transaction import Refused

# So many events are looked at between two checkpoints. More would be given twice after a crash.
_PORTION = 200
# So many failures are told by name; of more there is only the number.
_MOST_TOLD = 100


class NotNamed(OperatorError):
    """An effect would be given events that nobody has named: the world outside would be asked for each of them."""


class NotDeployed(OperatorError):
    """The consumer's rule is there, and its function is not."""


class NoSuchReplay(OperatorError):
    """No replay of this id was begun in the stage."""


class AlreadyFinished(OperatorError):
    """The replay has come to its end, and there is nothing to go on with."""

    exit_code = 0


class SomebodyElse(OperatorError):
    """Somebody else has gone on with the same replay meanwhile, and has recorded its end."""


@dataclass(frozen=True, slots=True)
class Portion:
    """Some events of one lane that were looked at: what became of those that the consumer lacks, and how many it does
    not lack. `position` is where the last of them stands.
    """

    outcomes: Sequence[Outcome]
    passed_over: int
    position: str


@dataclass(slots=True)
class Summary:
    """A replay, or what one would be, in a few numbers. `fresh` are those recorded since the consumer listens.
    `failures` are the first of those that were not delivered.
    """

    listens_since: datetime
    by_type: Counter[str] = field(default_factory=Counter)
    passed_over: int = 0
    fresh: int = 0
    oldest: str | None = None
    newest: str | None = None
    not_delivered: int = 0
    failures: list[Outcome] = field(default_factory=list)

    @property
    def events(self) -> int:
        """How many events."""
        return self.by_type.total()

    def add(self, portion: Portion) -> None:
        """Count what was looked at."""
        self.passed_over += portion.passed_over
        for outcome in portion.outcomes:
            if outcome.delivered:
                self._count(outcome.event)
            else:
                self.not_delivered += 1
                if len(self.failures) < _MOST_TOLD:
                    self.failures.append(outcome)

    def _count(self, event: Line) -> None:
        self.by_type[event.type] += 1
        self.fresh += event.recorded_at >= clock.timestamp(self.listens_since)
        self.oldest = min(self.oldest or event.recorded_at, event.recorded_at)
        self.newest = max(self.newest or event.recorded_at, event.recorded_at)


class Replay:
    """Events of the past for one consumer: `survey` says which, `run` delivers them, and can be resumed."""

    def __init__(
        self, connection: Connection, consumer: str, selection: Selection, operation: Operation | None = None
    ) -> None:
        """A new replay, unless an operation is given, which was begun. Nothing is changed. Raises UnknownConsumer,
        NotDeployed, NotNamed, and what `daybook.operate.replay.selection.lanes` raises.
        """
        self._connection = connection
        self.consumer, deployed = _find(connection, consumer)
        if self.consumer.kind == "effect" and not selection.events:
            msg = (
                f"{consumer} acts on the world outside ({self.consumer.purpose}), so that it is given only events that "
                "are named one by one: --event ID, once for each"
            )
            raise NotNamed(msg)
        self.selection = selection
        self.effects = effects_of(connection, self.consumer, deployed)
        self.listens_since = listens_since(connection, consumer)
        self._lanes = lanes(connection, consumer, selection)
        self._gap = Gap(connection, consumer, self.listens_since, selection.missing)
        self._begun = operation is not None
        self._operation = operation or Operation.begin(connection)
        self._checkpoints = _Checkpoints(connection, self.id)

    @classmethod
    def resume(cls, connection: Connection, operation_id: str) -> Self:
        """A replay that was begun before. Raises NoSuchReplay, AlreadyFinished, and all that a new one raises."""
        started = None
        for envelope in connection.store.stream(f"operation/{operation_id}"):
            m = envelope.metadata
            if m.type == ReplayStarted.contract.type:
                started = ReplayStarted.read(envelope.data, version=m.version)
            elif m.type == ReplayFinished.contract.type:
                finished = ReplayFinished.read(envelope.data, version=m.version)
                msg = (
                    f"the replay {operation_id} was finished at {m.recorded_at}: {finished.consumer} was given "
                    f"{finished.delivered} events, and there is nothing to go on with"
                )
                raise AlreadyFinished(msg)
        if started is None:
            msg = f"no replay {operation_id} was begun in the stage {connection.stage}"
            raise NoSuchReplay(msg)
        operation = Operation.resume(connection, operation_id)
        return cls(connection, started.consumer, Selection.recorded(started), operation)

    @property
    def id(self) -> str:
        """What it is resumed by."""
        return self._operation.id

    def delivered(self) -> int:
        """How many events it has delivered so far, by its checkpoints."""
        return self._checkpoints.delivered()

    def survey(self) -> Iterator[Portion]:
        """What it would deliver, or would yet, as it is found."""
        before = self._checkpoints.read()

        def look(lane: Lane, going: Going) -> Iterator[Portion]:
            for some in _portions(lane, before.get(lane.name), going, _PORTION):
                lacking = self._gap.of(some)
                yield Portion([Outcome(line) for line in lacking], len(some) - len(lacking), some[-1].position)

        return side_by_side(self._lanes, look)

    def run(self, pace: Pace, *, reason: str = "") -> Iterator[Portion]:
        """Deliver it, and tell what was done as it is done; its end is recorded when all has been asked for.

        Each stream's events are delivered in the order of recording. Whoever stops asking, or dies, can resume it.
        Raises SomebodyElse.
        """
        delivery = Delivery(self._connection, self.consumer.name, before=pace.wait)
        if not self._begun:
            self._operation.commit(self._started(reason))
        before = self._checkpoints.read()

        def give(lane: Lane, going: Going) -> Iterator[Portion]:
            row = before.get(lane.name) or _Checkpoint(lane.name)
            for some in _portions(lane, row, going, pace.portion(_PORTION)):
                lacking = self._gap.of(some)
                portion = Portion(list(delivery.deliver(lacking)), len(some) - len(lacking), some[-1].position)
                row = row.beyond(portion)
                self._checkpoints.write(row)
                yield portion
            if going() and not row.done:
                self._checkpoints.write(replace(row, done=True))

        yield from side_by_side(self._lanes, give)
        self._finish()

    def _finish(self) -> None:
        finished = ReplayFinished(
            **self._operation.about, consumer=self.consumer.name, delivered=self._checkpoints.delivered()
        )
        try:
            self._operation.commit(finished)
        except Refused as error:
            msg = f"somebody else has gone on with the replay {self.id} meanwhile, and has recorded its end"
            raise SomebodyElse(msg) from error

    def _started(self, reason: str) -> ReplayStarted:
        return ReplayStarted(
            **self._operation.about,
            reason=reason,
            consumer=self.consumer.name,
            since=self.selection.span.since,
            until=self.selection.span.until,
            types=self.selection.types,
            selected_stream=self.selection.stream,
            selected_correlation_id=self.selection.correlation_id,
            selected_events=self.selection.events,
            missing=self.selection.missing,
        )


@dataclass(frozen=True, slots=True)
class _Checkpoint:
    """How far a lane has come, and what was done until there."""

    lane: str
    position: str = ""
    delivered: int = 0
    passed_over: int = 0
    not_delivered: int = 0
    done: bool = False

    def beyond(self, portion: Portion) -> Self:
        """The place behind the portion."""
        delivered = sum(outcome.delivered for outcome in portion.outcomes)
        return replace(
            self,
            position=portion.position,
            delivered=self.delivered + delivered,
            passed_over=self.passed_over + portion.passed_over,
            not_delivered=self.not_delivered + len(portion.outcomes) - delivered,
        )


class _Checkpoints:
    """The rows of one replay in the ledger's table. If two go on at once, the later write wins."""

    def __init__(self, connection: Connection, operation_id: str) -> None:
        self._dynamodb = connection.dynamodb
        self._table = connection.names.ledger
        self._key = f"operation#{operation_id}"

    def read(self) -> Mapping[str, _Checkpoint]:
        """The rows by their lanes."""
        pages = self._dynamodb.get_paginator("query").paginate(
            TableName=self._table,
            KeyConditionExpression="#event = :event",
            ExpressionAttributeNames={"#event": "event"},
            ExpressionAttributeValues={":event": pack(self._key)},
            ConsistentRead=True,
        )
        rows = [unpack_item(item) for page in pages for item in page["Items"]]
        names = _Checkpoint.__dataclass_fields__.keys() - {"lane"}
        return {row["consumer"]: _Checkpoint(row["consumer"], **{name: row[name] for name in names}) for row in rows}

    def write(self, row: _Checkpoint) -> None:
        """Keep it in the place of the lane's last one."""
        told = asdict(row)
        item = {"event": self._key, "consumer": told.pop("lane"), "written_at": clock.now(), **told}
        self._dynamodb.put_item(TableName=self._table, Item=pack_item(item))

    def delivered(self) -> int:
        """How many events, in all lanes."""
        return sum(row.delivered for row in self.read().values())


def _portions(lane: Lane, row: _Checkpoint | None, going: Going, size: int) -> Iterator[list[Line]]:
    """What is left of the lane beyond its checkpoint, so many lines at once."""
    if row and row.done:
        return
    lines = lane.read(row.position if row else "", going)
    while some := list(islice(lines, size)):
        yield some


def _find(connection: Connection, name: str) -> tuple[Consumer, Mapping[str, Consumer]]:
    """The consumer of this name, and all that are deployed."""
    subscriptions, deployed = Subscriptions.of(connection), consumers(connection)
    if name not in subscriptions.known:
        raise UnknownConsumer(name, connection.stage, subscriptions.known)
    if name not in deployed:
        msg = f"the rule of {name} is there, and its function is not; deploy its service again"
        raise NotDeployed(msg)
    return deployed[name], deployed
