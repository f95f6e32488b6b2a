"""Calculate AWS's bill from the usage of functions."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from bench import prices

GB = 512 / 1024  # the memory that `daybook.constructs.function` gives to every function

_MESSAGE_BYTES = 65_536  # SQS bills this as one request

# The lines that Lambda itself logs for each run: START, END, and REPORT with the trace id, in bytes.
PLATFORM_LINES = (75, 53, 265)
# Bytes that CloudWatch counts for each line in addition to its text
# (https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutLogEvents.html).
LINE_BYTES = 26

# X-Ray's default sampling, without a custom rule: the first request of each second, and 5 % of the others
# (https://docs.aws.amazon.com/lambda/latest/dg/services-xray.html).
SAMPLED = 0.05

# A rejected part of a transaction costs as much as its write; nearly all items are below 1 KB.
_REFUSED_PART = 2.0

DYNAMODB, EVENTBRIDGE, SQS, LAMBDA, LOGS, XRAY = "DynamoDB", "EventBridge", "SQS", "Lambda", "Logs", "X-Ray"
OTHERS = "others"
SERVICES = (DYNAMODB, EVENTBRIDGE, SQS, LAMBDA, LOGS, XRAY, OTHERS)


@dataclass(slots=True)
class Usage:
    """The usage of one function, or of several together. `fed` says whether a queue triggers it."""

    fed: bool = False
    messages: int = 0
    runs: int = 0
    milliseconds: float = 0.0  # billed: each run is rounded up
    processor: float = 0.0  # milliseconds of processor time on this machine
    chunks: int = 0  # of 64 KB, received together
    calls: Counter[tuple[str, str]] = field(default_factory=Counter)
    events: int = 0  # put on a bus
    written: dict[str, float] = field(default_factory=dict)  # write request units, by what was written
    read: float = 0.0  # read request units
    refused: int = 0  # parts of transactions
    log_lines: int = 0
    log_bytes: int = 0
    summaries: int = 0  # log lines with metrics, written at the end of a run
    summary_bytes: int = 0
    sampled: float = SAMPLED

    @property
    def write_units(self) -> float:
        """All write request units."""
        return sum(self.written.values()) + self.refused * _REFUSED_PART

    @property
    def queue_requests(self) -> int:
        """EventBridge sends each message separately; the function receives and deletes a batch with one call each."""
        own = sum(number for (service, _), number in self.calls.items() if service == "sqs")
        return own + (self.messages + self.chunks + self.runs if self.fed else 0)

    @property
    def logged(self) -> int:
        """Log bytes, with Lambda's own lines."""
        platform = sum(PLATFORM_LINES) + LINE_BYTES * len(PLATFORM_LINES)
        return self.log_bytes + LINE_BYTES * self.log_lines + self.runs * platform

    def ran(self, seconds: float, processor: float, messages: int, size: int) -> None:
        """Count a run."""
        self.runs += 1
        self.messages += messages
        self.milliseconds += math.ceil(seconds * 1000)
        self.processor += processor * 1000
        self.chunks += max(1, -(-size // _MESSAGE_BYTES))

    def add_written(self, units: Mapping[str, float]) -> None:
        """Add write request units, by what was written."""
        for part, number in units.items():
            self.written[part] = self.written.get(part, 0) + number

    def alone(self) -> "Usage":
        """The same usage if each message came alone and every run was traced: the maximum cost."""
        if not self.fed or not self.runs:
            return replace(self, sampled=1.0)
        times = self.messages / self.runs
        more = times - 1
        return replace(
            self,
            runs=self.messages,
            chunks=self.messages,
            log_lines=round(self.log_lines + more * self.summaries),
            log_bytes=round(self.log_bytes + more * self.summary_bytes),
            sampled=1.0,
        )


def cost(usage: Usage) -> Mapping[str, float]:
    """US dollars by service."""
    gb_seconds = usage.milliseconds / 1000 * GB
    return {
        DYNAMODB: prices.WRITE_UNIT.of(usage.write_units) + prices.READ_UNIT.of(usage.read),
        EVENTBRIDGE: prices.EVENT.of(usage.events),
        SQS: prices.QUEUE_REQUEST.of(usage.queue_requests),
        LAMBDA: prices.RUN.of(usage.runs) + prices.GB_SECOND.of(gb_seconds),
        LOGS: prices.LOG_BYTE.of(usage.logged),
        XRAY: prices.TRACE.of(usage.runs * usage.sampled),
        OTHERS: sum(prices.CALLS[call].of(number) for call, number in usage.calls.items() if call in prices.CALLS),
    }


def total(usages: Iterable[Usage]) -> Mapping[str, float]:
    """US dollars by service, for several functions."""
    costs = [cost(usage) for usage in usages]
    return {service: sum(each[service] for each in costs) for service in SERVICES}
