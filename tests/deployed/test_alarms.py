"""A change of a stored event in the deployed system, from the store's table to the alarm.

The local cloud does not make metrics of what functions print, so the test does this step. It also ignores dimensions
of alarms: tests/templates/test_alarms.py checks them.
"""

from datetime import UTC, datetime

from daybook.local.system import assembly_of
from daybook.store.attributes import pack
from daybook.store.event_store import to_item
from tests.deployed.deployed import Deployed
from tests.local.processes import unique, until
from tests.metrics import Emitted, emitted
from tests.templates.synthesis import Assembly
from tests.templates.test_alarms import own_alarms, read_by, set_off
from tests.unit.builders import goods, recorded

TAMPERED = "publish-tampered"


def test_changing_and_deleting_an_event_in_the_store_sets_off_the_alarm(system: Deployed) -> None:
    alarms = own_alarms(Assembly(assembly_of(system.cloud), system.connection.names.stage))
    counted = read_by(alarms[TAMPERED])
    assert state(system, TAMPERED) != "ALARM"
    began = datetime.now(UTC)

    an_event_is_changed_and_deleted(system)
    until(
        lambda: sum(printed(system, "publish", began).get(counted, [])) >= 2,
        what="publish has seen both",
        seen=lambda: printed(system, "publish", began),
    )

    metrics = printed(system, "publish", began)
    assert TAMPERED in set_off(alarms, metrics)
    put_metrics(system, {counted: metrics[counted]})
    assert state(system, TAMPERED) == "ALARM"


def an_event_is_changed_and_deleted(system: Deployed) -> None:
    """Change and delete a stored event, as somebody with all rights could."""
    item = to_item(recorded(goods(unique("mug"))))
    key = {name: item[name] for name in ("stream", "sequence")}
    dynamodb, table = system.cloud.client("dynamodb"), system.connection.names.store
    dynamodb.put_item(TableName=table, Item=item)
    change = {"UpdateExpression": "SET #data = :data", "ExpressionAttributeNames": {"#data": "data"}}
    dynamodb.update_item(TableName=table, Key=key, ExpressionAttributeValues={":data": pack("{}")}, **change)
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
