"""Replaying recorded events to one consumer: what that would do, doing it in parallel, and resuming it.

A replay is an operation with a record of its beginning and its end. In between, each partition keeps its checkpoint in
a row of the ledger's table (partition key `operation#<id>`, sort key the partition), written after the events before it
were delivered. A replay that is resumed after a crash delivers at most one portion a partition again, and the consumer
does not process that again.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Self

from daybook.contracts import clock
from daybook.contracts.operations import ReplayFinished, ReplayStarted
from daybook.operate.connection import Connection
from daybook.operate.consumers import consumers
from daybook.operate.delivery import Delivery, Outcome
from daybook.operate.errors import OperatorError
from daybook.operate.missing_events import MissingEvents
from daybook.operate.operation import Operation
from daybook.operate.parallel import Going, Partition, side_by_side
from daybook.operate.rate_limit import RateLimit
from daybook.operate.reading import chunks
from daybook.operate.replay.consequences import effects_of
from daybook.operate.replay.selection import Selection, partitions
from daybook.operate.subscriptions import Subscriptions, UnknownConsumer, listens_since
from daybook.store import ledger_keys
from daybook.store.attributes import pack, pack_item, unpack_item
from daybook.store.journal import Line

# Events between two checkpoints. More would be delivered twice after a crash.
_PORTION = 200
# Failures that are listed one by one; the others are only counted.
_MOST_LISTED = 100


class NotNamed(OperatorError):
    """An effect would get events that the operator has not named: each of them would call an external system."""


class NotDeployed(OperatorError):
    """The consumer's rule is there, and its function is not."""


class NoSuchReplay(OperatorError):
    """No replay of this id was begun in the stage."""


class AlreadyFinished(OperatorError):
    """The replay is finished, and there is nothing to go on with."""

    exit_code = 0


class FinishedElsewhere(OperatorError):
    """Another operator has resumed the same replay meanwhile, and its end is recorded."""


@dataclass(frozen=True, slots=True)
class Portion:
    """Some events of one partition: what became of those that the consumer lacks, and how many it does not lack.
    `position` is that of the last of them.
    """

    outcomes: Sequence[Outcome]
    passed_over: int
    position: str


@dataclass(slots=True)
class Summary:
    """A replay, or its preview, in a few numbers. `fresh` are the events recorded since the consumer listens,
    `failures` the first of those that were not delivered.
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
        failed = [outcome for outcome in portion.outcomes if not outcome.delivered]
        self.not_delivered += len(failed)
        self.failures = [*self.failures, *failed][:_MOST_LISTED]
        for event in (outcome.event for outcome in portion.outcomes if outcome.delivered):
            self.by_type[event.type] += 1
            self.fresh += event.recorded_at >= clock.timestamp(self.listens_since)
            self.oldest = min(self.oldest or event.recorded_at, event.recorded_at)
            self.newest = max(self.newest or event.recorded_at, event.recorded_at)


class Replay:
    """Recorded events for one consumer: `survey` finds them, `run` delivers them, and can be resumed."""

    def __init__(
        self, connection: Connection, consumer: str, selection: Selection, operation: Operation | None = None
    ) -> None:
        """A new replay, unless an operation is given, which was begun. Nothing is changed. Raises UnknownConsumer,
        NotDeployed, NotNamed, and what `daybook.operate.replay.selection.partitions` raises.
        """
        subscriptions, deployed = Subscriptions.of(connection), consumers(connection)
        if consumer not in subscriptions.known:
            raise UnknownConsumer(consumer, connection.stage, subscriptions.known)
        if consumer not in deployed:
            msg = f"the rule of {consumer} is there, and its function is not; deploy its service again"
            raise NotDeployed(msg)
        self._connection = connection
        self.consumer = deployed[consumer]
        if self.consumer.kind == "effect" and not selection.events:
            msg = (
                f"{consumer} calls an external system ({self.consumer.idempotency_key}), so that it gets only events "
                "that are named one by one: --event ID, once for each"
            )
            raise NotNamed(msg)
        self.selection = selection
        self.effects = effects_of(self.consumer, subscriptions, deployed)
        self.listens_since = listens_since(connection, consumer)
        self._partitions = partitions(connection, consumer, selection, subscriptions)
        self._missing = MissingEvents(connection, consumer, self.listens_since, selection.missing)
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
                    f"the replay {operation_id} was finished at {m.recorded_at}: {finished.consumer} got "
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
        """The events that it would deliver, as they are found."""
        before = self._checkpoints.read()

        def look(partition: Partition, going: Going) -> Iterator[Portion]:
            for some in _portions(partition, before.get(partition.name), going, _PORTION):
                lacking = self._missing.of(some)
                yield Portion([Outcome(line) for line in lacking], len(some) - len(lacking), some[-1].position)

        return side_by_side(self._partitions, look)

    def run(self, rate_limit: RateLimit, *, reason: str = "") -> Iterator[Portion]:
        """Deliver the events, and yield what was done; the end is recorded when the caller has asked for all.

        The events of each stream are delivered in the order of recording. If the caller stops asking, or the process is
        killed, the replay can be resumed. Raises FinishedElsewhere.
        """
        delivery = Delivery(self._connection, self.consumer.name, before=rate_limit.wait)
        if not self._operation.begun:
            self._operation.commit(self._started(reason))
        before = self._checkpoints.read()

        def deliver(partition: Partition, going: Going) -> Iterator[Portion]:
            row = before.get(partition.name) or _Checkpoint(partition.name)
            for some in _portions(partition, row, going, rate_limit.portion(_PORTION)):
                lacking = self._missing.of(some)
                portion = Portion(list(delivery.deliver(lacking)), len(some) - len(lacking), some[-1].position)
                row = row.beyond(portion)
                self._checkpoints.write(row)
                yield portion
            if going() and not row.done:
                self._checkpoints.write(replace(row, done=True))

        yield from side_by_side(self._partitions, deliver)
        delivered = self._checkpoints.delivered()
        finished = ReplayFinished(**self._operation.about, consumer=self.consumer.name, delivered=delivered)
        if not self._operation.try_to_commit(finished):
            msg = f"another operator has resumed the replay {self.id} meanwhile, and its end is recorded"
            raise FinishedElsewhere(msg)

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
    """How far a partition has come, and what was done until there."""

    partition: str
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
        self._key = ledger_keys.of_checkpoints(operation_id)

    def read(self) -> Mapping[str, _Checkpoint]:
        """The checkpoints by their partitions."""
        pages = self._dynamodb.get_paginator("query").paginate(
            TableName=self._table,
            KeyConditionExpression="#event = :event",
            ExpressionAttributeNames={"#event": "event"},
            ExpressionAttributeValues={":event": pack(self._key)},
            ConsistentRead=True,
        )
        rows = [unpack_item(item) for page in pages for item in page["Items"]]
        names = _Checkpoint.__dataclass_fields__.keys() - {"partition"}
        return {row["consumer"]: _Checkpoint(row["consumer"], **{name: row[name] for name in names}) for row in rows}

    def write(self, row: _Checkpoint) -> None:
        """Keep it in place of the partition's last one."""
        values = asdict(row)
        item = {"event": self._key, "consumer": values.pop("partition"), "written_at": clock.now(), **values}
        self._dynamodb.put_item(TableName=self._table, Item=pack_item(item))

    def delivered(self) -> int:
        """How many events, in all partitions."""
        return sum(row.delivered for row in self.read().values())


def _portions(partition: Partition, row: _Checkpoint | None, going: Going, size: int) -> Iterator[list[Line]]:
    """The rest of the partition behind its checkpoint, in portions of that size."""
    if not (row and row.done):
        yield from chunks(partition.read(row.position if row else "", going), size)
