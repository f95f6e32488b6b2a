"""A change of the past in the deployed system, from the store's table to the alarm.

Of the way in between the local cloud lacks one piece, which makes metrics of what functions print; so the test carries
them on. How the local cloud judges alarms says nothing of dimensions: tests/templates/test_alarms.py does.
"""

from datetime import UTC, datetime

from daybook.local.system import assembly_of
from daybook.store.attributes import pack
from daybook.store.event_store import to_item
from tests.deployed.deployed import Deployed, unique
from tests.local.processes import until
from tests.templates.synthesis import Assembly
from tests.templates.test_alarms import Written, own_alarms, read_by, set_off, written
from tests.unit.builders import goods, recorded

TAMPERED = "publish-tampered"


def test_who_changes_and_deletes_an_event_in_the_store_sets_off_the_alarm(system: Deployed) -> None:
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
    carry_on(system, {counted: metrics[counted]})
    assert state(system, TAMPERED) == "ALARM"


def an_event_is_changed_and_deleted(system: Deployed) -> None:
    """As somebody with all rights might do."""
    item = to_item(recorded(goods(unique("mug"))))
    key = {name: item[name] for name in ("stream", "sequence")}
    dynamodb, table = system.cloud.client("dynamodb"), system.connection.names.store
    dynamodb.put_item(TableName=table, Item=item)
    change = {"UpdateExpression": "SET #data = :data", "ExpressionAttributeNames": {"#data": "data"}}
    dynamodb.update_item(TableName=table, Key=key, ExpressionAttributeValues={":data": pack("{}")}, **change)
    dynamodb.delete_item(TableName=table, Key=key)


def printed(system: Deployed, function: str, since: datetime) -> Written:
    """The metrics in a function's log group since then. The local cloud gives the 10,000 oldest lines at most."""
    group = f"/aws/lambda/{system.connection.names.of(function)}"
    pages = (
        system.cloud.client("logs")
        .get_paginator("filter_log_events")
        .paginate(logGroupName=group, startTime=int(since.timestamp() * 1000))
    )
    return written("\n".join(event["message"] for page in pages for event in page["events"]))


def carry_on(system: Deployed, metrics: Written) -> None:
    """What CloudWatch does with metrics in logs."""
    for metric, values in metrics.items():
        datum = {
            "MetricName": metric.name,
            "Dimensions": [{"Name": name, "Value": value} for name, value in sorted(metric.dimensions)],
            "Timestamp": datetime.now(UTC),
            "Values": values,
        }
        system.cloud.client("cloudwatch").put_metric_data(Namespace=metric.namespace, MetricData=[datum])


def state(system: Deployed, alarm: str) -> str:
    """What the cloud says of an alarm."""
    name = system.connection.names.of(alarm)
    (found,) = system.cloud.client("cloudwatch").describe_alarms(AlarmNames=[name])["MetricAlarms"]
    return str(found["StateValue"])
