"""What to type while the system is up."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING, Any

from local.environment import ACCESS_KEY, REGION, SECRET_KEY
from local.system import STAGE

if TYPE_CHECKING:
    from collections.abc import Mapping


def welcome(endpoint: str, data: Mapping[str, Any]) -> str:
    """Return the text for the terminal: how to send an `OrderPlaced` with this data, and to see what came of it."""
    # An order of its own: the numbers of the samples are theirs.
    order = {**data, "order_id": "7"}
    entry = {
        "EventBusName": f"daybook-{STAGE}-ingress",
        "Source": "shop.checkout",
        "DetailType": "OrderPlaced",
        "Detail": json.dumps({"data": order}),
    }
    return f"""
Daybook is up at {endpoint}

In another terminal, put goods on the shelf:

.venv/bin/daybook send samples/shop/1-goods-arrive.json --stage {STAGE}

and send an order, with the AWS command line:

AWS_ACCESS_KEY_ID={ACCESS_KEY} AWS_SECRET_ACCESS_KEY={SECRET_KEY} aws events put-events --region {REGION} \\
  --endpoint-url {endpoint} --entries {shlex.quote(json.dumps([entry]))}

or from Python (.venv/bin/python):

import boto3, json
events = boto3.client("events", endpoint_url="{endpoint}", region_name="{REGION}",
                      aws_access_key_id="{ACCESS_KEY}", aws_secret_access_key="{SECRET_KEY}")
order = {order!r}
events.put_events(Entries=[{{"EventBusName": "{entry["EventBusName"]}", "Source": "{entry["Source"]}",
                            "DetailType": "{entry["DetailType"]}", "Detail": json.dumps({{"data": order}})}}])

See what came of it:

.venv/bin/daybook trace order/7 --stage {STAGE}
.venv/bin/daybook events --stage {STAGE}
.venv/bin/daybook --help

Stop with Ctrl-C."""
