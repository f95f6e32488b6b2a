"""Send invalid and unusual events to the ingress bus and to queues: each is handled, or dead with a reason."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import TYPE_CHECKING

from bench import machine
from chaos import report
from chaos.fuzz_messages import MARKER, Message, generate
from chaos.fuzz_results import ADMIT, LedgerStatuses, MessageResult, SentMessage, Status
from chaos.memory import CLOUD, Memory
from chaos.traffic import INGRESS, Traffic, entry
from daybook.contracts.identity import admitted_id
from daybook.local.system import STAGE, up
from daybook.operate.connection import Connection
from daybook.operate.consumers import consumers
from daybook.operate.idle import wait_until_idle
from daybook.operate.subscriptions import Subscriptions, published_source
from daybook.store.ledger import COMMITTED
from daybook.store.limits import PUT_EVENTS_ENTRIES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from chaos.checker.snapshot import Sent
    from daybook.local.cloud import Cloud
    from daybook.local.progress import Progress

_BATCH = 500  # messages; then wait for the queues
_MAX_WAITING = 1_000
# Seconds without any progress of the queues, after which the test stops waiting. A busy machine is slow.
_NO_PROGRESS_TIMEOUT = 180.0
_INTERVAL = 1.0  # seconds between two checks of the queues
_FIRST_MESSAGES = 2_000  # messages after which memory is measured for comparison
_GROWTH_FACTOR = 1.25  # a larger batch takes more memory for a moment, and Python does not return it
_MAX_REQUEST_BYTES = 1_000_000  # of a request, with room for its other fields
_LARGEST = 3  # number of functions whose memory is shown
_SHOWN = 10  # at most, of similar problems


_MEANINGS = {
    Status.DUPLICATE: "recognized as a duplicate of a handled message",
    Status.REPLACED: "dead; a later dead letter with the same id took its place",
    Status.NOT_ACCEPTED: "AWS's API refused it",
}


# The error of a dead letter that was sent with an error of its own.
_ERROR_OF_SENDER = "an error given by the sender"


def run(progress: Progress, *, seed: int, events: int) -> bool:
    """Send this many messages to a new system, and check the result of each.

    Writes its part of docs/chaos.md. Returns whether there were no problems; prints those found.
    """
    began = time.monotonic()
    with up(progress) as cloud, Memory(cloud) as memory:
        result = Fuzzing(progress, cloud, memory).run(seed, events)
    result.seconds = time.monotonic() - began
    for problem in result.problems:
        progress.say(f"  PROBLEM: {problem}")
    report.write("fuzz", result.markdown(seed))
    progress.say(result.summary)
    return not result.problems


@dataclass
class Result:
    """The results of a run."""

    results: list[MessageResult]
    problems: list[str]
    early: Mapping[str, int]
    highest: Mapping[str, int]
    seconds: float = 0.0

    @property
    def summary(self) -> str:
        """One sentence."""
        statuses = Counter(result.status for result in self.results)
        counts = ", ".join(f"{number:,} {status}" for status, number in statuses.most_common())
        return f"{len(self.results):,} messages: {counts}; {len(self.problems)} problems"

    def grown(self) -> list[str]:
        """Processes whose memory grows with the number of messages."""
        return [
            f"a process of {name} has grown from {_mb(self.early[name])} to {_mb(size)} MB"
            for name, size in self.highest.items()
            if name != CLOUD and size > self.early.get(name, size) * _GROWTH_FACTOR
        ]

    def markdown(self, seed: int) -> str:
        """The part of the report."""
        return "\n\n".join(self._paragraphs(seed))

    def _paragraphs(self, seed: int) -> Iterator[str]:
        yield "## Fuzz: invalid and unusual events"
        yield (
            f"{len(self.results):,} messages, seed {seed}, in {self.seconds / 60:.0f} minutes, on "
            f"{datetime.now(UTC):%Y-%m-%d}. Machine: {machine.description()}."
        )
        if self.problems:
            yield "**There are problems:**"
            yield "\n".join(f"- {problem}" for problem in self.problems)
        else:
            yield (
                "**Each was handled, or is dead with a reason; none is waiting or lost.** An order, a reading and a "
                "transaction that were sent afterwards were handled by all their consumers. No reason and no log line "
                "contains personal data of a message, and no stream has missing sequence numbers."
            )
        counts = Counter(
            (result.sent.message.entry_point, result.sent.message.kind, result.status) for result in self.results
        )
        kinds = sorted({(result.sent.message.entry_point, result.sent.message.kind) for result in self.results})
        met = [status for status in Status if any(counts[entry_point, kind, status] for entry_point, kind in kinds)]
        yield report.table(
            ("sent to", "kind", *met),
            [
                (entry_point, kind, *(f"{counts[entry_point, kind, status]:,}" for status in met))
                for entry_point, kind in kinds
            ]
            + [("all", "", *(f"{sum(result.status is status for result in self.results):,}" for status in met))],
        )
        meanings = [f"*{status}*: {_MEANINGS[status]}" for status in met if status in _MEANINGS]
        if meanings:
            yield f"{'; '.join(meanings)}."
        errors = Counter(
            _ERROR_OF_SENDER if result.sent.message.attributes.get("error") else result.error
            for result in self.results
            if result.status is Status.DEAD
        )
        yield f"Errors of dead letters: {', '.join(f'{times:,} {error}' for error, times in errors.most_common())}."
        yield from self._memory()

    def _memory(self) -> Iterator[str]:
        """The memory of functions; nothing on machines without Linux's /proc."""
        functions = {name: size for name, size in self.highest.items() if name != CLOUD}
        if not functions:
            return
        several = sorted(functions, key=lambda name: functions[name], reverse=True)[:_LARGEST]
        admit = [name for name in functions if name.endswith(f"-{ADMIT}")]
        yield report.table(
            ("function", "maximum MB", f"maximum MB after the first {_FIRST_MESSAGES:,} messages"),
            [(name, _mb(functions[name]), _mb(self.early.get(name, 0))) for name in dict.fromkeys([*admit, *several])],
        )
        yield f"Resident memory of one process, measured each second, of {ADMIT} and the {_LARGEST} largest functions."


def _mb(size: int) -> str:
    return f"{size / 1_000_000:.0f}"


class Fuzzing:
    """One run, against a running system."""

    def __init__(self, progress: Progress, cloud: Cloud, memory: Memory) -> None:
        self._progress = progress
        self._cloud = cloud
        self._memory = memory
        self._connection = Connection(STAGE, cloud.session(), endpoint=cloud.endpoint)
        self._sqs = cloud.client("sqs")
        self._events = cloud.client("events")
        self._began = datetime.now(UTC)
        self._sent: list[SentMessage] = []
        self._problems: list[str] = []
        pages = self._sqs.get_paginator("list_queues").paginate(QueueNamePrefix=self._connection.names.of(""))
        self._urls = {url.rpartition("/")[2]: url for page in pages for url in page.get("QueueUrls", [])}

    def run(self, seed: int, number: int) -> Result:
        """Send all messages and check all results."""
        deployed = consumers(self._connection)
        event_types = {name: consumer.event for name, consumer in deployed.items()}
        with self._progress.step(f"generating {number:,} messages"):
            generated = generate(seed, number, event_types)
        early = self._memory.highest()
        for begin in range(0, len(generated), _FIRST_MESSAGES):
            end = min(begin + _FIRST_MESSAGES, len(generated))
            with self._progress.step(f"sending {begin + 1:,} to {end:,}"):
                for start in range(begin, end, _BATCH):
                    self._send(generated[start : min(start + _BATCH, end)])
                    self._wait_for_queues(_MAX_WAITING)
            if begin == 0:
                with self._progress.step("waiting until these are processed"):
                    self._wait_for_queues(0)
                early = self._memory.highest()
        with self._progress.step("waiting until the queues are empty"):
            for queue, left in self._wait_for_queues(0).items():
                self._problems.append(f"{left} messages are still waiting in {queue}")
        with self._progress.step("sending valid events"):
            self._check_good_events()
        with self._progress.step("checking all results"):
            results = self._check_results()
        result = Result(results, self._problems, early, self._memory.highest())
        result.problems += result.grown()
        return result

    # --- sending --------------------------------------------------------------------------------------------------

    def _send(self, several: Sequence[Message]) -> None:
        by_queue = sorted(several, key=lambda message: message.queue)
        for queue, messages in groupby(by_queue, key=lambda message: message.queue):
            for batch in _batches(list(messages)):
                self._sent += self._send_to_queue(queue, batch) if queue else self._put_events(batch)

    def _put_events(self, batch: Sequence[Message]) -> Iterator[SentMessage]:
        answer = self._events.put_events(
            Entries=[
                {"EventBusName": INGRESS, "Source": message.source, "DetailType": message.type, "Detail": message.body}
                for message in batch
            ]
        )
        for message, entry_result in zip(batch, answer["Entries"], strict=True):
            yield SentMessage(
                message=message, envelope=entry_result.get("EventId", ""), refused=entry_result.get("ErrorCode", "")
            )

    def _send_to_queue(self, queue: str, batch: Sequence[Message]) -> Iterator[SentMessage]:
        answer = self._sqs.send_message_batch(
            QueueUrl=self._urls[self._connection.names.of(queue)],
            Entries=[
                {
                    "Id": str(number),
                    "MessageBody": message.body,
                    "MessageAttributes": {
                        name: {"DataType": "String", "StringValue": value} for name, value in message.attributes.items()
                    },
                }
                for number, message in enumerate(batch)
            ],
        )
        refused = {failed["Id"]: failed["Code"] for failed in answer.get("Failed", [])}
        for number, message in enumerate(batch):
            yield SentMessage(message=message, refused=refused.get(str(number), ""))

    # --- waiting --------------------------------------------------------------------------------------------------

    def _waiting(self) -> dict[str, int]:
        """The number of messages in each queue that is not empty."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = {}
        for queue, url in self._urls.items():
            counts = self._sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
            if several := sum(int(counts.get(name, 0)) for name in names):
                found[queue] = several
        return found

    def _wait_for_queues(self, most: int) -> dict[str, int]:
        """Wait until at most `most` messages are in the queues; for 0, until the system is idle. Returns the rest."""
        fewest, since = None, time.monotonic()
        while True:
            waiting = self._waiting()
            number = sum(waiting.values())
            if number <= most and (most or self._is_idle()):
                return {}
            now = time.monotonic()
            if fewest is None or number < fewest:
                fewest, since = number, now
            if now > since + _NO_PROGRESS_TIMEOUT:
                return waiting
            time.sleep(_INTERVAL)

    def _is_idle(self) -> bool:
        soon = datetime.now(UTC) + timedelta(seconds=30)
        return not wait_until_idle(self._connection, self._began, soon) and not self._waiting()

    # --- checking -------------------------------------------------------------------------------------------------

    def _check_good_events(self) -> None:
        """Check that an order, a reading and a transaction are handled by all their consumers."""
        traffic = Traffic(seed=0, scale=100)
        order = traffic.order(1, payment_method="pm_card_visa")
        others = [one for one in traffic.batch(2, 3) if one.type != order.type]
        ids = self._send_good_events(list(traffic.initial_events())) | self._send_good_events([order, *others])
        subscriptions = Subscriptions.of(self._connection)
        for event, one in ids.items():
            for consumer in (ADMIT, *subscriptions.consumers(published_source(one.type), one.type)):
                row = self._connection.ledger.find(event, consumer)
                if row is None or row.state != COMMITTED:
                    state = row.state if row else "unknown"
                    self._problems.append(f"a valid {one.type} that was sent afterwards is {state} at {consumer}")
        types = [event.metadata.type for event in self._connection.store.stream(f"order/{order.data['order_id']}")]
        if types != ["OrderPlaced", "OrderConfirmed"]:
            self._problems.append(f"a valid order that was sent afterwards has the events {types}")

    def _send_good_events(self, sent: Sequence[Sent]) -> dict[str, Sent]:
        """Send events, and wait until they and all that follows from them are processed. Returns them by id."""
        for begin in range(0, len(sent), PUT_EVENTS_ENTRIES):
            self._events.put_events(Entries=[entry(one) for one in sent[begin : begin + PUT_EVENTS_ENTRIES]])
        ids = {admitted_id(self._connection.account, one.source, one.producer_id): one for one in sent}
        until = datetime.now(UTC) + timedelta(seconds=_NO_PROGRESS_TIMEOUT)
        if left := wait_until_idle(self._connection, self._began, until, expected=ids):
            self._problems.append(f"valid events that were sent afterwards are still in flight: {left[:3]}")
        return ids

    def _check_results(self) -> list[MessageResult]:
        statuses = LedgerStatuses(self._connection)
        results = statuses.results(self._sent)
        lost: dict[tuple[str, str], list[MessageResult]] = defaultdict(list)
        for result in results:
            if result.status in {Status.LOST, Status.WAITING}:
                lost[result.sent.message.entry_point, result.sent.message.kind].append(result)
        for (entry_point, kind), several in lost.items():
            some = "; ".join(result.sent.message.queue + " " + result.sent.message.body[:200] for result in several[:3])
            self._problems.append(f"{len(several)} messages are lost: {kind}, sent to {entry_point}: {some}")
        for dead_letter in statuses.quoting[:_SHOWN]:
            self._problems.append(f"the reason of {dead_letter} contains the message's content")
        for dead_letter in statuses.unexplained[:_SHOWN]:
            self._problems.append(f"{dead_letter} is dead without a reason")
        with self._cloud.log.open(encoding="utf-8", errors="replace") as log:
            shown = [line for line in log if MARKER in line]
        if shown:
            self._problems.append(f"{len(shown)} log lines contain a message's content, for example: {shown[0][:500]}")
        self._problems += list(self._gaps())
        return results

    def _gaps(self) -> Iterator[str]:
        places: dict[str, list[int]] = defaultdict(list)
        pages = self._connection.dynamodb.get_paginator("scan").paginate(
            TableName=self._connection.names.store,
            ProjectionExpression="#stream, #sequence",
            ExpressionAttributeNames={"#stream": "stream", "#sequence": "sequence"},
        )
        for page in pages:
            for item in page["Items"]:
                places[item["stream"]["S"]].append(int(item["sequence"]["N"]))
        for stream, sequences in places.items():
            if sorted(sequences) != list(range(1, len(sequences) + 1)):
                yield f"stream {stream} has missing sequence numbers"


def _batches(messages: Sequence[Message]) -> Iterator[list[Message]]:
    """Batches as large as one request may be."""
    batch: list[Message] = []
    size = 0
    for message in messages:
        own = len(message.body.encode())
        if batch and (len(batch) == PUT_EVENTS_ENTRIES or size + own > _MAX_REQUEST_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(message)
        size += own
    if batch:
        yield batch
