"""Deliver every event twice, late and in another order.

EventBridge and SQS guarantee only "at least once" and "in any order", but the local cloud delivers once and in order.
So this module removes the targets of the rules and sends all events of each bus to one queue. From there it sends each
event to the queue of each of its consumers, several times and with random delays.
"""

from __future__ import annotations

import json
import random
import threading
from collections import defaultdict
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType
    from typing import Self

    from daybook.local.cloud import Cloud

COPIES = 2
_MAX_DELAY = 5  # seconds; the stage waits 20 for an earlier event of the stream
_SHUFFLED = 100  # messages that are shuffled together
_MAX_MESSAGES = 10  # SQS's quota for messages in one call
_MAX_FAILURES = 5  # failed calls in a row at the end, after which the cloud counts as gone
_STAGE = "daybook-local-"
_RULE = "chaos-everything"


class Deliveries:
    """In the block, deliveries on both buses are doubled, shuffled and delayed. `delivered` counts all of them.

    After the block the rules have their targets again, and waiting messages are delivered.
    """

    def __init__(self, cloud: Cloud, *, seed: int) -> None:
        config = Config(read_timeout=30, retries={"total_max_attempts": 1})
        self._events = cloud.client("events", config=config)
        self._sqs = cloud.client("sqs", config=config)
        self._random = random.Random(seed)  # noqa: S311 - reproducible
        self._targets: list[tuple[str, str, list[dict[str, Any]]]] = []
        self._over = threading.Event()
        self._relays: list[threading.Thread] = []
        self.delivered = 0

    def __enter__(self) -> Self:
        for bus in ("ingress", "events"):
            self._intercept(f"{_STAGE}{bus}", f"chaos-{bus}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            for bus in ("ingress", "events"):
                with suppress(BotoCoreError, ClientError):
                    self._events.remove_targets(Rule=_RULE, EventBusName=f"{_STAGE}{bus}", Ids=["1"])
            for bus, rule, targets in self._targets:
                self._events.put_targets(EventBusName=bus, Rule=rule, Targets=targets)
        finally:
            self._over.set()
            for relay in self._relays:
                relay.join()

    def _intercept(self, bus: str, queue: str) -> None:
        """Replace the targets of all rules on the bus by one queue for all events."""
        url = self._sqs.create_queue(QueueName=queue)["QueueUrl"]
        arn = self._sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        listeners: dict[str | None, list[str]] = defaultdict(list)
        for page in self._events.get_paginator("list_rules").paginate(EventBusName=bus):
            for rule in page["Rules"]:
                rule_targets = self._events.list_targets_by_rule(EventBusName=bus, Rule=rule["Name"])["Targets"]
                urls = [self._url(target["Arn"]) for target in rule_targets]
                for event_type in json.loads(rule["EventPattern"]).get("detail-type", [None]):
                    listeners[event_type] += urls
                self._targets.append((bus, rule["Name"], rule_targets))
        everything = json.dumps({"source": [{"prefix": ""}]})
        self._events.put_rule(Name=_RULE, EventBusName=bus, EventPattern=everything)
        self._events.put_targets(Rule=_RULE, EventBusName=bus, Targets=[{"Id": "1", "Arn": arn}])
        for target_bus, rule_name, rule_targets in self._targets:
            if target_bus == bus:
                ids = [target["Id"] for target in rule_targets]
                self._events.remove_targets(EventBusName=bus, Rule=rule_name, Ids=ids)
        relay = threading.Thread(target=self._relay, args=(url, dict(listeners)), daemon=True)
        self._relays.append(relay)
        relay.start()

    def _url(self, arn: str) -> str:
        url: str = self._sqs.get_queue_url(QueueName=arn.rpartition(":")[2])["QueueUrl"]
        return url

    def _relay(self, url: str, listeners: Mapping[str | None, Sequence[str]]) -> None:
        failures = 0
        while True:
            messages: list[Any] = []
            try:
                while len(messages) < _SHUFFLED:
                    found = self._sqs.receive_message(
                        QueueUrl=url, MaxNumberOfMessages=_MAX_MESSAGES, WaitTimeSeconds=0 if messages else 1
                    ).get("Messages", [])
                    messages += found
                    if len(found) < _MAX_MESSAGES:
                        break
                self._deliver(messages, listeners)
                for begin in range(0, len(messages), _MAX_MESSAGES):
                    self._delete(url, messages[begin : begin + _MAX_MESSAGES])
            except (BotoCoreError, ClientError):
                failures += 1
                if self._over.is_set() and failures > _MAX_FAILURES:  # the cloud is gone
                    return
                continue  # messages that were not deleted are redelivered
            failures = 0
            if not messages and self._over.is_set():
                return

    def _deliver(self, messages: Sequence[Any], listeners: Mapping[str | None, Sequence[str]]) -> None:
        waiting: dict[str, list[str]] = defaultdict(list)
        for message in messages:
            event_type = json.loads(message["Body"])["detail-type"]
            for queue in (*listeners.get(None, ()), *listeners.get(event_type, ())):
                waiting[queue] += [message["Body"]] * COPIES
        for queue, bodies in waiting.items():
            self._random.shuffle(bodies)
            for begin in range(0, len(bodies), _MAX_MESSAGES):
                several = bodies[begin : begin + _MAX_MESSAGES]
                entries = [
                    {"Id": str(place), "MessageBody": body, "DelaySeconds": self._random.randint(0, _MAX_DELAY)}
                    for place, body in enumerate(several)
                ]
                self._sqs.send_message_batch(QueueUrl=queue, Entries=entries)
                self.delivered += len(several)

    def _delete(self, url: str, messages: Sequence[Any]) -> None:
        entries = [
            {"Id": str(place), "ReceiptHandle": message["ReceiptHandle"]} for place, message in enumerate(messages)
        ]
        self._sqs.delete_message_batch(QueueUrl=url, Entries=entries)
