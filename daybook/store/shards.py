"""Rows that many transactions meet in, split into shards: each transaction writes one of them, and their sum counts.

    MINUTE = Shards(enough(rate=500, seconds=0.02, conflicts=0.1))
    MINUTE.one("2026-03-01T12:00", transaction_id)
    MINUTE.all("2026-03-01T12:00")

DynamoDB refuses a transaction that meets another one under way on a row, though both only add
(https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis.html#transaction-conflict-handling).
"""

import math
import zlib
from dataclasses import dataclass


def enough(*, rate: float, seconds: float, conflicts: float) -> int:
    """The fewest shards with which at most the share `conflicts` of all transactions meets another one under way.

    `rate` is how many transactions come in a second, `seconds` how long each is under way. Of tries that come at random
    at the rate r and are spread over n shards, one is spared with the probability exp(-r·seconds/n), that nobody else
    has come in the time before (N. Abramson, The ALOHA System, AFIPS 1970; there both that meet are lost, here only the
    second). So n = r·seconds / -ln(1 - conflicts). Who meets another comes again: r = rate / (1 - conflicts).
    """
    tries = rate / (1 - conflicts)
    return math.ceil(tries * seconds / -math.log(1 - conflicts))


@dataclass(frozen=True, slots=True)
class Shards:
    """The shards of one kind of rows. Their `number` may grow, and the sums stay right; fewer would overlook some."""

    number: int

    def one(self, row: str, key: str) -> str:
        """The shard of `row` for what has this key: always the same."""
        return f"{row}#{zlib.crc32(key.encode()) % self.number}"

    def all(self, row: str) -> list[str]:
        """All shards of `row`."""
        return [f"{row}#{shard}" for shard in range(self.number)]
