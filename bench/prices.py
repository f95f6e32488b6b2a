"""AWS's list prices in US dollars: on demand, us-east-1 (N. Virginia), without free tiers and discounts.

Each price names AWS's page, and the publication from which it was taken, with its date if it has one.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Price:
    """A price in dollars for a number of units. `source`: AWS's page, by a publication of it and its date."""

    dollars: float
    units: float
    source: str

    def of(self, quantity: float) -> float:
        """The cost of this many units."""
        return quantity * self.dollars / self.units


_MILLION = 1_000_000
_GB = 1_000_000_000

_EVENTBRIDGE = (
    "https://aws.amazon.com/eventbridge/pricing/ by https://cloudburn.io/blog/amazon-eventbridge-pricing, 2026-03-13"
)
# An event of up to 64 KB counts when it is put on a bus; rules, and their targets in the same account, are free.
EVENT = Price(1.00, _MILLION, _EVENTBRIDGE)

_SQS = "https://aws.amazon.com/sqs/pricing/ by https://cloudburn.io/blog/amazon-sqs-pricing, 2026-03-14"
# Standard queues. One request is a call with up to 64 KB; a batch of ten or an empty answer is one too.
QUEUE_REQUEST = Price(0.40, _MILLION, _SQS)

_LAMBDA = "https://aws.amazon.com/lambda/pricing/ by https://cloudchipr.com/blog/aws-lambda-pricing, 2024"
# arm64, first tier.
RUN = Price(0.20, _MILLION, _LAMBDA)
GB_SECOND = Price(0.0000133334, 1, _LAMBDA)

_DYNAMODB = (
    "https://aws.amazon.com/dynamodb/pricing/on-demand/ by "
    "https://airbyte.com/data-engineering-resources/dynamodb-pricing, 2025-07-21"
)
# Standard tables. Older accounts have the prices from before November 2024, twice as high.
WRITE_UNIT = Price(0.625, _MILLION, _DYNAMODB)
READ_UNIT = Price(0.125, _MILLION, _DYNAMODB)

_CLOUDWATCH = (
    "https://aws.amazon.com/cloudwatch/pricing/ by "
    "https://www.factualminds.com/blog/amazon-cloudwatch-pricing-metrics-logs-alarms-dashboards/, 2026-06-13"
)
# Logs that are collected; and by the month custom metrics of the first tier, alarms of standard resolution, dashboards.
LOG_BYTE = Price(0.50, _GB, _CLOUDWATCH)
ALARM = Price(0.10, 1, _CLOUDWATCH)
DASHBOARD = Price(3.00, 1, _CLOUDWATCH)

# Traces recorded.
TRACE = Price(5.00, _MILLION, "https://aws.amazon.com/de/xray/pricing/, undated")

MAIL = Price(
    0.10,
    1_000,
    "https://aws.amazon.com/ses/pricing/ by https://www.acecloudinterviews.com/tutorials/aws/ses/, undated",
)

_SECRETS = (
    "https://aws.amazon.com/secrets-manager/pricing/ by "
    "https://hivebook.wiki/wiki/aws-secrets-manager-rotated-secrets-dynamic-db-credentials-kms, undated"
)
SECRET_CALL = Price(0.05, 10_000, _SECRETS)
SECRET = Price(0.40, 1, _SECRETS)  # by the month

# The prices of what orders use, as `bench cost` prints them.
USED: Mapping[str, Price] = {
    "a write request unit": WRITE_UNIT,
    "a read request unit": READ_UNIT,
    "an event on a bus": EVENT,
    "a request to SQS": QUEUE_REQUEST,
    "a run of a function": RUN,
    "a GB-second": GB_SECOND,
    "a byte of logs": LOG_BYTE,
    "a trace": TRACE,
    "an e-mail": MAIL,
}

# Prices of calls to other services than DynamoDB, EventBridge and SQS, which are not billed by the call alone.
CALLS: Mapping[tuple[str, str], Price] = {
    ("ses", "SendEmail"): MAIL,
    ("ses", "SendRawEmail"): MAIL,
    ("sesv2", "SendEmail"): MAIL,
    ("secretsmanager", "GetSecretValue"): SECRET_CALL,
}
