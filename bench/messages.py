"""Batches of placed orders, in the format in which Lambda passes them to a function."""

import json
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from daybook.contracts import clock
from daybook.contracts.envelope import Envelope
from daybook.contracts.proof import ADMIT, KEY_BYTES, Writer
from daybook.store.event_store import Draft, successor, to_item
from events.orders import OrderPlaced

REGION = "us-east-1"
ACCOUNT = "000000000000"

Batch = Mapping[str, Any]


def batches(events: int, size: int, detail: Callable[[], str]) -> Iterator[Batch]:
    """This many events in batches of `size`, each a new order; `detail` creates its content."""
    for start in range(0, events, size):
        yield {"Records": [_record(detail()) for _ in range(min(size, events - start))]}


def published(dynamodb: Any, store: str) -> str:
    """A placed order as Daybook publishes it: a pointer to an event that is in the store."""
    event = recorded()
    dynamodb.put_item(TableName=store, Item=to_item(event))
    return event.detail


def recorded() -> Envelope:
    """A placed order as Daybook records it."""
    data = OrderPlaced.model_validate(_order())
    contract = data.contract
    draft = Draft(
        id=str(uuid.uuid4()),
        type=contract.type,
        version=contract.version,
        stream=data.stream,
        time=clock.now(),
        data=data.to_json(),
        producer=contract.sources[0],
        source=contract.published_source,
    )
    return successor(draft, None, clock.now(), Writer(ADMIT, bytes(KEY_BYTES)))


def sent() -> str:
    """A placed order as its sender puts it on a bus, without an envelope."""
    return json.dumps(_order())


def _order() -> dict[str, Any]:
    return {**OrderPlaced.example, "order_id": f"B-{uuid.uuid4().hex[:12]}"}


def _record(detail: str) -> dict[str, Any]:
    """One message: an EventBridge event in the body of an SQS record."""
    contract = OrderPlaced.contract
    head = {
        "version": "0",
        "id": str(uuid.uuid4()),
        "detail-type": contract.type,
        "source": contract.published_source,
        "account": ACCOUNT,
        "time": clock.now()[:19] + "Z",
        "region": REGION,
        "resources": [],
    }
    now = str(int(time.time() * 1000))
    return {
        "messageId": str(uuid.uuid4()),
        "receiptHandle": uuid.uuid4().hex,
        "body": json.dumps(head)[:-1] + f', "detail": {detail}}}',
        "attributes": {
            "ApproximateReceiveCount": "1",
            "SentTimestamp": now,
            "SenderId": ACCOUNT,
            "ApproximateFirstReceiveTimestamp": now,
        },
        "messageAttributes": {},
        "md5OfBody": "",
        "eventSource": "aws:sqs",
        "eventSourceARN": f"arn:aws:sqs:{REGION}:{ACCOUNT}:bench",
        "awsRegion": REGION,
    }
