"""Reserve stock for a placed order, built from the parts that AWS documents for this.

The same job as `functions/inventory/reserve_stock.py`, written as in the documentation of Powertools for AWS Lambda: a
batch processor with partial batch responses, idempotency in DynamoDB, the parser's models for SQS and EventBridge,
Logger, Metrics; and as in boto3's: clients created once, outside of the handler. It makes as few calls as possible: one
read of stock and reservation, one transaction for both, one PutEvents.

https://docs.aws.amazon.com/powertools/python/latest/utilities/batch/
https://docs.aws.amazon.com/powertools/python/latest/utilities/idempotency/
https://docs.aws.amazon.com/powertools/python/latest/utilities/parser/
"""

import json
import os
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import boto3
from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.idempotency import (
    DynamoDBPersistenceLayer,
    IdempotencyConfig,
    idempotent_function,
)
from aws_lambda_powertools.utilities.parser import BaseModel
from aws_lambda_powertools.utilities.parser.models import EventBridgeModel, SqsRecordModel
from aws_lambda_powertools.utilities.typing import LambdaContext
from pydantic import Field, Json

STOCK_TABLE = os.environ["STOCK_TABLE"]
RESERVATIONS_TABLE = os.environ["RESERVATIONS_TABLE"]
EVENT_BUS = os.environ["EVENT_BUS"]

logger = Logger()
metrics = Metrics()
dynamodb = boto3.resource("dynamodb")
eventbridge = boto3.client("events")
persistence = DynamoDBPersistenceLayer(table_name=os.environ["IDEMPOTENCY_TABLE"])
idempotency = IdempotencyConfig(event_key_jmespath="messageId")

Identifier = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]


class Money(BaseModel):
    amount: int = Field(ge=0)
    currency: str = Field(pattern=r"^[A-Z]{3}$")


class OrderLine(BaseModel):
    sku: Identifier
    quantity: int = Field(ge=1, le=1_000_000)
    price: Money


class Customer(BaseModel):
    name: str = Field(min_length=1, max_length=200)
    email: str = Field(max_length=254, pattern=r"^[^@\s]+@[^@\s]+\.[^@\s]+$")
    language: str = "en"


class Address(BaseModel):
    lines: list[str] = Field(min_length=1, max_length=4)
    postal_code: str = Field(default="", max_length=16)
    city: str = Field(min_length=1, max_length=100)
    country: str = Field(pattern=r"^[A-Z]{2}$")


class OrderPlaced(BaseModel):
    order_id: Identifier
    customer: Customer
    lines: list[OrderLine] = Field(min_length=1, max_length=50)
    payment_method: str = ""
    ship_to: Address | None = None
    pay_within: int = Field(default=1_800, ge=1, le=86_400)


class OrderEvent(EventBridgeModel):
    detail: OrderPlaced


class OrderRecord(SqsRecordModel):
    body: Json[OrderEvent]


processor = BatchProcessor(event_type=EventType.SQS, model=OrderRecord)


@idempotent_function(  # type: ignore[untyped-decorator]
    data_keyword_argument="record", config=idempotency, persistence_store=persistence
)
def record_handler(record: OrderRecord) -> dict[str, Any]:
    order = record.body.detail
    wanted = Counter[str]()
    for line in order.lines:
        wanted[line.sku] += line.quantity
    available, released = look(order.order_id, list(wanted))
    if released:
        logger.info("cancelled before its stock was reserved", order_id=order.order_id)
        return {"order_id": order.order_id, "reserved": False}
    missing = [sku for sku, quantity in wanted.items() if available.get(sku, 0) < quantity]
    if missing:
        put_event("OutOfStock", {"order_id": order.order_id, "skus": missing})
        metrics.add_metric(name="OutOfStock", unit=MetricUnit.Count, value=1)
        logger.info("out of stock", order_id=order.order_id)
        return {"order_id": order.order_id, "reserved": False}
    reserve(order.order_id, wanted)
    total = sum(line.price.amount * line.quantity for line in order.lines)
    put_event(
        "StockReserved",
        {
            "order_id": order.order_id,
            "total": {"amount": total, "currency": order.lines[0].price.currency},
            "payment_method": order.payment_method,
            "pay_by": (record.body.time + timedelta(seconds=order.pay_within)).isoformat(),
        },
    )
    metrics.add_metric(name="StockReserved", unit=MetricUnit.Count, value=1)
    logger.info("reserved", order_id=order.order_id)
    return {"order_id": order.order_id, "reserved": True}


def look(order_id: str, skus: list[str]) -> tuple[dict[str, int], bool]:
    answer = dynamodb.batch_get_item(
        RequestItems={
            STOCK_TABLE: {"Keys": [{"sku": sku} for sku in skus], "ConsistentRead": True},
            RESERVATIONS_TABLE: {"Keys": [{"order_id": order_id}], "ConsistentRead": True},
        }
    )["Responses"]
    available = {str(item["sku"]): int(item["available"]) for item in answer[STOCK_TABLE]}  # type: ignore[arg-type]
    return available, any(item.get("stage") == "released" for item in answer[RESERVATIONS_TABLE])


def reserve(order_id: str, wanted: dict[str, int]) -> None:
    taken: list[Any] = [
        {
            "Update": {
                "TableName": STOCK_TABLE,
                "Key": {"sku": sku},
                "UpdateExpression": "ADD available :less, reserved :more",
                "ConditionExpression": "available >= :more",
                "ExpressionAttributeValues": {":less": -quantity, ":more": quantity},
            }
        }
        for sku, quantity in wanted.items()
    ]
    reservation = {"order_id": order_id, "pieces": dict(wanted), "at": datetime.now(UTC).isoformat()}
    saved: Any = {"Put": {"TableName": RESERVATIONS_TABLE, "Item": reservation}}
    dynamodb.meta.client.transact_write_items(TransactItems=[*taken, saved])


def put_event(detail_type: str, detail: dict[str, Any]) -> None:
    answer = eventbridge.put_events(
        Entries=[
            {
                "EventBusName": EVENT_BUS,
                "Source": "inventory",
                "DetailType": detail_type,
                "Detail": json.dumps(detail),
            }
        ]
    )
    if answer["FailedEntryCount"]:
        msg = f"EventBridge rejected the event: {answer['Entries'][0].get('ErrorCode')}"
        raise RuntimeError(msg)


@logger.inject_lambda_context
@metrics.log_metrics(capture_cold_start_metric=True)
def handler(event: dict[str, Any], context: LambdaContext) -> Any:
    idempotency.register_lambda_context(context)
    return process_partial_response(event=event, record_handler=record_handler, processor=processor, context=context)
