"""Deploy a function with a bus, a rule and a queue, without a template."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from bench.subjects import BUS, MODULES, environment
from events.orders import OrderPlaced

if TYPE_CHECKING:
    from daybook.local.cloud import Cloud

_ROLE = "arn:aws:iam::000000000000:role/bench"  # benchmarks run without IAM
_CONCURRENCY = 2  # as in a local run: see `daybook.constructs.stage`
_BATCH = 10


def deploy(cloud: Cloud, subject: str) -> str:
    """Deploy the subject's function with its own bus. Returns the bus's name."""
    bus = BUS if subject == BUS else f"{subject}-bus"
    events, queues, functions = cloud.client("events"), cloud.client("sqs"), cloud.client("lambda")
    events.create_event_bus(Name=bus)
    url = queues.create_queue(QueueName=subject, Attributes={"VisibilityTimeout": "60"})["QueueUrl"]
    attributes = queues.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]
    arn = attributes["QueueArn"]
    pattern = json.dumps({"detail-type": [OrderPlaced.contract.type]})
    events.put_rule(Name=subject, EventBusName=bus, EventPattern=pattern)
    events.put_targets(Rule=subject, EventBusName=bus, Targets=[{"Id": "queue", "Arn": arn}])
    module = MODULES[subject].rpartition(".")[2]
    functions.create_function(
        FunctionName=subject,
        Runtime="python3.13",
        Role=_ROLE,
        Handler=f"{module}.handler",
        Code={"ZipFile": _bundle(module)},
        Environment={"Variables": dict(environment(subject))},
        MemorySize=512,
        Timeout=10,
    )
    functions.create_event_source_mapping(
        FunctionName=subject,
        EventSourceArn=arn,
        BatchSize=_BATCH,
        ScalingConfig={"MaximumConcurrency": _CONCURRENCY},
        FunctionResponseTypes=["ReportBatchItemFailures"],
    )
    return bus


def _bundle(module: str) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as bundle:
        bundle.write(Path(__file__).with_name("handlers") / f"{module}.py", f"{module}.py")
    return content.getvalue()
