"""Replays recorded events to one consumer: preview, parallel delivery, and resumption.

A replay is an operation with a start event and an end event. In between, each partition has a checkpoint in a row of
the ledger's table, written after the events before it were delivered. A replay that is resumed after a crash delivers
at most one portion of each partition again, and the consumer does not process these events again.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Self

from daybook.contracts import clock
from daybook.contracts.operations import ReplayFinished, ReplayStarted
from daybook.operate.connection import Connection
from daybook.operate.consumers import Consumer, consumers
from daybook.operate.delivery import Delivery, Outcome
from daybook.operate.errors import OperatorError
from daybook.operate.missing_events import MissingEvents
from daybook.operate.operation import Operation
from daybook.operate.parallel import Partition, Running, in_parallel
from daybook.operate.rate_limit import RateLimit
from daybook.operate.reading import chunks
from daybook.operate.replay.selection import Selection, partitions
from daybook.operate.subscriptions import Subscriptions, UnknownConsumer, published_source, subscribed_since
from daybook.store import ledger_keys
from daybook.store.attributes import pack_item, unpack_item
from daybook.store.journal import JournalEntry

# Events between two checkpoints. More would be delivered twice after a crash.
_PORTION = 200
# The number of failures that are listed; the others are only counted.
_MAX_LISTED = 100


class EffectNeedsEventIds(OperatorError):
    """Events for an effect must be selected by id: each of them would call an external system."""


class NotDeployed(OperatorError):
    """The consumer has a rule, but no function."""


class NoSuchReplay(OperatorError):
    """The stage has no replay with this id."""


class AlreadyFinished(OperatorError):
    """The replay is finished, so it cannot be resumed."""

    exit_code = 0


class FinishedElsewhere(OperatorError):
    """Another operator has resumed the same replay and finished it."""


@dataclass(frozen=True, slots=True)
class Portion:
    """Some events of one partition: the outcomes of those that were delivered, and the number that was skipped.
    `position` is the position of the last one.
    """

    outcomes: Sequence[Outcome]
    skipped: int
    position: str


@dataclass(slots=True)
class Summary:
    """The numbers of a replay or its preview. `fresh` counts events recorded after the consumer subscribed, `failures`
    are the first events that were not delivered.
    """

    subscribed_since: datetime
    by_type: Counter[str] = field(default_factory=Counter)
    skipped: int = 0
    fresh: int = 0
    oldest: str | None = None
    newest: str | None = None
    not_delivered: int = 0
    failures: list[Outcome] = field(default_factory=list)

    @property
    def events(self) -> int:
        return self.by_type.total()

    def add(self, portion: Portion) -> None:
        self.skipped += portion.skipped
        failed = [outcome for outcome in portion.outcomes if not outcome.delivered]
        self.not_delivered += len(failed)
        self.failures = [*self.failures, *failed][:_MAX_LISTED]
        for event in (outcome.event for outcome in portion.outcomes if outcome.delivered):
            self.by_type[event.type] += 1
            self.fresh += event.recorded_at >= clock.timestamp(self.subscribed_since)
            self.oldest = min(self.oldest or event.recorded_at, event.recorded_at)
            self.newest = max(self.newest or event.recorded_at, event.recorded_at)


class Replay:
    """Recorded events for one consumer: `survey` finds them, and `run` delivers them. It can be resumed."""

    def __init__(
        self, connection: Connection, consumer: str, selection: Selection, operation: Operation | None = None
    ) -> None:
        """A new replay, or the replay of an operation that has started. Nothing is changed. Raises UnknownConsumer,
        NotDeployed, EffectNeedsEventIds, and what `daybook.operate.replay.selection.partitions` raises.
        """
        subscriptions, deployed = Subscriptions.of(connection), consumers(connection)
        if consumer not in subscriptions.known:
            raise UnknownConsumer(consumer, connection.stage, subscriptions.known)
        if consumer not in deployed:
            raise NotDeployed(f"{consumer} has a rule but no function; deploy its service again")
        self._connection = connection
        self.consumer = deployed[consumer]
        if self.consumer.kind == "effect" and not selection.events:
            raise EffectNeedsEventIds(
                f"{consumer} calls an external system ({self.consumer.idempotency_key}), so its events must be "
                "selected one by one: --event ID"
            )
        self.selection = selection
        self.effects = _effects_of(self.consumer, subscriptions, deployed)
        self.subscribed_since = subscribed_since(connection, consumer)
        self._partitions = partitions(connection, consumer, selection, subscriptions)
        self._missing = MissingEvents(
            connection, consumer, self.subscribed_since, selection.missing, connection.keyring
        )
        self._operation = operation or Operation.start(connection)
        self._checkpoints = _Checkpoints(connection, self.id, self._partitions)

    @property
    def stage(self) -> str:
        return self._connection.stage

    @classmethod
    def resume(cls, connection: Connection, operation_id: str) -> Self:
        """A replay that has started before. Raises NoSuchReplay, AlreadyFinished, and the errors of a new one."""
        started = None
        for envelope in connection.store.stream(f"operation/{operation_id}"):
            m = envelope.metadata
            if m.type == ReplayStarted.contract.type:
                started = ReplayStarted.read(envelope.data, version=m.version)
            elif m.type == ReplayFinished.contract.type:
                finished = ReplayFinished.read(envelope.data, version=m.version)
                raise AlreadyFinished(
                    f"the replay {operation_id} finished at {m.recorded_at}: it delivered {finished.delivered} "
                    f"events to {finished.consumer}"
                )
        if started is None:
            raise NoSuchReplay(f"the stage {connection.stage} has no replay {operation_id}")
        operation = Operation.resume(connection, operation_id)
        return cls(connection, started.consumer, Selection.recorded(started), operation)

    @property
    def id(self) -> str:
        """The id with which it can be resumed."""
        return self._operation.id

    @property
    def unproven(self) -> int:
        """The number of events so far that count as not processed, because their rows in the ledger are not proven."""
        return len(self._missing.unproven)

    def survey(self) -> Iterator[Portion]:
        """Find the events that it would deliver."""
        before = self._checkpoints.read()

        def find(partition: Partition, running: Running) -> Iterator[Portion]:
            for some in _portions(partition, before.get(partition.name), running, _PORTION):
                wanted = self._missing.of(some)
                yield Portion([Outcome(line) for line in wanted], len(some) - len(wanted), some[-1].position)

        return in_parallel(self._partitions, find)

    def run(self, rate_limit: RateLimit, *, reason: str = "") -> Iterator[Portion]:
        """Deliver the events, and yield each portion. The end is recorded after the last portion.

        The events of each stream are delivered in the order of recording. If the caller stops iterating, or the process
        is killed, the replay can be resumed. Raises FinishedElsewhere.
        """
        delivery = Delivery(self._connection, self.consumer.name, before=rate_limit.wait)
        if not self._operation.is_recorded:
            self._operation.commit(self._started(reason))
        before = self._checkpoints.read()

        def deliver(partition: Partition, running: Running) -> Iterator[Portion]:
            row = before.get(partition.name) or _Checkpoint(partition.name)
            for some in _portions(partition, row, running, rate_limit.portion(_PORTION)):
                wanted = self._missing.of(some)
                portion = Portion(list(delivery.deliver(wanted)), len(some) - len(wanted), some[-1].position)
                row = row.after(portion)
                self._checkpoints.write(row)
                yield portion
            if running() and not row.done:
                self._checkpoints.write(replace(row, done=True))

        yield from in_parallel(self._partitions, deliver)
        delivered = self._checkpoints.delivered()
        finished = ReplayFinished(**self._operation.about, consumer=self.consumer.name, delivered=delivered)
        if not self._operation.try_to_commit(finished):
            raise FinishedElsewhere(f"another operator has resumed the replay {self.id} and finished it")

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
    """The position that a partition has reached, and the numbers up to there."""

    partition: str
    position: str = ""
    delivered: int = 0
    skipped: int = 0
    not_delivered: int = 0
    done: bool = False

    def after(self, portion: Portion) -> Self:
        delivered = sum(outcome.delivered for outcome in portion.outcomes)
        return replace(
            self,
            position=portion.position,
            delivered=self.delivered + delivered,
            skipped=self.skipped + portion.skipped,
            not_delivered=self.not_delivered + len(portion.outcomes) - delivered,
        )


class _Checkpoints:
    """The checkpoints of one replay in the ledger's table. If two processes write one, the last write wins."""

    def __init__(self, connection: Connection, operation_id: str, partitions: Sequence[Partition]) -> None:
        self._connection = connection
        self._table = connection.names.ledger
        self._keys = {each.name: ledger_keys.of_checkpoint(operation_id, each.name) for each in partitions}

    def read(self) -> Mapping[str, _Checkpoint]:
        rows = [unpack_item(item) for item in self._connection.items(self._table, self._keys.values())]
        names = _Checkpoint.__dataclass_fields__.keys()
        return {row["partition"]: _Checkpoint(**{name: row[name] for name in names}) for row in rows}

    def write(self, row: _Checkpoint) -> None:
        item = {**self._keys[row.partition], "written_at": clock.now(), **asdict(row)}
        self._connection.dynamodb.put_item(TableName=self._table, Item=pack_item(item))

    def delivered(self) -> int:
        return sum(row.delivered for row in self.read().values())


def _portions(
    partition: Partition, row: _Checkpoint | None, running: Running, size: int
) -> Iterator[list[JournalEntry]]:
    """The rest of the partition after its checkpoint, in portions of this size."""
    if not (row and row.done):
        yield from chunks(partition.read(row.position if row else "", running), size)


def _effects_of(consumer: Consumer, subscriptions: Subscriptions, deployed: Mapping[str, Consumer]) -> list[Consumer]:
    """The effects that may follow from the events that the consumer emits, directly or through other consumers, by
    name.

    The consumer itself is included only if its own events lead to it.
    """
    waiting, seen = list(consumer.emits), set(consumer.emits)
    found: dict[str, Consumer] = {}
    while waiting:
        event_type = waiting.pop()
        names = subscriptions.consumers(published_source(event_type), event_type)
        for follower in (deployed[name] for name in names if name in deployed):
            if follower.kind == "effect":
                found[follower.name] = follower
            waiting += [each for each in follower.emits if each not in seen]
            seen.update(follower.emits)
    return [found[name] for name in sorted(found)]
