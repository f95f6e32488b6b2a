"""What AWS asks: list prices in US dollars, on demand, us-east-1 (N. Virginia), without free tiers and discounts.

Each price names its page and when it was read there, or in a dated account of it.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Price:
    """So many dollars for so many units."""

    dollars: float
    units: float
    source: str

    def of(self, quantity: float) -> float:
        """What so many units cost."""
        return quantity * self.dollars / self.units


_MILLION = 1_000_000
# Decimal, as CloudWatch's examples count.
_GB = 1_000_000_000

# Requests of 64 KB; an event counts when it is put on a bus, rules and their targets are free.
EVENT = Price(1.00, _MILLION, "https://aws.amazon.com/eventbridge/pricing/, custom events; as of June 2026")
# Each call of up to 64 KB, be it a batch of ten, or empty.
QUEUE_REQUEST = Price(0.40, _MILLION, "https://aws.amazon.com/sqs/pricing/, standard queues; as of June 2026")
RUN = Price(0.20, _MILLION, "https://aws.amazon.com/lambda/pricing/, requests; as of June 2026")
GB_SECOND = Price(0.0000133334, 1, "https://aws.amazon.com/lambda/pricing/, arm64, first tier; as of June 2026")
# Halved in November 2024.
WRITE_UNIT = Price(0.625, _MILLION, "https://aws.amazon.com/dynamodb/pricing/on-demand/, standard; as of July 2025")
READ_UNIT = Price(0.125, _MILLION, "https://aws.amazon.com/dynamodb/pricing/on-demand/, standard; as of July 2025")
LOG_BYTE = Price(0.50, _GB, "https://aws.amazon.com/cloudwatch/pricing/, logs, collection; as of June 2026")
TRACE = Price(5.00, _MILLION, "https://aws.amazon.com/xray/pricing/, traces recorded; as of 2026")
MAIL = Price(0.10, 1_000, "https://aws.amazon.com/ses/pricing/, outbound; as of February 2026")
SECRET_CALL = Price(0.05, 10_000, "https://aws.amazon.com/secrets-manager/pricing/; as of 2025")
OBJECT_PUT = Price(0.005, 1_000, "https://aws.amazon.com/s3/pricing/, standard; as of 2025")

# What calls cost that functions make beside DynamoDB, EventBridge and SQS, which have more to count than calls.
CALLS: Mapping[tuple[str, str], Price] = {
    ("ses", "SendEmail"): MAIL,
    ("ses", "SendRawEmail"): MAIL,
    ("sesv2", "SendEmail"): MAIL,
    ("secretsmanager", "GetSecretValue"): SECRET_CALL,
    ("s3", "PutObject"): OBJECT_PUT,
}

# By the month, whether anything happens or not.
METRIC = Price(0.30, 1, "https://aws.amazon.com/cloudwatch/pricing/, custom metrics, first tier; as of June 2026")
ALARM = Price(0.10, 1, "https://aws.amazon.com/cloudwatch/pricing/, standard resolution; as of June 2026")
DASHBOARD = Price(3.00, 1, "https://aws.amazon.com/cloudwatch/pricing/; as of June 2026")
SECRET = Price(0.40, 1, "https://aws.amazon.com/secrets-manager/pricing/; as of 2025")
