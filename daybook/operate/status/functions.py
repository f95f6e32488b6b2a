"""Checks of Lambda: how much may run at once, whether all functions are ready, and whether their mappings are on."""

from collections.abc import Iterator

from daybook.consumers.switch import Switch, Switches
from daybook.contracts import clock
from daybook.operate.connection import LOCAL, MAX_WAIT, Connection
from daybook.operate.consumers import consumers
from daybook.operate.functions import functions
from daybook.operate.setup import Finding
from daybook.operate.terminal import command_line, deployment
from daybook.runtime.mapping import EventSourceMapping, Mappings
from daybook.store.transaction import Backoff

# At least so much of the account's concurrency must stay without reservation. A new account may have 10 in all
# (https://docs.aws.amazon.com/lambda/latest/dg/configuration-concurrency.html).
_UNRESERVED = 100
_USUAL = 1_000  # the quota of an account that is not new
_QUOTA = "L-B99A9384"  # concurrent executions, in Service Quotas


def check_concurrency(connection: Connection) -> Finding:
    """Whether the account's functions may run often enough at once, and how much may be reserved."""
    if connection.stage == LOCAL:
        return Finding("concurrency", well=True, found="functions of a local run have no account")
    limit = connection.lambda_.get_account_settings()["AccountLimit"]
    total, unreserved = limit["ConcurrentExecutions"], limit["UnreservedConcurrentExecutions"]
    has = f"{total} functions of the account may run at once, {unreserved} of them without a reservation"
    if total >= _UNRESERVED:
        left = max(unreserved - _UNRESERVED, 0)
        return Finding("concurrency", well=True, found=f"{has}: the option reserved_concurrency may take {left} more")
    words = ("--service-code", "lambda", "--quota-code", _QUOTA, "--desired-value", str(_USUAL))
    return Finding(
        "concurrency",
        well=False,
        found=f"{has}: one busy consumer delays all others, and the option reserved_concurrency must stay off",
        do=f"ask for more: {command_line('aws', 'service-quotas', 'request-service-quota-increase', *words)}",
    )


def check_functions(connection: Connection) -> Iterator[Finding]:
    """Whether each function is active, and its last update successful."""
    names = [each["FunctionName"] for each in functions(connection)]
    found = connection.each(lambda name: connection.lambda_.get_function_configuration(FunctionName=name), names)
    # Lambda makes a function inactive that had nothing to do for weeks, and active with its next message
    # (https://docs.aws.amazon.com/lambda/latest/dg/functions-states.html).
    ready = {"Active", "Inactive"}
    not_ready = [each for each in found if each["State"] not in ready or each["LastUpdateStatus"] != "Successful"]
    for each in not_ready:
        reason = each.get("StateReason") or each.get("LastUpdateStatusReason") or "no reason given"
        yield Finding(
            f"function {each['FunctionName']}",
            well=False,
            found=f"it is {each['State']}, and its last update {each['LastUpdateStatus']}: {reason}",
            do="if it is Pending or InProgress, repeat in a minute; otherwise correct the reason, and deploy its stack",
        )
    if not not_ready:
        yield Finding("functions", well=True, found=f"{len(found)} are ready")


def check_rules(connection: Connection) -> Iterator[Finding]:
    """Whether all rules of the stage are on: those of consumers, and the schedules. EventBridge keeps no event for a
    rule that is off, and a schedule that never ran sets off no alarm.
    """
    names, count, off = connection.names, 0, 0
    for bus in ("default", names.ingress_bus, names.event_bus):
        pages = connection.eventbridge.get_paginator("list_rules").paginate(EventBusName=bus, NamePrefix=names.of(""))
        for rule in (rule for page in pages for rule in page["Rules"]):
            count += 1
            if rule["State"] == "DISABLED":
                off += 1
                do = command_line("aws", "events", "enable-rule", "--name", rule["Name"], "--event-bus-name", bus)
                yield Finding(f"rule {rule['Name']}", well=False, found="it is off", do=do)
    if not off:
        yield Finding("rules", well=True, found=f"{count} are on")


def check_mappings(connection: Connection) -> Iterator[Finding]:
    """Whether the mapping of each function is on, or off because its consumer is paused or its breaker is open."""
    mappings = Mappings(connection.lambda_, connection.names).all()
    table = Switches(connection.dynamodb, connection.names.ledger)
    switches = {each.consumer: each for each in table.find_all(mappings, Backoff(lambda: MAX_WAIT))}
    count = wrong = 0
    for consumer in sorted(consumers(connection).keys() - mappings.keys()):
        wrong += 1
        do = f"deploy its stack: {deployment(connection.stage)}"
        yield Finding(f"mapping of {consumer}", well=False, found="there is none: its messages wait", do=do)
    for consumer, own in sorted(mappings.items()):
        switch = switches.get(consumer, Switch(consumer=consumer))
        for mapping in own:
            count += 1
            if problem := _problem(switch, mapping):
                wrong += 1
                yield Finding(f"mapping of {consumer}", False, *problem)
    if not wrong:
        yield Finding("mappings", well=True, found=f"{count} are on, or off as their switches say")


def _problem(switch: Switch, mapping: EventSourceMapping) -> tuple[str, str] | None:
    """What is wrong with a mapping, and what to do; None if nothing is."""
    on = switch.may_receive(clock.now())
    if mapping.settled(on=on):
        return None
    if mapping.state not in {"Enabled", "Disabled"}:
        return f"it is {mapping.state}", "repeat in a minute; then look at it in the console of Lambda"
    control = "control-consumers corrects it within a minute; if not, look at the log of control-consumers"
    if not on:
        return "it is on, although the consumer is paused or its circuit breaker is open", control
    if switch.off:
        return "it is still off, although the consumer is no longer paused and its circuit breaker not open", control
    turn_on = command_line("aws", "lambda", "update-event-source-mapping", "--uuid", mapping.uuid, "--enabled")
    return "it is off, although nobody has paused the consumer: its messages wait", turn_on
