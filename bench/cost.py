"""What a thousand orders use on AWS, and what that costs."""

from __future__ import annotations

import re
import tempfile
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich import box
from rich.table import Table

from bench import bill, prices
from bench.bill import OTHERS, SERVICES, Usage
from bench.flow import Flow
from bench.targets import Target
from bench.usage import Recording, add_logs
from daybook.local.system import STAGE, up
from daybook.operate.connection import Connection

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from bench.usage import Metric
    from daybook.local.cloud import Cloud
    from daybook.local.progress import Progress

_WARM_UP = 20  # orders
_THOUSAND = 1_000
_MONTH = timedelta(days=30)

# Lambda polls an empty queue with five connections, each with long polling of 20 seconds. This is commonly observed;
# AWS only documents that it starts with five (https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-scaling.html).
_POLLERS = 5
_POLL = timedelta(seconds=20)

_PRODUCERS = "(producers)"


@dataclass(frozen=True, slots=True)
class _Deployed:
    """Deployed resources that cost something even without any events."""

    fed: frozenset[str]  # functions triggered by a queue
    queues: int  # polled by Lambda
    scheduled: Mapping[str, timedelta]  # functions started by a schedule, and the interval
    alarms: int
    dashboards: int
    secrets: int


def measure(progress: Progress, *, orders: int) -> list[Target]:
    """Send orders, wait until all that follows is processed, and print the cost of a thousand orders."""
    with ExitStack() as stack:
        recording = Recording(Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="daybook-"))))
        cloud = stack.enter_context(up(progress, extra=recording.environment))
        connection = Connection(STAGE, cloud.session(), endpoint=cloud.endpoint)
        deployed = _deployed(cloud, connection)
        flow = Flow(connection)
        with progress.step("warming up"):
            flow.receive_stock()
            _whole_flow(flow, cloud, connection, deployed, _WARM_UP)
        recording.mark()
        sent, since = flow.sent, datetime.now(UTC).timestamp()
        with progress.step(f"sending {orders} orders, and waiting until the system is idle"):
            followed = _whole_flow(flow, cloud, connection, deployed, orders)
        usages = recording.usage(deployed.fed)
        usages[_PRODUCERS] = Usage(events=flow.sent - sent)
        with progress.step("reading the logs"):
            running = {name: usage for name, usage in usages.items() if usage.runs}
            metrics = add_logs(cloud.client("logs"), connection, running, since)
        _start(cloud, connection, deployed)  # the very first run may have to read old events
        recording.mark()
        _start(cloud, connection, deployed)
        idle = recording.usage(deployed.fed)
    for what, number in followed.items():
        progress.say(f"  {what}: {number}")
    _print_results(progress, usages, orders)
    _print_monthly_costs(progress, deployed, idle, metrics)
    each = sum(bill.total(usages.values()).values()) * _THOUSAND / orders
    return [Target("a thousand orders", each, maximum=0.10, unit="USD")]


def _whole_flow(
    flow: Flow, cloud: Cloud, connection: Connection, deployed: _Deployed, orders: int
) -> Mapping[str, int]:
    """Orders, the external events that follow from them, and their timers."""
    followed: Counter[str] = Counter()
    flow.place(orders)
    while sent := flow.send_follow_ups():
        followed.update(
            {f"{event_type}, sent as by its external system": number for event_type, number in sent.items()}
        )
    if timers := flow.fire_timers_now():
        followed.update({"timers, fired at once": timers})
        _start(cloud, connection, deployed)
        flow.wait_until_idle()
    return followed


def _start(cloud: Cloud, connection: Connection, deployed: _Deployed) -> None:
    """Invoke the functions that a schedule starts."""
    functions = cloud.client("lambda")
    for function in deployed.scheduled:
        functions.invoke(FunctionName=connection.names.of(function), Payload=b"{}")


def _deployed(cloud: Cloud, connection: Connection) -> _Deployed:
    prefix = connection.names.of("")
    pages = cloud.client("lambda").get_paginator("list_event_source_mappings").paginate()
    mappings = [mapping for page in pages for mapping in page["EventSourceMappings"]]
    queued = [mapping for mapping in mappings if ":sqs:" in mapping["EventSourceArn"]]
    rules = cloud.client("events").list_rules(NamePrefix=prefix)["Rules"]
    watch = cloud.client("cloudwatch")
    alarms = watch.get_paginator("describe_alarms").paginate(AlarmNamePrefix=prefix)
    return _Deployed(
        fed=frozenset(mapping["FunctionArn"].rpartition(":")[2].removeprefix(prefix) for mapping in queued),
        queues=len(queued),
        scheduled={
            rule["Name"].removeprefix(prefix): every
            for rule in rules
            if (every := _every(rule.get("ScheduleExpression", "")))
        },
        alarms=sum(len(page["MetricAlarms"]) for page in alarms),
        dashboards=len(watch.list_dashboards(DashboardNamePrefix=prefix)["DashboardEntries"]),
        secrets=len(cloud.client("secretsmanager").list_secrets()["SecretList"]),
    )


def _every(expression: str) -> timedelta | None:
    found = re.fullmatch(r"rate\((\d+) (minute|hour|day)s?\)", expression)
    return timedelta(**{f"{found[2]}s": int(found[1])}) if found else None


# --- output ---------------------------------------------------------------------------------------------------------


def _print_results(progress: Progress, usages: Mapping[str, Usage], orders: int) -> None:
    scale = _THOUSAND / orders
    if orders != _THOUSAND:
        progress.say(f"  The following figures are those of {orders} orders, times {scale:g}.")
    progress.console.print(_calls(usages, scale))
    progress.console.print(_uses(usages, scale))
    progress.console.print(_costs(usages, scale))
    unpriced = sorted(
        {call for usage in usages.values() for call in usage.calls}
        - prices.CALLS.keys()
        - {call for usage in usages.values() for call in usage.calls if call[0] in {"dynamodb", "events", "sqs"}}
    )
    if unpriced:
        progress.say(f"  Calls without a price: {', '.join(' '.join(call) for call in unpriced)}")
    alone = {name: usage.alone() for name, usage in usages.items()}
    costs, dearest = bill.total(usages.values()), bill.total(alone.values())
    progress.say(
        f"  If each message came alone and every run was traced: {sum(dearest.values()) * scale:.3f} USD, of which "
        + ", ".join(f"{service} {dearest[service] * scale:.3f}" for service in SERVICES if dearest[service])
    )
    if costs[OTHERS]:
        rest = (sum(costs.values()) - costs[OTHERS]) * scale
        progress.say(f"  Without e-mails and calls of other services: {rest:.3f} USD")
    slower = prices.GB_SECOND.of(sum(usage.milliseconds for usage in usages.values()) / 1000 * bill.GB) * scale
    progress.say(f"  If runs took twice as long on Lambda as here: {slower:.3f} USD more.")
    progress.console.print(_written(usages, orders))
    progress.say("  Prices, on demand in us-east-1:")
    for name, price in prices.USED.items():
        progress.say(f"    {name}: {price.dollars:g} USD for {price.units:,.0f}, from {price.source}")


def _calls(usages: Mapping[str, Usage], scale: float) -> Table:
    table = _table("Calls for a thousand orders", "function", "service", "operation", "calls")
    sums: Counter[tuple[str, str]] = Counter()
    for function, usage in sorted(usages.items()):
        sums.update(usage.calls)
        for (service, operation), number in sorted(usage.calls.items()):
            table.add_row(function, service, operation, f"{number * scale:,.0f}")
    table.add_section()
    for (service, operation), number in sorted(sums.items()):
        table.add_row("all", service, operation, f"{number * scale:,.0f}")
    return table


def _uses(usages: Mapping[str, Usage], scale: float) -> Table:
    columns = ("messages", "runs", "ms per run", "CPU ms", "write units", "read units", "events", "queue", "log KB")
    table = _table("Usage", "function", *columns)
    for function, usage in sorted(usages.items()):
        counts = (usage.messages, usage.runs)
        amounts = (usage.write_units, usage.read, usage.events, usage.queue_requests, usage.logged / 1000)
        runs = max(usage.runs, 1)
        table.add_row(
            function,
            *(f"{number * scale:,.0f}" for number in counts),
            f"{usage.milliseconds / runs:.1f}",
            f"{usage.processor / runs:.1f}",
            *(f"{number * scale:,.0f}" for number in amounts),
        )
    return table


def _written(usages: Mapping[str, Usage], orders: int) -> Table:
    table = _table("Write units of an order", "what", "units", "US dollars for a thousand")
    whole = Usage()
    for usage in usages.values():
        whole.add_written(usage.written)
        whole.refused += usage.refused
    parts = {**whole.written, "refused transactions": whole.write_units - sum(whole.written.values())}
    for part, units in sorted(parts.items(), key=lambda each: -each[1]):
        table.add_row(part, *_of_units(units / orders))
    table.add_section()
    table.add_row("all", *_of_units(whole.write_units / orders))
    return table


def _of_units(units: float) -> tuple[str, str]:
    return f"{units:.1f}", f"{prices.WRITE_UNIT.of(units * _THOUSAND):.4f}"


def _costs(usages: Mapping[str, Usage], scale: float) -> Table:
    table = _table("Cost in US dollars", "function", *SERVICES, "all")
    for function, usage in sorted(usages.items(), key=lambda item: -sum(bill.cost(item[1]).values())):
        table.add_row(function, *_dollars(bill.cost(usage), scale))
    table.add_section()
    table.add_row("all", *_dollars(bill.total(usages.values()), scale))
    return table


def _dollars(costs: Mapping[str, float], scale: float) -> Iterator[str]:
    yield from (f"{costs[service] * scale:.4f}" for service in SERVICES)
    yield f"{sum(costs.values()) * scale:.4f}"


def _print_monthly_costs(
    progress: Progress, deployed: _Deployed, idle: Mapping[str, Usage], metrics: set[Metric]
) -> None:
    receives = deployed.queues * _POLLERS * (_MONTH / _POLL)
    table = _table("Cost per month without any events", "what", "number", "US dollars")
    rows: list[tuple[str, float, float]] = [
        ("alarms", deployed.alarms, prices.ALARM.of(deployed.alarms)),
        ("dashboards", deployed.dashboards, prices.DASHBOARD.of(deployed.dashboards)),
        ("custom metrics found", len(metrics), prices.METRIC.of(len(metrics))),
        ("secrets", deployed.secrets, prices.SECRET.of(deployed.secrets)),
        (f"empty receives at {deployed.queues} queues", receives, prices.QUEUE_REQUEST.of(receives)),
    ]
    for function, every in deployed.scheduled.items():
        runs = _MONTH / every
        run = idle.get(function, Usage()).alone()
        rows.append((f"idle runs of {function}", runs, sum(bill.cost(run).values()) * runs))
    for what, number, dollars in rows:
        table.add_row(what, f"{number:,.0f}", f"{dollars:.2f}")
    table.add_section()
    table.add_row("all", "", f"{sum(dollars for _, _, dollars in rows):.2f}")
    progress.console.print(table)
    progress.say("  Not included: storage, backups, free tiers, discounts, and conflicts, which do not occur here.")


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
    words: Any = {"function", "service", "operation", "what"}
    for column in columns:
        table.add_column(column, justify="left" if column in words else "right", no_wrap=True)
    return table
