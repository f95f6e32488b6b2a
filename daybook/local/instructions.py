"""The instructions that `make run` prints."""

import json

from daybook.local.demo import businesses
from daybook.local.demo.business import Example
from daybook.local.environment import ACCESS_KEY, REGION, SECRET_KEY
from daybook.local.system import STAGE
from daybook.operate.terminal import command_line

_DAYBOOK = ".venv/bin/daybook"


def example() -> Example | None:
    """The example of the first business that has one."""
    return next((business.example for business in businesses().values() if business.example), None)


def instructions(endpoint: str) -> str:
    """The text for the terminal: how to send an event, and how to see its results."""
    first = example()
    sending = _sending(endpoint, first) if first else ""
    traced = f"{command_line(_DAYBOOK, 'trace', first.stream, '--stage', STAGE)}\n" if first else ""
    return f"""
Daybook is up at {endpoint}
{sending}
See the results:

{traced}{command_line(_DAYBOOK, "events", "--stage", STAGE)}
{command_line(_DAYBOOK, "--help")}

Stop with Ctrl-C."""


def _sending(endpoint: str, first: Example) -> str:
    entry = {
        "EventBusName": f"daybook-{STAGE}-ingress",
        "Source": first.source,
        "DetailType": first.type,
        "Detail": json.dumps({"data": first.data}),
    }
    bus = command_line("aws", "events", "put-events", "--region", REGION)
    put_events = f"{bus} \\\n  {command_line('--endpoint-url', endpoint, '--entries', json.dumps([entry]))}"
    return f"""
In another terminal, {first.what}:

{command_line(_DAYBOOK, "send", first.sample, "--stage", STAGE)}

and send an event with the AWS command line:

AWS_ACCESS_KEY_ID={ACCESS_KEY} AWS_SECRET_ACCESS_KEY={SECRET_KEY} {put_events}

or from Python (.venv/bin/python):

import boto3, json
events = boto3.client("events", endpoint_url="{endpoint}", region_name="{REGION}",
                      aws_access_key_id="{ACCESS_KEY}", aws_secret_access_key="{SECRET_KEY}")
data = {first.data!r}
events.put_events(Entries=[{{"EventBusName": "{entry["EventBusName"]}", "Source": "{entry["Source"]}",
                            "DetailType": "{entry["DetailType"]}", "Detail": json.dumps({{"data": data}})}}])
"""
