"""Keep the register of consumers, and apply their switches to their event source mappings, each minute. Report the
consumers that do not make progress: metrics set off the alarms, and log lines name the consumers.

The register (daybook/store/register.py) has all consumers that ever had a rule on the event bus.

A mapping is off while an operator has paused its consumer, or its circuit breaker is open. It is switched on again when
neither is the case. The switch in the ledger's table is the desired state. So the next run completes a change that this
function or an operator's command has not finished, and switches off a mapping that a deployment has switched on.
"""

from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from daybook.backbone.waiting import LOOK_EACH, waiting_too_long
from daybook.consumers.consumer import backbone
from daybook.consumers.failure import log_failure
from daybook.consumers.switch import Switch, Switches
from daybook.contracts import clock
from daybook.runtime import aws, observability, rules
from daybook.runtime.mapping import Mappings
from daybook.runtime.settings import settings
from daybook.store.register import BACKBONE, Register
from daybook.store.transaction import Backoff

CONSUMER = "control-consumers"

_MAX_PAUSE = timedelta(days=10)  # SQS deletes the messages of a paused consumer after 14


class NotSwitched(RuntimeError):
    """Some mappings could not be switched. The next run tries again."""


def handler(event: Mapping[str, Any], context: Any) -> None:
    """Update the register, and apply all switches to their mappings. Raises NotSwitched if some of them failed.

    `event`: a scheduled event of EventBridge. Without its `time`, the queues are looked at in any case.
    """
    names = settings().names
    subscribed = {
        name: [str(each) for each in pattern.get("detail-type", ())]
        for name, pattern in rules.patterns(aws.client("events"), names)
    }
    registered = Register(backbone().dynamodb, names.ledger).update(subscribed)
    switches = Switches(backbone().dynamodb, names.ledger)
    mappings = Mappings(aws.client("lambda"), names)
    backoff = Backoff(lambda: context.get_remaining_time_in_millis() / 1000)
    failed, stopped = 0, set[str]()
    for switch in switches.find_all({*registered, *BACKBONE}, backoff):
        _report(switch)
        if not switch.may_receive(clock.now()):
            stopped.add(switch.consumer)
        try:
            _apply(switch, switches, mappings)
        except Exception as error:  # noqa: BLE001 - any error: the next run tries again, the others are handled
            log_failure(observability.logger(CONSUMER), {"consumer": switch.consumer}, error)
            failed += 1
    if "time" not in event or clock.moment(event["time"]).minute % LOOK_EACH == 0:
        _report_waiting({*registered, "admit"} - stopped)
    if failed:
        msg = f"the mappings of {failed} consumers could not be switched"
        raise NotSwitched(msg)


def _apply(switch: Switch, switches: Switches, mappings: Mappings) -> None:
    """Apply a consumer's switch to its mapping. The switch may change meanwhile."""
    if not switch.may_receive(clock.now()):
        if not switch.off:
            switches.mark_off(switch.consumer)
        if mappings.switch(switch.consumer, on=False):
            _log("switched off", switch)
    elif switch.off:
        if mappings.switch(switch.consumer, on=True):
            _log("switched on", switch)
        elif mappings.settled(switch.consumer, on=True):
            switches.mark_on(switch.consumer)
        # An operator may have paused the consumer after its switch was read.
        now = switches.find(switch.consumer)
        if not now.may_receive(clock.now()):
            mappings.switch(switch.consumer, on=False)


def _log(message: str, switch: Switch) -> None:
    about = {"consumer": switch.consumer, "breaker": switch.breaker(clock.now()), "retry_at": switch.retry_at}
    observability.logger(CONSUMER).info(message, extra=about | {"paused": bool(switch.paused)})


def _report(switch: Switch) -> None:
    """Emit the metrics of a stopped consumer in each run, so that their alarms stay on."""
    if switch.opened:
        _count(switch.consumer, observability.BREAKER_OPEN)
    if switch.paused and datetime.now(UTC) - clock.moment(switch.paused.since) > _MAX_PAUSE:
        _log("paused too long", switch)
        _count(switch.consumer, observability.PAUSED_TOO_LONG)


def _report_waiting(consumers: Collection[str]) -> None:
    """Report the consumers whose messages wait too long. If that cannot be found out, the same alarm goes off."""
    log = observability.logger(CONSUMER)
    try:
        sqs, cloudwatch = aws.client("sqs"), aws.client("cloudwatch")
        waiting = list(waiting_too_long(sqs, cloudwatch, settings().names, sorted(consumers)))
    except Exception as error:  # noqa: BLE001 - any error: the switches are applied, and the next look tries again
        log_failure(log, {}, error)
        waiting = [CONSUMER]
    for consumer in waiting:
        log.warning("messages wait too long", extra={"consumer": consumer})
        _count(consumer, observability.WAITING)


def _count(consumer: str, metric: str) -> None:
    counts = observability.counts(settings().names.stage, consumer)
    counts.count(metric)
    counts.flush()
