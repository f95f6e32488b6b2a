"""All DynamoDB requests of this project: every expression in the kernel and in the operator's commands."""

from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from boto3.dynamodb.conditions import Attr, Key

from daybook.consumers.effect_records import EffectRecords, InProgress
from daybook.consumers.generations import Generations
from daybook.consumers.switch import Paused, Switches
from daybook.consumers.view import Add, Change, SetIfNewer, row_changes
from daybook.consumers.work import Backbone, Work
from daybook.contracts.contract import Place
from daybook.operate.connection import Connection
from daybook.operate.dead_letters.index import Selection, change, dead_letters
from daybook.operate.tables import PlainTable
from daybook.runtime import settings
from daybook.runtime.keyring import Keyring
from daybook.runtime.names import Names
from daybook.runtime.settings import Settings
from daybook.store.attributes import pack, pack_item
from daybook.store.cursor import Cursor, Cursors, PendingEvent
from daybook.store.event_store import CORRELATION_INDEX, EventStore, successor
from daybook.store.journal import Journal, Span
from daybook.store.journal_shards import JournalShards, journal_bucket, journal_shard
from daybook.store.ledger import COMMITTED, DEAD, DEAD_INDEX, EFFECT_KEY, AlreadyDone, Ledger, LedgerEntry, Note
from daybook.store.ledger_keys import of_event
from daybook.store.schema import Index, Schema
from daybook.store.state import KEY, State, row_table
from daybook.store.timers import DueTable, Timer, Watermark, slots
from daybook.store.transaction import Backoff, ConditionsFailed, write, write_alone
from daybook.testing.keys import writer
from daybook.testing.tables import Definition, backbone_tables, definition
from tests.application.builders import a_draft, received_books, recorded

NAMES = Names("same")
STOCK, VIEW, WARDS = NAMES.of("books"), NAMES.of("view"), NAMES.of("wards")
_WATERMARK = Watermark(datetime(2026, 11, 23, 19, 10, tzinfo=UTC))
LONG = Backoff(lambda: 30.0)


class Stock(State, table="stock-of-a-test", key="isbn"):
    """A row to read, save and change."""

    isbn: str
    left: int = 0
    note: str = ""


class _DerivedKeys(Keyring):
    """A keyring that needs no KMS."""

    def _key(self, name: str) -> bytes:
        return writer(name).key


def tables() -> list[Definition]:
    """The tables of these requests."""
    by_ward = Schema(KEY, indexes=(Index("by-ward", "ward", KEY, carries=None),))
    return [
        *backbone_tables(NAMES),
        *(definition(name, row_table()) for name in (STOCK, VIEW)),
        definition(WARDS, by_ward),
    ]


def send_all(client: Any) -> None:
    """Send all requests once, and those with a condition that may fail twice."""
    _store(client)
    _ledger(client)
    _switches(client)
    _attempts(client)
    _cursors(client)
    _timers(client)
    _work(client)
    _views(client)
    _commands(client)


def _twice(client: Any, *parts: dict[str, Any]) -> None:
    for _ in range(2):
        try:
            write(client, {str(number): part for number, part in enumerate(parts)}, LONG)
        except ConditionsFailed:
            return


def _store(client: Any) -> None:
    now, shards = datetime.now(UTC), JournalShards(client, NAMES.ledger, NAMES.journal_shards)
    _twice(client, shards.announcement(now, 64, shards.announced()))
    _twice(client, shards.announcement(now - timedelta(hours=1), 16, shards.announced()))
    store = EventStore(client, NAMES.store, shards)
    first = recorded(received_books(), id="first")
    second = successor(a_draft(received_books(), id="second"), None, first.metadata.recorded_at, writer("consumer"))
    for envelope in (first, replace(second, in_correlation_index=True)):
        _twice(client, store.append(envelope))
    store.head("book/emma")
    store.head("book/nothing")
    list(store.stream("book/emma", after=0))
    list(store.positions_of_correlation(first.metadata.correlation_id))
    journal, span = Journal(client, NAMES.store, shards), Span(now - timedelta(days=400), now)
    list(journal.of_stream("book/emma"))
    bucket = journal_bucket(first.metadata.recorded_at, journal_shard("book/emma", 8))
    wanted: dict[str, Any] = {"event_types": ["BooksReceived", "LoanRequested"], "stream_prefix": "book/"}
    list(journal.entries(bucket, span))
    list(journal.entries(bucket, span, oldest_first=True, **wanted))
    list(journal.entries(bucket, span, event_type="BooksReceived", event_id="first", page_size=1))


def _ledger(client: Any) -> None:
    ledger = Ledger(client, NAMES.ledger)
    note = Note(message="m", deliveries=1, at="2026", error="KeyError", reason="why", failed_count=1)
    for noted in (note, replace(note, error="", deliveries=2)):
        ledger.note("one", "consumer", ("book/emma", 1), noted)
    details = {"error": "KeyError", "reason": "why", "body": "{}"}
    ledger.record_dead(LedgerEntry("one", "consumer", DEAD, "2026", "book/emma", 1, details=details))
    ledger.record_dead(LedgerEntry("two", "consumer", DEAD, "2027", details=details))
    done = LedgerEntry(
        "one", "consumer", COMMITTED, "2028", "book/emma", 1, ["two"], details={"more": {"a": [1, None]}}
    )
    _twice(client, ledger.record(done, writer("consumer")))
    _twice(client, ledger.record(replace(done, details={EFFECT_KEY: "trial/1001"}), writer("consumer")))
    _twice(client, ledger.still_dead("two", "consumer"))
    with suppress(ConditionsFailed):
        write_alone(client, "ledger", ledger.record(done, writer("consumer")), LONG)
    with suppress(AlreadyDone):
        ledger.record_dead(done)
    ledger.find("one", "consumer")
    list(ledger.find_all([of_event(event, "consumer") for event in ("one", "two", "three")], LONG))


def _switches(client: Any) -> None:
    switches = Switches(client, NAMES.ledger)
    paused = Paused(by="ada", reason="why", since="2026", operation="o-1")
    for consumer in ("paused", "broken"):
        switches.count_failure(consumer, "one")
        switches.count_failure(consumer, "two")
        switches.reset_failures(consumer)
        _twice(client, switches.pause(consumer, paused))
        switches.mark_off(consumer)
        switches.mark_on(consumer)
        _twice(client, switches.resume(consumer))
        switches.mark_on(consumer)
        for seconds in (-60, 60):
            switches.open(consumer, seconds)
            switches.count_failure(consumer, "three")
            switches.claim_trial(consumer, "t-1", 30)
            switches.claim_trial(consumer, "t-2", 30)
            switches.open_again(consumer, "t-1", seconds)
            switches.release_trial(consumer, "t-2")
            switches.claim_trial(consumer, "t-2", -60)
            switches.close(consumer, "t-2")
    list(switches.find_all(["paused", "broken", "absent"], LONG))


def _attempts(client: Any) -> None:
    attempts = EffectRecords(client, Ledger(client, NAMES.ledger), "effect")
    attempt = attempts.begin("idempotency_key", cause="one", seconds=-60)
    attempt.note(payment="p-1", session="s-1")
    attempt.withdraw()
    attempts.begin("idempotency_key", cause="one", seconds=-60).release()
    attempts.begin("idempotency_key", cause="one", seconds=30)
    with suppress(InProgress):
        attempts.begin("idempotency_key", cause="two", seconds=30)
    attempts.find("idempotency_key")


def _cursors(client: Any) -> None:
    cursors = Cursors(client, NAMES.ledger, "ordered", lambda: writer("ordered"))
    hold = PendingEvent(event="one", sequence=2, reason="KeyError", since="2026")
    for cursor in (Cursor("s", 1, 1), Cursor("s", 2, 2, hold), Cursor("s", 3, 3)):
        _twice(client, cursors.part(cursor))
    cursors.read("s")


def _timers(client: Any) -> None:
    due, at = DueTable(client, NAMES.due), "2026-11-23T19:10:00.000000Z"
    timer = Timer.proven(a_draft(received_books(), id="timer", time=at), Place.OPENS, writer("consumer"))
    _twice(client, due.schedule(timer))
    due.search(due.watermark() or _WATERMARK)
    for slot in slots(_WATERMARK.minute):
        for item in due.due(slot, at):
            _twice(client, *due.move(item, _WATERMARK.minute + timedelta(minutes=9)).values())
            due.remove(item)
    due.set_watermark(_WATERMARK)
    due.watermark()


def _work(client: Any) -> None:
    environment = {settings.table_variable(Stock.table): STOCK, settings.STAGE: NAMES.stage}
    backbone = Backbone(
        client,
        EventStore(client, NAMES.store, JournalShards(client, NAMES.ledger, NAMES.journal_shards)),
        Ledger(client, NAMES.ledger),
        DueTable(client, NAMES.due),
        _DerivedKeys(NAMES, {"dynamodb": client}.__getitem__),
        Settings(environment),
    )

    def work() -> Work:
        return Work(backbone, "consumer", recorded(received_books()).metadata, emits=(), backoff=LONG)

    for left in (3, 9):
        saving = work()
        saving.save(saving.read(Stock, "emma").evolve(left=left))
        _twice(client, *saving.parts()[0].values())
    for least, difference in ((0, -2), (-5, -12), (None, 4), (0, -99)):
        changing = work()
        changing.change(changing.read(Stock, "emma"), at_least=least, left=difference)
        _twice(client, *changing.parts()[0].values())


def _views(client: Any) -> None:
    for order in (2, 1, 3):
        changes: list[Change] = [
            SetIfNewer(Stock, "emma", order=order, fields={"note": str(order)}),
            Add(Stock, "emma", {"left": order}),
            Add(Stock, "cup", {"left": order}),
        ]
        _twice(client, *(each.part(VIEW) for each in row_changes(changes, f"event-{order}")))
    for version in (1, 2, 2):
        _twice(client, Generations(version=version).part(VIEW))


def _commands(client: Any) -> None:
    connection = Connection(NAMES.stage)
    connection.dynamodb = client
    everywhere, here = Selection(), Selection(consumer="consumer")
    found = [*dead_letters(connection, here), *dead_letters(connection, everywhere)]
    for dead_letter in found:
        _twice(client, change(connection, dead_letter, {"state": "discarded"}, remove=("dead",)))
    table = PlainTable(connection, WARDS)
    for number, ward in enumerate(("3", "3", "4")):
        client.put_item(TableName=WARDS, Item=pack_item({KEY: f"row-{number}", "ward": ward, "beds": number}))
    list(table.scan())
    list(table.scan(Attr("ward").eq("3")))
    list(table.query("by-ward", Key("ward").eq("3") & Key(KEY).gte("row-1"), Attr("beds").lt(5)))
    table.rows(["row-2", "row-0", "none"])
    keys = [{KEY: "row-0"}, {KEY: "row-2"}]
    list(connection.items(WARDS, keys, [KEY, "ward"]))
    only = {"ProjectionExpression": "#id", "ExpressionAttributeNames": {"#id": KEY}}
    for segment in range(2):
        client.scan(TableName=WARDS, Segment=segment, TotalSegments=2, Limit=1, ConsistentRead=True, **only)
    client.scan(TableName=NAMES.ledger, IndexName=DEAD_INDEX)
    client.query(
        TableName=NAMES.store,
        IndexName=CORRELATION_INDEX,
        KeyConditionExpression="correlation = :correlation",
        ExpressionAttributeValues={":correlation": pack("first")},
    )
    client.batch_write_item(RequestItems={WARDS: [{"DeleteRequest": {"Key": {KEY: pack("row-0")}}}]})
