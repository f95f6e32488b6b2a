"""The shards of the journal: how many partitions an hour has.

One partition of an index accepts 1,000 writes a second, and an index that throttles, throttles its table
(https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/gsi-throttling.html). So an hour with n shards accepts
at most n times 1,000 events a second. Readers make a query for each shard of each hour.

The number may change from an hour on. It is announced in a row of the ledger's table, at least LEAD before that hour.
Each process reads the row before it first needs a number, and again after half of that time, so that all processes know
the number of an hour when it begins. Readers take the larger one of the numbers of the hour and of the hour before it:
so they also find the events of a process that is late.
"""

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from daybook.contracts import clock
from daybook.store import ledger_keys
from daybook.store.attributes import pack, pack_item, unpack_item

# Each number is a multiple of this one. Then `shard % PARTS` of a stream is the same for all numbers, and readers that
# read the shards of a part together read each stream in order (see Journal.part).
PARTS = 8
MOST_SHARDS = 256

LEAD = timedelta(hours=1)

HOUR = timedelta(hours=1)
_HOUR = len("2026-03-01T09")


class BadShards(ValueError):
    """The row with the numbers was changed by hand: one of them is no number that `daybook shards` announces."""


def hour_of(moment: datetime) -> datetime:
    """The start of the hour in UTC that contains the moment."""
    return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def journal_bucket(recorded_at: str, shard: int) -> str:
    """The journal's partition key for an hour and a shard: `2026-03-01T09#3`."""
    return f"{recorded_at[:_HOUR]}#{shard}"


def journal_shard(stream: str, shards: int) -> int:
    """The shard of a stream in an hour with this number of shards."""
    return zlib.crc32(stream.encode()) % shards


@dataclass(frozen=True, slots=True)
class ShardNumbers:
    """The number of shards of each hour: `first` before any announcement, then those in `announced`, by the hour from
    which each is valid (`2026-03-01T09`).
    """

    first: int
    announced: Mapping[str, int]

    def of_hour(self, recorded_at: str) -> int:
        """The number of shards of the hour in which this time is: what writers use."""
        hour = recorded_at[:_HOUR]
        since = max((each for each in self.announced if each <= hour), default=None)
        return self.announced[since] if since else self.first

    def to_read(self, recorded_at: str) -> int:
        """The largest number of shards that a writer may have used in the hour in which this time is."""
        before = clock.timestamp(clock.moment(recorded_at) - HOUR)
        return max(self.of_hour(recorded_at), self.of_hour(before))


class JournalShards:
    """The number of shards of each hour. `table` is the ledger's table, `first` the number before any announcement."""

    def __init__(self, dynamodb: Any, table: str, first: int) -> None:
        self._dynamodb = dynamodb
        self._table = table
        self._first = first
        self._known: tuple[datetime, ShardNumbers] | None = None  # when the row was read, and what it had

    def numbers(self) -> ShardNumbers:
        """The numbers, as this process knows them: the row was read in the last half of LEAD."""
        now = datetime.now(UTC)
        age = now - self._known[0] if self._known else LEAD
        if self._known is None or age >= LEAD / 2:
            try:
                self._known = now, ShardNumbers(self._first, self.announced())
            except Exception:
                if self._known is None or age >= LEAD:
                    raise  # what was read is no longer valid for sure
        return self._known[1]

    def of_hour(self, recorded_at: str) -> int:
        """See ShardNumbers."""
        return self.numbers().of_hour(recorded_at)

    def to_read(self, recorded_at: str) -> int:
        """See ShardNumbers."""
        return self.numbers().to_read(recorded_at)

    def valid(self, recorded_at: str, announced: Mapping[str, int]) -> int:
        """The number of an hour, if these numbers are announced."""
        return ShardNumbers(self._first, announced).of_hour(recorded_at)

    def announced(self) -> dict[str, int]:
        """The announced numbers, by the hour from which each is valid (`2026-03-01T09`). A consistent read. Raises
        BadShards.
        """
        answer = self._dynamodb.get_item(TableName=self._table, Key=pack_item(ledger_keys.SHARDS), ConsistentRead=True)
        numbers: dict[str, int] = unpack_item(answer.get("Item", {})).get("shards", {})
        if not all(number in range(PARTS, MOST_SHARDS + 1, PARTS) for number in numbers.values()):
            raise BadShards(f"the row {ledger_keys.SHARDS['key']} has the numbers {numbers}; see `daybook shards`")
        return numbers

    def announcement(self, hour: datetime, shards: int, announced: Mapping[str, int]) -> dict[str, Any]:
        """The part of a transaction that announces a number from an hour on, on the condition that `announced` is what
        was announced before.
        """
        new = {**announced, clock.timestamp(hour)[:_HOUR]: shards}
        return {
            "Put": {
                "TableName": self._table,
                "Item": pack_item(ledger_keys.SHARDS | {"shards": new}),
                "ConditionExpression": "attribute_not_exists(#key) OR #shards = :read",
                "ExpressionAttributeNames": {"#key": "key", "#shards": "shards"},
                "ExpressionAttributeValues": {":read": pack(dict(announced))},
            }
        }
