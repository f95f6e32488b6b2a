"""The instructions that `make run` prints."""

import json
import shlex

from daybook.local.demo import businesses
from daybook.local.demo.business import Example
from daybook.local.environment import ACCESS_KEY, REGION, SECRET_KEY
from daybook.local.system import STAGE


def example() -> Example | None:
    """The example of the first business that has one."""
    return next((business.example for business in businesses().values() if business.example), None)


def instructions(endpoint: str) -> str:
    """The text for the terminal: how to send an event, and how to see its results."""
    first = example()
    sending = _sending(endpoint, first) if first else ""
    traced = f".venv/bin/daybook trace {first.stream} --stage {STAGE}\n" if first else ""
    return f"""
Daybook is up at {endpoint}
{sending}
See the results:

{traced}.venv/bin/daybook events --stage {STAGE}
.venv/bin/daybook --help

Stop with Ctrl-C."""


def _sending(endpoint: str, first: Example) -> str:
    entry = {
        "EventBusName": f"daybook-{STAGE}-ingress",
        "Source": first.source,
        "DetailType": first.type,
        "Detail": json.dumps({"data": first.data}),
    }
    return f"""
In another terminal, {first.what}:

.venv/bin/daybook send {first.sample} --stage {STAGE}

and send an event with the AWS command line:

AWS_ACCESS_KEY_ID={ACCESS_KEY} AWS_SECRET_ACCESS_KEY={SECRET_KEY} aws events put-events --region {REGION} \\
  --endpoint-url {endpoint} --entries {shlex.quote(json.dumps([entry]))}

or from Python (.venv/bin/python):

import boto3, json
events = boto3.client("events", endpoint_url="{endpoint}", region_name="{REGION}",
                      aws_access_key_id="{ACCESS_KEY}", aws_secret_access_key="{SECRET_KEY}")
data = {first.data!r}
events.put_events(Entries=[{{"EventBusName": "{entry["EventBusName"]}", "Source": "{entry["Source"]}",
                            "DetailType": "{entry["DetailType"]}", "Detail": json.dumps({{"data": data}})}}])
"""
