"""Changes of a stored event and of the ledger in the deployed system, from the table to the alarm.

The local cloud does not make metrics of what functions print, so the test does this step. It also ignores dimensions
of alarms: tests/templates/test_alarms.py checks them.
"""

from collections.abc import Callable
from datetime import UTC, datetime

from daybook.contracts import clock
from daybook.runtime.observability import NAMESPACE, TAMPERED
from daybook.store.attributes import pack, pack_item
from daybook.store.event_store import to_item
from daybook.store.ledger import COMMITTED, TRYING, LedgerEntry
from daybook.store.ledger_keys import of_event
from tests.deployed.deployed import Deployed
from tests.local.processes import unique, until
from tests.metrics import Emitted, Metric, emitted
from tests.unit.builders import goods, recorded


def test_changing_and_deleting_an_event_in_the_store_sets_off_the_alarm(system: Deployed) -> None:
    assert state(system, "tampered") != "ALARM"

    put_metrics(system, counted_after(system, "publish", an_event_is_changed_and_deleted))

    assert state(system, "tampered") == "ALARM"


def test_changing_and_deleting_a_committed_row_of_the_ledger_is_counted_for_the_same_alarm(system: Deployed) -> None:
    assert counted_after(system, "watch-ledger", a_committed_row_is_changed_and_deleted)


def counted_after(system: Deployed, function: str, tamper: Callable[[Deployed], None]) -> Emitted:
    """The metric of the alarm `tampered`, once the function has counted both changes of `tamper`."""
    counted = Metric(NAMESPACE, frozenset({("stage", system.connection.names.stage)}), TAMPERED)
    began = datetime.now(UTC)

    tamper(system)
    until(
        lambda: sum(printed(system, function, began).get(counted, [])) >= 2,
        what=f"{function} has seen both",
        seen=lambda: printed(system, function, began),
    )

    return {counted: printed(system, function, began)[counted]}


def an_event_is_changed_and_deleted(system: Deployed) -> None:
    """Change and delete a stored event, as somebody with all rights could."""
    item = to_item(recorded(goods(unique("mug"))))
    key = {name: item[name] for name in ("stream", "sequence")}
    dynamodb, table = system.cloud.client("dynamodb"), system.connection.names.store
    dynamodb.put_item(TableName=table, Item=item)
    change = {"UpdateExpression": "SET #data = :data", "ExpressionAttributeNames": {"#data": "data"}}
    dynamodb.update_item(TableName=table, Key=key, ExpressionAttributeValues={":data": pack("{}")}, **change)
    dynamodb.delete_item(TableName=table, Key=key)


def a_committed_row_is_changed_and_deleted(system: Deployed) -> None:
    """Change and delete a row of the ledger, as somebody with all rights could."""
    dynamodb, table = system.cloud.client("dynamodb"), system.connection.names.ledger
    entry = LedgerEntry(unique("event"), "receive-stock", COMMITTED, clock.now())
    dynamodb.transact_write_items(
        TransactItems=[system.connection.ledger.record(entry, system.connection.keyring.writer("receive-stock"))]
    )
    key = pack_item(of_event(entry.event, entry.consumer))
    dynamodb.put_item(TableName=table, Item={**key, "state": pack(TRYING)})
    dynamodb.delete_item(TableName=table, Key=key)


def printed(system: Deployed, function: str, since: datetime) -> Emitted:
    """The metrics in a function's log group since then. The local cloud returns at most the 10,000 oldest lines."""
    group = f"/aws/lambda/{system.connection.names.of(function)}"
    pages = (
        system.cloud.client("logs")
        .get_paginator("filter_log_events")
        .paginate(logGroupName=group, startTime=int(since.timestamp() * 1000))
    )
    return emitted("\n".join(event["message"] for page in pages for event in page["events"]))


def put_metrics(system: Deployed, metrics: Emitted) -> None:
    """Put the metrics from the logs into CloudWatch, as CloudWatch does."""
    for metric, values in metrics.items():
        datum = {
            "MetricName": metric.name,
            "Dimensions": [{"Name": name, "Value": value} for name, value in sorted(metric.dimensions)],
            "Timestamp": datetime.now(UTC),
            "Values": values,
        }
        system.cloud.client("cloudwatch").put_metric_data(Namespace=metric.namespace, MetricData=[datum])


def state(system: Deployed, alarm: str) -> str:
    """The state of an alarm in the cloud."""
    name = system.connection.names.of(alarm)
    (found,) = system.cloud.client("cloudwatch").describe_alarms(AlarmNames=[name])["MetricAlarms"]
    return str(found["StateValue"])
