"""`daybook doctor`, on a complete system and on systems that need a manual step."""

import json
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.deployed.deployed import Deployed
from tests.deployed.test_commands import daybook
from tests.unit.world import SENDER


def test_a_complete_system_has_nothing_to_do(system: Deployed) -> None:
    ran = daybook(system, "doctor")

    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "TODO" not in ran.stdout
    assert f"e-mails come from {SENDER}" in ran.stdout


def test_an_unverified_sender_is_reported_with_its_remedy(system: Deployed) -> None:
    with unverified(system):
        left = todo(system)

    assert left.keys() == {"sender of e-mails"}
    assert f"create-email-identity --email-identity {SENDER}" in left["sender of e-mails"]["do"]


def test_an_account_in_the_sandbox_is_reported(system: Deployed) -> None:
    with production_access(system, given=False):
        left = todo(system)

    assert left.keys() == {"e-mail account"}
    assert "sandbox" in left["e-mail account"]["found"]


@pytest.mark.parametrize(
    ("secret", "found"), [("generated", "has no key of Stripe's"), ("sk_live_revoked", "Stripe refuses the key")]
)
def test_an_invalid_or_refused_stripe_key_is_reported_and_not_shown(system: Deployed, secret: str, found: str) -> None:
    with with_secret(system, secret):
        left = todo(system)

    assert left.keys() == {"Stripe key"}
    assert found in left["Stripe key"]["found"]
    assert secret not in json.dumps(left)


def test_a_changed_policy_of_a_queue_is_reported_and_restored_by_the_printed_command(system: Deployed) -> None:
    queue = system.cloud.client("sqs").get_queue_url(QueueName=system.connection.names.of("place-order"))["QueueUrl"]

    with changed_policy(system, queue):
        left = todo(system)
        assert left.keys() == {"policy of daybook-local-place-order"}
        *_, attributes = shlex.split(left["policy of daybook-local-place-order"]["do"])
        system.cloud.client("sqs").set_queue_attributes(QueueUrl=queue, Attributes=json.loads(attributes))

        assert daybook(system, "doctor").returncode == 0


def test_a_pager_without_a_subscriber_is_reported(system: Deployed) -> None:
    with without_subscriber(system):
        left = todo(system)

    assert left.keys() == {"pager"}
    assert left["pager"]["found"] == "no subscriber is paged about bedside devices"


def todo(system: Deployed) -> dict[str, Any]:
    """The findings that need a manual step, by subject."""
    ran = daybook(system, "doctor", "--json")
    assert ran.returncode == 1, ran.stdout + ran.stderr
    findings = [json.loads(line) for line in ran.stdout.splitlines()]
    return {finding["what"]: finding for finding in findings if not finding["well"]}


@contextmanager
def changed_policy(system: Deployed, queue: str) -> Iterator[None]:
    """Everybody may send to the queue."""
    sqs = system.cloud.client("sqs")
    before = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["Policy"])["Attributes"]
    policy = json.loads(before["Policy"])
    policy["Statement"] = [each for each in policy["Statement"] if each.get("Sid") != "OnlyFromKnownSenders"]
    sqs.set_queue_attributes(QueueUrl=queue, Attributes={"Policy": json.dumps(policy)})
    try:
        yield
    finally:
        sqs.set_queue_attributes(QueueUrl=queue, Attributes=before)


@contextmanager
def unverified(system: Deployed) -> Iterator[None]:
    ses = system.cloud.client("sesv2")
    ses.delete_email_identity(EmailIdentity=SENDER)
    try:
        yield
    finally:
        ses.create_email_identity(EmailIdentity=SENDER)


@contextmanager
def production_access(system: Deployed, *, given: bool) -> Iterator[None]:
    def put(access: bool) -> None:
        system.cloud.client("sesv2").put_account_details(
            MailType="TRANSACTIONAL", WebsiteURL="https://shop.example.com", ProductionAccessEnabled=access
        )

    put(given)
    try:
        yield
    finally:
        put(not given)


@contextmanager
def with_secret(system: Deployed, text: str) -> Iterator[None]:
    """In the block, the secret has this text. Functions do not read it again in this time."""
    secrets, name = system.cloud.client("secretsmanager"), system.connection.names.of("stripe-key")
    before = secrets.get_secret_value(SecretId=name)["SecretString"]
    secrets.put_secret_value(SecretId=name, SecretString=text)
    try:
        yield
    finally:
        secrets.put_secret_value(SecretId=name, SecretString=before)


@contextmanager
def without_subscriber(system: Deployed) -> Iterator[None]:
    """In the block, the pager's topic has no subscriber."""
    sns = system.cloud.client("sns")
    topics = [topic["TopicArn"] for topic in sns.list_topics()["Topics"]]
    (topic,) = (arn for arn in topics if arn.endswith(f":{system.connection.names.of('pager')}"))
    (subscription,) = sns.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]
    sns.unsubscribe(SubscriptionArn=subscription["SubscriptionArn"])
    try:
        yield
    finally:
        sns.subscribe(TopicArn=topic, Protocol=subscription["Protocol"], Endpoint=subscription["Endpoint"])
