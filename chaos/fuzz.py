"""Bad and odd events at both doors: each ends handled, or dead with a reason, and the system goes on."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import TYPE_CHECKING

from bench import machine
from chaos import report
from chaos.fates import ADMIT, Account, Fate, Fates, Put
from chaos.memory import CLOUD, Memory
from chaos.oddities import MARK, Odd, generate, waits_for_newer_code
from chaos.traffic import INGRESS, Traffic, entry
from daybook.contracts.identity import admitted_id
from daybook.local.system import STAGE, up
from daybook.operate.connection import Connection
from daybook.operate.consumers import Consumer, consumers
from daybook.operate.idle import wait_until_idle
from daybook.operate.subscriptions import Subscriptions, published_source
from daybook.store.ledger import COMMITTED

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from chaos.checker.world import Sent
    from daybook.local.cloud import Cloud
    from daybook.local.progress import Progress

_SLICE = 500  # messages, after which those that wait are counted
_MOST_WAITING = 1_000
# Seconds in which no queue has grown shorter, after which nothing more is expected; on a busy machine work goes slowly.
_STILL = 180.0
_LOOK = 1.0  # seconds between two looks at the queues
_EARLY = 2_000  # messages, after which memory is looked at for the first time
_MAY_GROW = 1.25  # times: what a larger batch takes for a moment, and Python does not give back
_MOST_ENTRIES = 10  # quota of PutEvents and of SendMessageBatch
_MOST_BYTES = 1_000_000  # of a request, with room for what stands around the bodies
_LARGEST = 3  # functions whose memory is shown
_SHOWN = 10  # faults of one kind


_MEANINGS = {
    Fate.DUPLICATE: "of one that was handled, and known as such",
    Fate.SENT_AGAIN: "dead, until a later one that was sent under its id took its place, which is dead too",
    Fate.NUDGE: "an ordered consumer was told of an event, and the store, where it looks, has none",
    Fate.WAITS: "of a version that nobody knows yet; it was in its queue, noted, until that was emptied by hand",
    Fate.NOT_TAKEN: "AWS's API refused it",
}


# The error of a dead letter that somebody has sent with an error of their own.
_SAID = "as its sender said"


def run(progress: Progress, *, seed: int, events: int) -> bool:
    """Send so many messages to a system of its own, and hold what became of them against what is promised.

    Writes its part of docs/chaos.md. Returns whether all held; prints what did not.
    """
    began = time.monotonic()
    with up(progress) as cloud, Memory(cloud) as memory:
        result = Fuzzing(progress, cloud, memory).run(seed, events)
    result.seconds = time.monotonic() - began
    for fault in result.faults:
        progress.say(f"  WRONG: {fault}")
    report.write("fuzz", result.markdown(seed))
    progress.say(result.summary)
    return not result.faults


@dataclass
class Result:
    """What was done, and what was found."""

    accounts: list[Account]
    faults: list[str]
    early: Mapping[str, int]
    highest: Mapping[str, int]
    seconds: float = 0.0

    @property
    def summary(self) -> str:
        """One sentence."""
        fates = Counter(account.fate for account in self.accounts)
        told = ", ".join(f"{number:,} {fate}" for fate, number in fates.most_common())
        return f"{len(self.accounts):,} messages: {told}; {len(self.faults)} faults"

    def grown(self) -> list[str]:
        """Processes whose memory has gone on growing with the number of messages."""
        return [
            f"a process of {name} has grown from {_mb(self.early[name])} to {_mb(size)} MB"
            for name, size in self.highest.items()
            if name != CLOUD and size > self.early.get(name, size) * _MAY_GROW
        ]

    def markdown(self, seed: int) -> str:
        """The part of the report."""
        return "\n\n".join(self._paragraphs(seed))

    def _paragraphs(self, seed: int) -> Iterator[str]:
        yield "## Bad and odd events"
        yield (
            f"{len(self.accounts):,} messages, seed {seed}, in {self.seconds / 60:.0f} minutes, on "
            f"{datetime.now(UTC):%Y-%m-%d}. Machine: {machine.description()}."
        )
        if self.faults:
            yield "**Not all held:**"
            yield "\n".join(f"- {fault}" for fault in self.faults)
        else:
            yield (
                "**Each was handled, or is dead with a reason; nothing waited, nothing vanished.** An order, a reading "
                "and a transaction that came after them went all their way. No reason and no line of the log quotes "
                "what was sent, and no stream has a gap."
            )
        counts = Counter((account.put.odd.door, account.put.odd.kind, account.fate) for account in self.accounts)
        kinds = sorted({(account.put.odd.door, account.put.odd.kind) for account in self.accounts})
        met = [fate for fate in Fate if any(counts[door, kind, fate] for door, kind in kinds)]
        yield report.table(
            ("door", "kind", *met),
            [(door, kind, *(f"{counts[door, kind, fate]:,}" for fate in met)) for door, kind in kinds]
            + [("all", "", *(f"{sum(account.fate is fate for account in self.accounts):,}" for fate in met))],
        )
        told = [f"*{fate}*: {_MEANINGS[fate]}" for fate in met if fate in _MEANINGS]
        if told:
            yield f"{'; '.join(told)}."
        errors = Counter(
            _SAID if account.put.odd.attributes.get("error") else account.error
            for account in self.accounts
            if account.fate is Fate.DEAD
        )
        yield f"Of what is dead: {', '.join(f'{times:,} {error}' for error, times in errors.most_common())}."
        yield from self._memory()

    def _memory(self) -> Iterator[str]:
        """What is known of it; nothing on machines that do not tell it in Linux's way."""
        functions = {name: size for name, size in self.highest.items() if name != CLOUD}
        if not functions:
            return
        several = sorted(functions, key=lambda name: functions[name], reverse=True)[:_LARGEST]
        admit = [name for name in functions if name.endswith(f"-{ADMIT}")]
        yield report.table(
            ("function", "MB at the most", f"MB at the most, after the first {_EARLY:,} messages"),
            [(name, _mb(functions[name]), _mb(self.early.get(name, 0))) for name in dict.fromkeys([*admit, *several])],
        )
        yield f"Resident memory of one process, looked at each second, of {ADMIT}'s and of the {_LARGEST} largest."


def _mb(size: int) -> str:
    return f"{size / 1_000_000:.0f}"


class Fuzzing:
    """One run, against a system that is up."""

    def __init__(self, progress: Progress, cloud: Cloud, memory: Memory) -> None:
        self._progress = progress
        self._cloud = cloud
        self._memory = memory
        self._connection = Connection(STAGE, cloud.session(), endpoint=cloud.endpoint)
        self._sqs = cloud.client("sqs")
        self._events = cloud.client("events")
        self._began = datetime.now(UTC)
        self._puts: list[Put] = []
        self._faults: list[str] = []
        self._newer: list[Odd] = []
        pages = self._sqs.get_paginator("list_queues").paginate(QueueNamePrefix=self._connection.names.of(""))
        self._urls = {url.rpartition("/")[2]: url for page in pages for url in page.get("QueueUrls", [])}

    def run(self, seed: int, number: int) -> Result:
        """All of it."""
        there = consumers(self._connection)
        handles = {name: consumer.event for name, consumer in there.items()}
        with self._progress.step(f"making {number:,} messages"):
            odd = generate(seed, number, handles)
        # To an ordered consumer a message only says that it should look into the store, whatever its version.
        keys = [self._waits(one, there) for one in odd]
        self._newer = [one for one, key in zip(odd, keys, strict=True) if key]
        others = [one for one, key in zip(odd, keys, strict=True) if not key]
        early = self._memory.highest()
        for begin in range(0, len(others), _EARLY):
            end = min(begin + _EARLY, len(others))
            with self._progress.step(f"sending {begin + 1:,} to {end:,}"):
                for start in range(begin, end, _SLICE):
                    self._put(others[start : min(start + _SLICE, end)])
                    self._drained(_MOST_WAITING)
            if begin == 0:
                with self._progress.step("waiting until these are through"):
                    self._drained(0)
                early = self._memory.highest()
        with self._progress.step("waiting until nothing waits"):
            for queue, left in self._drained(0).items():
                self._faults.append(f"{left} messages still wait in {queue}")
        with self._progress.step("events of newer versions"):
            self._put(self._newer)
            self._newer_wait([key for key in keys if key])
        with self._progress.step("good events"):
            self._good()
        with self._progress.step("looking what became of each"):
            accounts = self._look()
        result = Result(accounts, self._faults, early, self._memory.highest())
        result.faults += result.grown()
        return result

    @staticmethod
    def _waits(odd: Odd, there: Mapping[str, Consumer]) -> tuple[str, str] | None:
        consumer = there.get(odd.queue)
        return waits_for_newer_code(odd, consumer.event) if consumer and not consumer.ordered else None

    # --- sending --------------------------------------------------------------------------------------------------

    def _put(self, several: Sequence[Odd]) -> None:
        by_place = sorted(several, key=lambda odd: odd.queue)
        for queue, odds in groupby(by_place, key=lambda odd: odd.queue):
            for batch in _batches(list(odds)):
                self._puts += self._send(queue, batch) if queue else self._put_events(batch)

    def _put_events(self, batch: Sequence[Odd]) -> Iterator[Put]:
        answer = self._events.put_events(
            Entries=[
                {"EventBusName": INGRESS, "Source": odd.source, "DetailType": odd.type, "Detail": odd.body}
                for odd in batch
            ]
        )
        for odd, said in zip(batch, answer["Entries"], strict=True):
            yield Put(odd=odd, envelope=said.get("EventId", ""), refused=said.get("ErrorCode", ""))

    def _send(self, queue: str, batch: Sequence[Odd]) -> Iterator[Put]:
        answer = self._sqs.send_message_batch(
            QueueUrl=self._urls[self._connection.names.of(queue)],
            Entries=[
                {
                    "Id": str(number),
                    "MessageBody": odd.body,
                    "MessageAttributes": {
                        name: {"DataType": "String", "StringValue": value} for name, value in odd.attributes.items()
                    },
                }
                for number, odd in enumerate(batch)
            ],
        )
        refused = {failed["Id"]: failed["Code"] for failed in answer.get("Failed", [])}
        for number, odd in enumerate(batch):
            yield Put(odd=odd, refused=refused.get(str(number), ""))

    # --- waiting --------------------------------------------------------------------------------------------------

    def _waiting(self) -> dict[str, int]:
        """How many messages each queue holds, of those that hold any."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = {}
        for queue, url in self._urls.items():
            told = self._sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
            if several := sum(int(told.get(name, 0)) for name in names):
                found[queue] = several
        return found

    def _drained(self, most: int) -> dict[str, int]:
        """Wait until no more than that wait in all; for none, until nothing is under way either. Returns what waits."""
        fewest, since = None, time.monotonic()
        while True:
            waiting = self._waiting()
            number = sum(waiting.values())
            if number <= most and (most or self._quiet()):
                return {}
            now = time.monotonic()
            if fewest is None or number < fewest:
                fewest, since = number, now
            if now > since + _STILL:
                return waiting
            time.sleep(_LOOK)

    def _quiet(self) -> bool:
        soon = datetime.now(UTC) + timedelta(seconds=30)
        return not wait_until_idle(self._connection, self._began, soon) and not self._waiting()

    def _newer_wait(self, keys: Sequence[tuple[str, str]]) -> None:
        """They are neither lost nor dead while they wait; then they are taken away, and nothing is left."""
        until = time.monotonic() + _STILL
        find = self._connection.ledger.find
        while time.monotonic() < until and not all(find(event, consumer) for event, consumer in keys):
            time.sleep(_LOOK)
        waiting = self._waiting()
        for consumer, number in Counter(consumer for _, consumer in keys).items():
            queue = self._connection.names.of(consumer)
            if waiting.get(queue, 0) != number:
                self._faults.append(f"{waiting.get(queue, 0)} of {number} events of newer versions wait in {queue}")
            self._sqs.purge_queue(QueueUrl=self._urls[queue])
        for queue, left in self._drained(0).items():
            self._faults.append(f"{left} messages still wait in {queue} after it was emptied")

    # --- afterwards -----------------------------------------------------------------------------------------------

    def _good(self) -> None:
        """An order, a reading and a transaction go all their way."""
        traffic = Traffic(seed=0, scale=100)
        order = traffic.order(1, payment_method="pm_card_visa")
        others = [one for one in traffic.lot(2, 3) if one.type != order.type]
        ids = self._arrive(list(traffic.morning())) | self._arrive([order, *others])
        subscriptions = Subscriptions.of(self._connection)
        for event, one in ids.items():
            for consumer in (ADMIT, *subscriptions.consumers(published_source(one.type), one.type)):
                row = self._connection.ledger.find(event, consumer)
                if row is None or row.state != COMMITTED:
                    state = row.state if row else "unknown"
                    self._faults.append(f"after all that, a good {one.type} is {state} at {consumer}")
        types = [event.metadata.type for event in self._connection.store.stream(f"order/{order.data['order_id']}")]
        if types != ["OrderPlaced", "OrderConfirmed"]:
            self._faults.append(f"after all that, a good order came to {types}")

    def _arrive(self, sent: Sequence[Sent]) -> dict[str, Sent]:
        """Send events, and wait until all that comes of them is done. By their ids."""
        for begin in range(0, len(sent), _MOST_ENTRIES):
            self._events.put_events(Entries=[entry(one) for one in sent[begin : begin + _MOST_ENTRIES]])
        ids = {admitted_id(self._connection.account, one.source, one.producer_id): one for one in sent}
        until = datetime.now(UTC) + timedelta(seconds=_STILL)
        if left := wait_until_idle(self._connection, self._began, until, expected=ids):
            self._faults.append(f"after all that, good events are still under way after minutes: {left[:3]}")
        return ids

    def _look(self) -> list[Account]:
        fates = Fates(self._connection)
        accounts = fates.of(self._puts)
        lost: dict[tuple[str, str], list[Account]] = defaultdict(list)
        for account in accounts:
            if account.fate is Fate.VANISHED or (account.fate is Fate.WAITS and account.put.odd not in self._newer):
                lost[account.put.odd.door, account.put.odd.kind].append(account)
        for (door, kind), several in lost.items():
            some = "; ".join(account.put.odd.queue + " " + account.put.odd.body[:200] for account in several[:3])
            self._faults.append(f"{len(several)} messages vanished: {kind}, into {door}: {some}")
        for letter in fates.quoting[:_SHOWN]:
            self._faults.append(f"the reason of {letter} quotes what was sent")
        for letter in fates.silent[:_SHOWN]:
            self._faults.append(f"{letter} is dead without a reason")
        with self._cloud.log.open(encoding="utf-8", errors="replace") as log:
            shown = [line for line in log if MARK in line]
        if shown:
            self._faults.append(f"{len(shown)} lines of the log quote what was sent, for example: {shown[0][:500]}")
        self._faults += list(self._gaps())
        return accounts

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
                yield f"the stream {stream} has gaps"


def _batches(odds: Sequence[Odd]) -> Iterator[list[Odd]]:
    """As many together as one request may hold."""
    batch: list[Odd] = []
    size = 0
    for odd in odds:
        own = len(odd.body.encode())
        if batch and (len(batch) == _MOST_ENTRIES or size + own > _MOST_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(odd)
        size += own
    if batch:
        yield batch
