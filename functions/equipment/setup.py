"""The pager's setup: somebody must subscribe to its topic."""

import json

from daybook.operate.connection import Connection
from daybook.operate.setup import Finding, subscribers, subscriptions


def on_this_machine(connection: Connection, _: str) -> None:
    """Subscribe a queue to the pager's topic, as staff on duty subscribe their phones.

    Does nothing if the topic does not exist.
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
    """Whether somebody receives the pages."""
    name = _topic(connection)
    how = f"put pager_email into the context of cdk.json and deploy equipment, or subscribe to {name}"
    return subscribers(connection, name, "pager", "paged about bedside devices", how)


def text_messages(connection: Connection) -> Finding:
    """Whether SNS sends pages to the phones that subscribe. In its sandbox, it sends to verified numbers only
    (https://docs.aws.amazon.com/sns/latest/dg/sns-sms-sandbox.html).
    """
    phones = [each for each in subscriptions(connection, _topic(connection)) or () if each["Protocol"] == "sms"]
    if not phones:
        return Finding("text messages", well=True, found="no page goes to a phone by text message")
    if not connection.client("sns").get_sms_sandbox_account_status()["IsInSandbox"]:
        return Finding("text messages", well=True, found=f"{len(phones)} phones are paged, at any number")
    return Finding(
        "text messages",
        well=False,
        found=f"{len(phones)} phones are paged, and SNS is in its SMS sandbox: it sends to verified numbers only",
        do="verify each number (`aws sns create-sms-sandbox-phone-number`), or leave the sandbox: the SNS console, "
        "Text messaging (SMS), Exit SMS sandbox",
    )


CHECKS = (pager, text_messages)


def queue(connection: Connection) -> str:
    """The name of the queue that receives the pages on this machine.

    It does not begin as the names of the system's own queues do: those must be empty before the system is idle.
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
