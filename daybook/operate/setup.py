"""Checks of manual setup: steps that a person must do in an account. Each service has its own, in its module `setup`.

CHECKS = (sender, sandbox)  # functions from a Connection to a Finding; `daybook doctor` runs them, and reports errors


def on_this_machine(connection: Connection, provider_key: str) -> None:
'''Does these steps on a local run.'''
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from daybook.operate.connection import Connection
from daybook.operate.errors import is_not_there


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check: what was checked, whether it is well, what was found, and what to do if not."""

    what: str
    well: bool
    found: str
    do: str = ""


def subscribers(connection: Connection, name: str, what: str, are: str, how: str) -> Finding:
    """Check that a topic has subscribers, and that all have confirmed. SNS reports no error without subscribers."""
    receivers = subscriptions(connection, name)
    if receivers is None:
        return Finding(what, well=False, found=f"there is no topic {name}", do="deploy the stack that creates it")
    waiting = [each["Endpoint"] for each in receivers if not each["SubscriptionArn"].startswith("arn:")]
    if waiting:
        unconfirmed = f"not confirmed: {', '.join(waiting)}"
        return Finding(what, well=False, found=unconfirmed, do="follow the link in the e-mail from SNS")
    if not receivers:
        return Finding(what, well=False, found=f"no subscriber is {are}", do=how)
    return Finding(what, well=True, found=f"{len(receivers)} are {are}")


def subscriptions(connection: Connection, name: str) -> list[dict[str, str]] | None:
    """The subscriptions of a topic, as SNS returns them; None if there is no such topic."""
    topic = f"arn:aws:sns:{connection.region}:{connection.account}:{name}"
    pages = connection.client("sns").get_paginator("list_subscriptions_by_topic").paginate(TopicArn=topic)
    subscribed: list[dict[str, str]] | None = found(lambda: [each for page in pages for each in page["Subscriptions"]])
    return subscribed


def found(ask: Callable[[], Any]) -> Any:
    """The answer of AWS; None if the resource does not exist."""
    try:
        return ask()
    except ClientError as error:
        if is_not_there(error):
            return None
        raise
