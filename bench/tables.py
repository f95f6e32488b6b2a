"""Tables for handlers that run without a template."""

from collections.abc import Iterator, Mapping
from typing import Any

from events.orders import OrderPlaced

# Partition key, and sort key with its type if there is one, of the tables that `reserve_stock` uses.
OURS: Mapping[str, tuple[str, tuple[str, str] | None]] = {
    "store": ("stream", ("sequence", "N")),
    "ledger": ("key", None),
    "keys": ("writer", None),
    "stock": ("id", None),
    "reservations": ("id", None),
}
DOCUMENTED: Mapping[str, tuple[str, tuple[str, str] | None]] = {
    "idempotency": ("id", None),
    "stock": ("sku", None),
    "reservations": ("order_id", None),
}
PLAIN: Mapping[str, tuple[str, tuple[str, str] | None]] = {"events": ("id", None)}

# Enough stock of each article for any run.
PLENTY = 1_000_000_000


def create(dynamodb: Any, prefix: str, tables: Mapping[str, tuple[str, tuple[str, str] | None]]) -> dict[str, str]:
    """Create the tables. Returns their names on the cloud: `prefix` and their own."""
    for name, (partition, sort) in tables.items():
        keys = [(partition, "S", "HASH")] + ([(*sort, "RANGE")] if sort else [])
        dynamodb.create_table(
            TableName=prefix + name,
            KeySchema=[{"AttributeName": key, "KeyType": role} for key, _, role in keys],
            AttributeDefinitions=[{"AttributeName": key, "AttributeType": kind} for key, kind, _ in keys],
            BillingMode="PAY_PER_REQUEST",
        )
    return {name: prefix + name for name in tables}


def create_wrapping_key(kms: Any, alias: str) -> None:
    """Create the KMS key that wraps the keys of writers."""
    kms.create_alias(AliasName=alias, TargetKeyId=kms.create_key()["KeyMetadata"]["KeyId"])


def fill_stock(dynamodb: Any, table: str, key: str) -> None:
    """Add stock of every article of a sample order."""
    for sku in articles():
        item = {key: {"S": sku}, "available": {"N": str(PLENTY)}, "reserved": {"N": "0"}, "version": {"N": "1"}}
        dynamodb.put_item(TableName=table, Item=item)


def articles() -> Iterator[str]:
    """The articles of a sample order."""
    return (str(line["sku"]) for line in OrderPlaced.example["lines"])
