"""The counterparties of each customer: their transfers, their order in time, and what a person has decided about them.

Counterparties are listed in blocks, so that a new sanctions list is compared with them block by block, newest first.
Each is in one block for each day on which it has transfers. Blocks are in shards: each transfer may write one.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from datetime import date
from typing import Annotated, Final, Literal

from daybook.consumers.work import Work
from daybook.contracts.contract import PERSONAL
from daybook.contracts.values import UtcTime
from daybook.store.shards import Shards, shards_needed
from daybook.store.state import State
from events.accounts import Transaction
from events.compliance import MAX_CASE_TRANSACTIONS, Match
from functions.compliance.cash_group import business_day
from functions.compliance.sanctions_list import entry_key
from functions.compliance.spelling import parse

_KEY_LENGTH: Final = 16  # hexadecimal digits, so 64 bits
# Of a block. All may match a new list: a case is two items, and a transaction of DynamoDB has at most 100
# (https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html).
_MAX_COUNTERPARTIES: Final = 25
# Assumed: 100 transfers a second to a counterparty that is the first one of its day, each written in 20 ms.
SHARDS: Final = Shards(shards_needed(rate=100, seconds=0.02, conflicts=0.1))


class KnownCounterparty(State, table="counterparties", key="customer_counterparty"):
    """A counterparty of a customer, with its transfers: their sums, and the ids of the first ones."""

    customer_counterparty: str
    name: Annotated[str, PERSONAL] = ""
    customer_id: str = ""
    counterparty: str = ""  # the pseudonym
    country: str = ""
    born_on: Annotated[date | None, PERSONAL] = None
    first_day: date | None = None
    last_day: date | None = None
    sums: dict[str, int] = {}  # minor units by currency
    count: int = 0
    transactions: tuple[str, ...] = ()


class Block(State, table="counterparty-blocks", key="block"):
    """Some counterparties: keys of their rows. The row with a shard's own id has only the number of its last block."""

    block: str
    counterparties: tuple[str, ...] = ()
    last_day: date | None = None
    latest: int = 0


class Decision(State, table="sanctions-decisions", key="match"):
    """What a person has decided about a counterparty and an entry of a list. Without a decision, nobody did."""

    match: str
    decision: Literal["", "not_this_person", "this_person"] = ""
    reason: str = ""
    decided_by: str = ""
    decided_at: UtcTime | None = None


def key_of(transaction: Transaction) -> str:
    """A pseudonym of the transaction's counterparty, from its name and its account number.

    Without an account number, other customers' counterparties with the same name may be other persons. So the pseudonym
    then depends on the customer, country and birth date too. The order and spelling of capitals in the name make no
    difference.
    """
    counterparty = transaction.counterparty
    if counterparty is None:
        raise TypeError(transaction.channel)
    name = sorted(parse(counterparty.name).words) or [counterparty.name]
    others = [counterparty.account]
    if not counterparty.account:
        others += [transaction.customer_id, counterparty.country]
        others += [str(counterparty.born_on)] if counterparty.born_on else []
    return hashlib.sha256(json.dumps([name, *others]).encode()).hexdigest()[:_KEY_LENGTH]


def remember(work: Work, transaction: Transaction) -> KnownCounterparty:
    """Add a transfer to its counterparty. Returns the counterparty's row."""
    pseudonym, day, counterparty = key_of(transaction), business_day(transaction), transaction.counterparty
    key = f"{transaction.customer_id}:{pseudonym}"
    shard = SHARDS.shard_id("shard", key)
    work.prefetch((KnownCounterparty, [key]), (Block, [shard]))
    known = work.read(KnownCounterparty, key)
    row = known.evolve(
        name=counterparty.name if counterparty else "",
        customer_id=transaction.customer_id,
        counterparty=pseudonym,
        country=(counterparty and counterparty.country) or known.country,
        born_on=(counterparty and counterparty.born_on) or known.born_on,
        first_day=min(known.first_day or day, day),
        last_day=max(known.last_day or day, day),
        sums={**known.sums, transaction.currency: known.sums.get(transaction.currency, 0) + transaction.amount},
        count=known.count + 1,
        transactions=(*known.transactions, transaction.authorisation_id)[:MAX_CASE_TRANSACTIONS],
    )
    work.save(row)
    if row.last_day != known.last_day:
        _add_to_block(work, shard, key, day)
    return row


def _add_to_block(work: Work, shard: str, key: str, day: date) -> None:
    head = work.read(Block, shard)
    block = work.read(Block, block_key(shard, head.latest))
    if len(block.counterparties) >= _MAX_COUNTERPARTIES:
        head = head.evolve(latest=head.latest + 1)
        work.save(head)
        block = work.read(Block, block_key(shard, head.latest))
    work.save(block.evolve(counterparties=(*block.counterparties, key), last_day=max(block.last_day or day, day)))


def block_key(shard: str, number: int) -> str:
    """The key of a block of a shard. Numbers begin with 0."""
    return f"{shard}:{number}"


def match_key(list_name: str, entry: int, counterparty: str) -> str:
    """The key of the row with the decision."""
    return f"{entry_key(list_name, entry)}:{counterparty}"


def undecided(work: Work, counterparty: str, matches: Iterable[Match]) -> tuple[Match, ...]:
    """The matches without those of which a person has decided that the counterparty is not the listed one."""
    keys: Mapping[Match, str] = {match: match_key(match.list_name, match.entry, counterparty) for match in matches}
    decisions = work.read_all(Decision, keys.values())
    return tuple(match for match, key in keys.items() if decisions[key].decision != "not_this_person")
