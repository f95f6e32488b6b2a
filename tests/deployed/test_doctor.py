"""`daybook doctor`, on a system where all is well, and after each thing that a person may have left undone."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.deployed.deployed import Deployed
from tests.deployed.test_commands import daybook
from tests.unit.world import SENDER


def test_nothing_is_left_to_do_where_all_is_well(system: Deployed) -> None:
    ran = daybook(system, "doctor")

    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "TODO" not in ran.stdout
    assert f"letters come from {SENDER}" in ran.stdout


def test_a_sender_that_is_not_verified_is_told_with_what_to_do(system: Deployed) -> None:
    with unverified(system):
        left = todo(system)

    assert left.keys() == {"sender of e-mails"}
    assert f"create-email-identity --email-identity {SENDER}" in left["sender of e-mails"]["do"]


def test_an_account_in_the_sandbox_is_told(system: Deployed) -> None:
    with production_access(system, given=False):
        left = todo(system)

    assert left.keys() == {"e-mail account"}
    assert "sandbox" in left["e-mail account"]["found"]


@pytest.mark.parametrize(
    ("secret", "found"), [("generated", "holds no key of Stripe's"), ("sk_live_revoked", "Stripe refuses the key")]
)
def test_a_key_that_is_none_or_that_stripe_refuses_is_told_and_never_shown(
    system: Deployed, secret: str, found: str
) -> None:
    with the_secret(system, secret):
        left = todo(system)

    assert left.keys() == {"Stripe key"}
    assert found in left["Stripe key"]["found"]
    assert secret not in json.dumps(left)


def test_a_pager_that_nobody_carries_is_told(system: Deployed) -> None:
    with nobody_on_duty(system):
        left = todo(system)

    assert left.keys() == {"pager"}
    assert left["pager"]["found"] == "nobody is paged about bedside devices"


def todo(system: Deployed) -> dict[str, Any]:
    """What is left to do, by what it is about."""
    ran = daybook(system, "doctor", "--json")
    assert ran.returncode == 1, ran.stdout + ran.stderr
    findings = [json.loads(line) for line in ran.stdout.splitlines()]
    return {finding["what"]: finding for finding in findings if not finding["well"]}


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
def the_secret(system: Deployed, text: str) -> Iterator[None]:
    """In the block, the secret holds another text; no function looks at it so soon after the last look."""
    secrets, name = system.cloud.client("secretsmanager"), system.connection.names.of("stripe-key")
    before = secrets.get_secret_value(SecretId=name)["SecretString"]
    secrets.put_secret_value(SecretId=name, SecretString=text)
    try:
        yield
    finally:
        secrets.put_secret_value(SecretId=name, SecretString=before)


@contextmanager
def nobody_on_duty(system: Deployed) -> Iterator[None]:
    """In the block, the pager's topic has no subscriber."""
    sns = system.cloud.client("sns")
    topics = [topic["TopicArn"] for topic in sns.list_topics()["Topics"]]
    (topic,) = (arn for arn in topics if arn.endswith(f":{system.connection.names.of('pager')}"))
    (phone,) = sns.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]
    sns.unsubscribe(SubscriptionArn=phone["SubscriptionArn"])
    try:
        yield
    finally:
        sns.subscribe(TopicArn=topic, Protocol=phone["Protocol"], Endpoint=phone["Endpoint"])
