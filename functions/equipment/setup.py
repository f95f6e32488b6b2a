"""What a person must do for pages: subscribe to the pager's topic."""

import json

from daybook.operate.connection import Connection
from daybook.operate.setup import Finding, subscribers


def on_this_machine(connection: Connection, _: str) -> None:
    """Carry a pager: subscribe a queue to the topic, as people on duty subscribe their phones.

    Does nothing if there is no such topic.
    """
    sns, sqs = connection.client("sns"), connection.client("sqs")
    topics = (topic["TopicArn"] for page in sns.get_paginator("list_topics").paginate() for topic in page["Topics"])
    topic = next((arn for arn in topics if arn.endswith(f":{_topic(connection)}")), None)
    if topic is None:
        return
    url = sqs.create_queue(QueueName=queue(connection))["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": _policy(arn, topic)})
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)


def pager(connection: Connection) -> Finding:
    """Whether somebody is paged."""
    name = _topic(connection)
    how = f"put pager_email into the context of cdk.json and deploy equipment, or subscribe to {name}"
    return subscribers(connection, name, "pager", "paged about bedside devices", how)


CHECKS = (pager,)


def queue(connection: Connection) -> str:
    """The queue that pages wait in on this machine.

    Its name is none of the system's own, which are looked at to see whether anything is under way.
    """
    return f"pages-of-{_topic(connection)}"


def _topic(connection: Connection) -> str:
    return connection.names.of("pager")


def _policy(queue_arn: str, topic: str) -> str:
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "sns.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": queue_arn,
        "Condition": {"ArnEquals": {"aws:SourceArn": topic}},
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})
