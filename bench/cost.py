"""What a thousand orders use on AWS, and what that costs."""

from __future__ import annotations

import tempfile
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
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

    from daybook.local.cloud import Cloud
    from daybook.local.progress import Progress

_WARM_UP = 20  # orders
_THOUSAND = 1_000

_PRODUCERS = "(producers)"


@dataclass(frozen=True, slots=True)
class _Deployed:
    """The functions of a stage that something triggers."""

    fed: frozenset[str]  # by a queue
    scheduled: frozenset[str]  # each minute


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
            add_logs(cloud.client("logs"), connection, running, since)
    for what, number in followed.items():
        progress.say(f"  {what}: {number}")
    _print_results(progress, usages, orders)
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
    rules = cloud.client("events").list_rules(NamePrefix=prefix)["Rules"]
    return _Deployed(
        fed=frozenset(
            mapping["FunctionArn"].rpartition(":")[2].removeprefix(prefix)
            for mapping in mappings
            if ":sqs:" in mapping["EventSourceArn"]
        ),
        scheduled=frozenset(rule["Name"].removeprefix(prefix) for rule in rules if rule.get("ScheduleExpression")),
    )


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


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
    words: Any = {"function", "service", "operation", "what"}
    for column in columns:
        table.add_column(column, justify="left" if column in words else "right", no_wrap=True)
    return table
