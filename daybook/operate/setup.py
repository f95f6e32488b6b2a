"""What a person must do in an account, since no deployment can: each service says so itself, in its module `setup`.

CHECKS = (sender, sandbox)  # each a function from a Connection to a Finding; `daybook doctor` shows them


def on_this_machine(connection: Connection, provider_key: str) -> None:
'''The same, as the local run does it in the person's place.'''
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from daybook.operate.connection import Connection
from daybook.operate.errors import is_not_there


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a person must see to: whether it is well, what was found, and what to do if it is not."""

    what: str
    well: bool
    found: str
    do: str = ""


def subscribers(connection: Connection, name: str, what: str, are: str, how: str) -> Finding:
    """Whether a topic has subscribers, who all have confirmed. What is published to nobody is no error to SNS."""
    topic = f"arn:aws:sns:{connection.region}:{connection.account}:{name}"
    pages = connection.client("sns").get_paginator("list_subscriptions_by_topic").paginate(TopicArn=topic)
    receivers = found(lambda: [each for page in pages for each in page["Subscriptions"]])
    if receivers is None:
        return Finding(what, well=False, found=f"there is no topic {name}", do="deploy the stack that has it")
    waiting = [each["Endpoint"] for each in receivers if not each["SubscriptionArn"].startswith("arn:")]
    if waiting:
        told = f"not confirmed: {', '.join(waiting)}"
        return Finding(what, well=False, found=told, do="follow the link in the mail that SNS has sent there")
    if not receivers:
        return Finding(what, well=False, found=f"nobody is {are}", do=how)
    return Finding(what, well=True, found=f"{len(receivers)} are {are}")


def found(ask: Callable[[], Any]) -> Any:
    """The answer; None if AWS says that there is no such thing."""
    try:
        return ask()
    except ClientError as error:
        if is_not_there(error):
            return None
        raise
