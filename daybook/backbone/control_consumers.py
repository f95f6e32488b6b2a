"""Switch mappings off and on, each minute, as the consumers' switches say: those of breakers that are open, and of
consumers that an operator has paused, are off; those that are off without a reason any more go on again.

The row is what holds. So what was begun and not ended, here or by an operator's command, is ended by the next minute;
and a mapping that a deployment has switched on meanwhile is off again.
"""

from collections.abc import Mapping
from typing import Any

from daybook.consumers.consumer import backbone
from daybook.consumers.failure import log_failure
from daybook.consumers.switch import Switch, Switches
from daybook.contracts import clock
from daybook.runtime import aws, observability
from daybook.runtime.mapping import Mappings
from daybook.runtime.settings import settings

CONSUMER = "control-consumers"


class NotSwitched(RuntimeError):
    """Some mappings could not be switched. The next minute tries it again."""


def handler(_: Mapping[str, Any], __: Any) -> None:
    """Bring all mappings to where their switches stand. Raises NotSwitched, when some of it failed."""
    names = settings().names
    switches = Switches(backbone().dynamodb, names.ledger)
    mappings = Mappings(aws.client("lambda"), names)
    failed = 0
    for switch in switches.all():
        _count(switch)
        try:
            _follow(switch, switches, mappings)
        except Exception as error:  # noqa: BLE001 - whatever it was, the next minute tries it and the others go on
            log_failure(observability.logger(CONSUMER), {"of": switch.consumer}, error)
            failed += 1
    if failed:
        msg = f"the mappings of {failed} consumers could not be switched"
        raise NotSwitched(msg)


def _follow(switch: Switch, switches: Switches, mappings: Mappings) -> None:
    """Have a consumer's mapping follow its switch, which may change at any moment."""
    if not switch.lets_through(clock.now()):
        if not switch.off:
            switches.switched_off(switch.consumer)
        if mappings.switch(switch.consumer, on=False):
            _tell("switched off", switch)
    elif switch.off:
        if mappings.switch(switch.consumer, on=True):
            _tell("switched on", switch)
        elif mappings.settled(switch.consumer, on=True):
            switches.switched_on(switch.consumer)
        # An operator may have paused it between the look at its switch and the call.
        now = switches.find(switch.consumer)
        if not now.lets_through(clock.now()):
            mappings.switch(switch.consumer, on=False)


def _tell(what: str, switch: Switch) -> None:
    about = {"of": switch.consumer, "breaker": switch.breaker(clock.now()), "retry_at": switch.retry_at}
    observability.logger(CONSUMER).info(what, extra=about | {"paused": bool(switch.paused)})


def _count(switch: Switch) -> None:
    """Say in the consumer's name that its breaker is open, for as long as it is: the alarm on it lasts as long."""
    if switch.opened:
        metrics = observability.metrics(settings().names.stage, switch.consumer)
        observability.count(metrics, observability.BREAKER_OPEN)
        observability.flush(metrics)
