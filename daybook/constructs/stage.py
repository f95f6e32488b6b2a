"""A stage: one deployment of the whole system, with its settings."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from aws_cdk import App, Duration, RemovalPolicy
from aws_cdk import aws_logs as logs

from daybook.runtime.names import Names
from daybook.runtime.retry import BreakerSettings, Retry

# The parts of the account's protection that can be turned on or off, by default on for `prod`.
_PROTECTION = ("own_keys", "backups", "audit_logs", "bucket_history", "termination_protection")
# What can be turned on or off, and is off by default.
_EXTRAS = ("dashboards", "publish_in_order")

_REGION = re.compile(r"[a-z]{2}(-[a-z]+)+-[0-9]")
_SUBNET = re.compile(r"subnet-[0-9a-f]{8}([0-9a-f]{9})?")
_SECURITY_GROUP = re.compile(r"sg-[0-9a-f]{8}([0-9a-f]{9})?")

_CONCURRENCY_RULE = (
    "be a number from 2 to 1000 for all consumers, or for each one that is named: "
    """-c concurrency=20, -c concurrency='{"place-order": 50}'"""
)
_THROUGHPUT_RULE = (
    "have units a second for each table: read, at least 12000, and write, at least 4000: "
    """-c warm_throughput='{"store": {"read": 12000, "write": 20000}}'"""
)


def _is_concurrency(value: object) -> bool:
    """Whether SQS mappings allow it (https://docs.aws.amazon.com/lambda/latest/api/API_ScalingConfig.html)."""
    return type(value) is int and 2 <= value <= 1000  # noqa: PLR2004


def _is_throughput(value: object) -> bool:
    """Whether a table may have it: it can only be raised, and a new table has 12,000 read units and 4,000 write units
    (https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/warm-throughput.html).
    """
    least = {"read": 12_000, "write": 4_000}
    return (
        isinstance(value, dict)
        and value.keys() == least.keys()
        and all(type(value[kind]) is int and value[kind] >= least[kind] for kind in least)
    )


class BadOption(ValueError):
    """An option has a value that it cannot have. The message names one that it can."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """The settings of one stage. All differences between stages are defined here."""

    name: str
    context: Mapping[str, Any] = field(default_factory=dict)  # the CDK context, from cdk.json and the command line

    def __post_init__(self) -> None:
        _ = self.names, self.producers  # raises BadStage, BadOption
        for part in (*_PROTECTION, *_EXTRAS):
            self._is_on(part)  # raises BadOption
        _ = self.reserved_concurrency  # raises BadOption
        if self.backup_region and not _REGION.fullmatch(self.backup_region):
            msg = f"the option backup_region is {self.backup_region!r}; it must be a region: -c backup_region=eu-west-1"
            raise BadOption(msg)
        for option, pattern in (("subnets", _SUBNET), ("security_groups", _SECURITY_GROUP)):
            given = self._list(option)
            if bool(given) != self.in_vpc or not all(map(pattern.fullmatch, given)):
                msg = (
                    f"the option {option} is {given}; for functions in a VPC give both options, with ids: "
                    "-c subnets=subnet-0a1b2c3d,subnet-4e5f6071 -c security_groups=sg-8293a4b5"
                )
                raise BadOption(msg)
        for option, is_possible, rule in (
            ("concurrency", _is_concurrency, _CONCURRENCY_RULE),
            ("warm_throughput", _is_throughput, _THROUGHPUT_RULE),
        ):
            if not all(map(is_possible, self._by_name(option).values())):
                msg = f"the option {option} is {self.context[option]!r}; it must {rule}"
                raise BadOption(msg)

    @classmethod
    def of(cls, app: App) -> Self:
        """The stage in the app's context. Raises BadStage and BadOption."""
        return cls(name=app.node.get_context("stage"), context=app.node.get_all_context())

    def option(self, name: str, default: str = "") -> str:
        """A value from the CDK context: `-c mail_from=shop@example.org`."""
        return self.context.get(name) or default

    @property
    def alarm_email(self) -> str:
        """The e-mail address that is subscribed to alarms; empty for none."""
        return self.option("alarm_email")

    @property
    def operators(self) -> list[str]:
        """The roles of operators: the part of their ARNs after `role/`, with `*` for any characters. They may send to
        queues, as `daybook dead retry` does, and put any event on the ingress bus, as `daybook send` does.
        """
        return self._list("operators") or [f"daybook/{self.name}/operators/*"]

    @property
    def producer_roles(self) -> list[str]:
        """The roles of producers in the stage's account, in the same form. They may put events on the ingress bus."""
        return self._list("producer_roles") or [f"daybook/{self.name}/producers/*"]

    @property
    def producers(self) -> dict[str, str]:
        """The account of each source whose producer is in another account or region: `{"shop.checkout":
        "210987654321"}`, or `"210987654321/eu-west-1"` if a rule of another region sends its events.
        """
        return {source: str(origin) for source, origin in self._json("producers").items()}

    def _json(self, name: str) -> Any:
        """A value in the CDK context; on the command line, as JSON. Raises BadOption."""
        given = self.context.get(name) or {}
        try:
            return json.loads(given) if isinstance(given, str) else given
        except ValueError as error:
            msg = f"the option {name} is {given!r}, which is not JSON: -c {name}='{{…}}'"
            raise BadOption(msg) from error

    def _by_name(self, name: str) -> dict[str, Any]:
        """A value for each name in the CDK context. A value for all has the empty name."""
        value = self._json(name)
        return value if isinstance(value, dict) else {"": value}

    def _list(self, name: str) -> list[str]:
        """A list in the CDK context; on the command line, separated by commas."""
        given = self.context.get(name) or []
        return given.split(",") if isinstance(given, str) else list(given)

    @property
    def names(self) -> Names:
        """The stage's stable resource names."""
        return Names(self.name)

    @property
    def is_local(self) -> bool:
        """Whether it runs in the local cloud. Functions then use the virtual environment, and no layer is built."""
        return self.name == "local"

    @property
    def keeps_data(self) -> bool:
        """Whether tables are kept when their stack is deleted."""
        return self.names.keeps_data

    @property
    def table_removal(self) -> RemovalPolicy:
        """Whether a table is kept or deleted with its stack. A deployment that fails and is rolled back deletes what
        it has created in both cases, so that it can be repeated
        (https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-attribute-deletionpolicy.html).
        """
        return RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE if self.keeps_data else RemovalPolicy.DESTROY

    @property
    def in_vpc(self) -> bool:
        """Whether functions run in a VPC that exists already."""
        return bool(self.subnets or self.security_groups)

    @property
    def subnets(self) -> list[str]:
        """The ids of the subnets in which functions run."""
        return self._list("subnets")

    @property
    def security_groups(self) -> list[str]:
        """The ids of the security groups of functions in a VPC."""
        return self._list("security_groups")

    @property
    def own_keys(self) -> bool:
        """Whether data is encrypted with keys of this account: one for each class of data. Each key costs money."""
        return self._is_on("own_keys")

    @property
    def backups(self) -> bool:
        """Whether AWS Backup backs up all tables, daily and monthly."""
        return self._is_on("backups")

    @property
    def backup_region(self) -> str:
        """The second region, which gets a copy of each backup; empty for none, and in stages without backups: they
        share the context of `cdk.json`.
        """
        return self.option("backup_region") if self.backups else ""

    @property
    def bucket_history(self) -> bool:
        """Whether buckets keep the versions of their objects, and a log of all requests."""
        return self._is_on("bucket_history")

    @property
    def termination_protection(self) -> bool:
        """Whether CloudFormation refuses to delete stacks."""
        return self._is_on("termination_protection")

    def _is_on(self, part: str) -> bool:
        """Whether a part is on. The account's protection is on by default for `prod`. Raises BadOption."""
        value = self.option(part, "on" if self.name == "prod" and part in _PROTECTION else "off")
        if value not in {"on", "off"}:
            msg = f"the option {part} is {value!r}; it must be on or off: -c {part}=on"
            raise BadOption(msg)
        return value == "on"

    @property
    def dashboards(self) -> bool:
        """Whether each service has a dashboard, besides that of the stage. A dashboard costs money."""
        return self._is_on("dashboards")

    @property
    def publish_in_order(self) -> bool:
        """Whether the events of one stream are published in its order. Then fewer events are published a second."""
        return self._is_on("publish_in_order")

    @property
    def reserved_concurrency(self) -> dict[str, int]:
        """The reserved concurrency of functions, by consumer: `{"admit": 10, "fire-timers": 2}`; by default of none.

        It is also their maximum. At least 100 of the account's concurrency must stay unreserved, and a new account may
        have 10 in all (https://docs.aws.amazon.com/lambda/latest/dg/configuration-concurrency.html).
        """
        given = self._by_name("reserved_concurrency")
        if not all(str(number).isdecimal() and int(number) for number in given.values()):
            msg = (
                f"the option reserved_concurrency is {given}; it must have a number of at least 1 for each consumer: "
                """-c reserved_concurrency='{"admit": 10}'"""
            )
            raise BadOption(msg)
        return {consumer: int(number) for consumer, number in given.items()}

    @property
    def log_retention(self) -> logs.RetentionDays:
        """How long logs are kept. The event store, not the log, is the permanent record."""
        return logs.RetentionDays.THREE_MONTHS if self.keeps_data else logs.RetentionDays.ONE_WEEK

    @property
    def audit_log_retention(self) -> logs.RetentionDays:
        """How long the logs of the backbone's functions are kept: they record what was rejected, and stored events that
        were changed. A year is what PCI DSS requires of audit logs (requirement 10.5.1,
        https://www.pcisecuritystandards.org/document_library/).
        """
        return logs.RetentionDays.ONE_YEAR if self._is_on("audit_logs") else self.log_retention

    def concurrency_of(self, consumer: str) -> int | None:
        """How many batches of its queue a consumer handles at once. The minimum of SQS mappings is 2; in the local
        cloud each batch is a process.

        None for no limit, by default in `dev`: Lambda polls an idle queue with two connections, but with five if its
        mapping has a limit (https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-scaling.html).
        """
        if self.is_local:
            return 2
        default = None if self.name == "dev" else 10
        return self.concurrency.get(consumer, self.concurrency.get("", default))

    @property
    def concurrency(self) -> dict[str, int]:
        """The concurrency of consumers by name, as the option says; of all others under the empty name."""
        return self._by_name("concurrency")

    @property
    def warm_throughput(self) -> dict[str, dict[str, int]]:
        """The units a second, for `read` and `write`, that a table and each of its indexes can do at once, by the
        table's name: `store`, `order-status`.
        """
        return self._by_name("warm_throughput")

    @property
    def retry(self) -> Retry:
        """The retry settings. In the local cloud, retries follow within seconds, and the retry window is long enough
        for 80 functions that start at the same time on two busy cores.
        """
        if self.is_local:
            return Retry(max_attempts=3, max_crashes=2, first_backoff=1, max_backoff=4, retry_window=60)
        return Retry(max_attempts=5, max_crashes=3, first_backoff=30, max_backoff=900, retry_window=3600)

    @property
    def breaker(self) -> BreakerSettings:
        """The circuit breaker settings of effects."""
        if self.is_local:
            return BreakerSettings(failure_threshold=3, first_open_time=5, max_open_time=20)
        return BreakerSettings(failure_threshold=5, first_open_time=60, max_open_time=900)

    def visibility_timeout(self, function_timeout: Duration) -> Duration:
        """How long a message is hidden while it is handled; it is redelivered after that if its process has died.

        Six times the function's timeout, as AWS recommends
        (https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html); in the local cloud once.
        """
        return Duration.seconds((1 if self.is_local else 6) * function_timeout.to_seconds())

    @property
    def function_timeout(self) -> Duration:
        """The timeout for a batch of ten messages, including conflicts and the cold start."""
        return Duration.seconds(10 if self.is_local else 30)

    @property
    def dead_letters_timeout(self) -> Duration:
        """The timeout of the function that records dead letters each minute."""
        return Duration.seconds(10 if self.is_local else 60)

    @property
    def call_timeout(self) -> int:
        """How many seconds an effect waits for an answer from an external system. An e-mail without an answer in this
        time is a dead letter, so the local cloud must answer in it even when both of its cores are busy.
        """
        return 4 if self.is_local else 6

    def effect_timeout(self, calls: int) -> Duration:
        """The timeout of an effect with that many calls. It is longer than the timeouts of all its calls together, so
        that the function can record how they ended.
        """
        return Duration.seconds(calls * self.call_timeout + (6 if self.is_local else 10))

    @property
    def deliveries(self) -> int:
        """The maximum receive count of a queue. It is high, because functions count failed delivery attempts: SQS also
        counts deliveries that end by throttling, by a pause, or by another message of the batch. The limit only ends
        messages whose process dies before it can record a failure.
        """
        return 60 if self.is_local else 500
