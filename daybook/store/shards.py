"""Sharded rows, for counters that many transactions write at once: each writes one shard, and readers add them up.

    MINUTE = Shards(shards_needed(rate=500, seconds=0.02, conflicts=0.1))
    MINUTE.shard_id("2026-03-01T12:00", transaction_id)
    MINUTE.all_ids("2026-03-01T12:00")

DynamoDB rejects a transaction on a row that another transaction is writing, even if both only add
(https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis.html#transaction-conflict-handling).
"""

import math
import zlib
from dataclasses import dataclass


def shards_needed(*, rate: float, seconds: float, conflicts: float) -> int:
    """The smallest number of shards with which at most the fraction `conflicts` of all transactions has a conflict.

    `rate` is the number of transactions a second, `seconds` the duration of one. If attempts arrive at random at the
    rate r on n shards, an attempt has no conflict with the probability exp(-r·seconds/n): no other attempt arrived in
    the time `seconds` before it (N. Abramson, The ALOHA System, AFIPS 1970; there both of two colliding attempts fail,
    here only the second). So n = r·seconds / -ln(1 - conflicts). Conflicts are retried: r = rate / (1 - conflicts).
    """
    attempts = rate / (1 - conflicts)
    return math.ceil(attempts * seconds / -math.log(1 - conflicts))


@dataclass(frozen=True, slots=True)
class Shards:
    """The shards of one kind of row. The `number` may grow. It must not shrink: readers would miss shards."""

    number: int

    def shard_id(self, row: str, key: str) -> str:
        """The id of the shard of `row` for this key. The same key always has the same shard."""
        return f"{row}#{zlib.crc32(key.encode()) % self.number}"

    def all_ids(self, row: str) -> list[str]:
        """The ids of all shards of `row`."""
        return [f"{row}#{shard}" for shard in range(self.number)]
