"""`daybook pause` and `daybook resume`: stop a consumer, so that its messages wait, and let it go on."""

from dataclasses import asdict
from typing import Annotated

import typer

from daybook.operate.cli.operation import preview, progress, report
from daybook.operate.cli.options import Apply, AsJson, Reason, Stage
from daybook.operate.cli.printing import answer, note
from daybook.operate.cli.reaching import connected
from daybook.operate.operation import because
from daybook.operate.pause.pause import BACKBONE, Pausing, Standing

PAUSE_EXAMPLES = """
**Examples**

- `daybook pause reserve-stock --reason "until the new stock table is there"`
- `daybook pause reserve-stock --reason "until the new stock table is there" --apply --stage prod`
"""
RESUME_EXAMPLES = """
**Examples**

- `daybook resume reserve-stock`
- `daybook resume reserve-stock --reason "the table is there" --apply --stage prod`
"""

Consumer = Annotated[
    str, typer.Argument(metavar="CONSUMER", help="Which consumer: `reserve-stock`; or `admit`, or `publish`.")
]


def pause(
    consumer: Consumer, *, reason: Reason = "", stage: Stage = "dev", apply: Apply = False, as_json: AsJson = False
) -> None:
    """Stop a consumer: it gets no messages until `daybook resume`. They wait in its queue, for 14 days at the most.

    It finishes what it is processing. All other consumers go on. The operation records who paused it, when and why,
    and `daybook status` shows that. No deployment and no circuit breaker switches it on again. Repeating the command
    is safe.
    """
    with connected(stage) as connection:
        pausing = Pausing(connection, consumer)
        because(reason)
        before = pausing.standing()
        if consumer in BACKBONE and not before.switch.paused:
            note(f"While {consumer} is paused, {BACKBONE[consumer]}.")
        if not apply:
            would = f"{_who_paused(before)} already." if before.switch.paused else f"Would pause {consumer}."
            preview(_as_data(before), would, as_json=as_json)
            return
        new = pausing.pause(reason)
        after = _follow(pausing, "the consumer is switched off", stage)
        said = f"{consumer} is paused." if new else f"{_who_paused(after)} already."
        report(_as_data(after), said, f"To go on: daybook resume {consumer} --stage {stage} --apply", as_json=as_json)


def resume(
    consumer: Consumer, *, reason: Reason = "", stage: Stage = "dev", apply: Apply = False, as_json: AsJson = False
) -> None:
    """Let a consumer go on that was paused: it gets all messages that have waited.

    If the circuit breaker of an effect is open, the consumer stays off: it goes on by itself once the external system
    answers again. A consumer that was switched off by other means, for example in AWS's console, is switched on too.
    """
    with connected(stage) as connection:
        pausing = Pausing(connection, consumer)
        standing = pausing.standing()
        if not apply:
            if standing.switch.paused or not standing.settled:
                preview(_as_data(standing), f"{_who_paused(standing)}.", f"Would resume {consumer}.", as_json=as_json)
            else:
                nothing = {**_as_data(standing), "applied": False}
                answer(nothing, f"{_who_paused(standing)}.", "Nothing is to be done.", as_json=as_json)
            return
        new = pausing.resume(reason)
        standing = _follow(pausing, "the consumer is switched on", stage)
        if standing.lets_through:
            said = f"{consumer} goes on." if new else f"{consumer} was not paused; it is switched on."
        elif standing.switch.paused:
            said = f"{_who_paused(standing)} again."
        else:
            said = (
                f"{consumer} is not paused any more, but the external system that it calls does not answer: its "
                f"circuit breaker is open, and tries again at {standing.switch.retry_at[:19]}Z. Nothing is left to do."
            )
        report(_as_data(standing), said, as_json=as_json)


def _who_paused(standing: Standing) -> str:
    """Who has paused it, since when and why."""
    paused = standing.switch.paused
    if paused is None:
        return f"{standing.switch.consumer} is not paused"
    since = f"{paused.by} since {paused.since[:19]}Z: {paused.reason}"
    return f"{standing.switch.consumer} is paused by {since}".rstrip(".")


def _follow(pausing: Pausing, what: str, stage: str) -> Standing:
    """Make the mappings follow, with progress. Returns how they stand in the end."""
    see = f"See: daybook status --stage {stage}"
    with progress(what, lambda: f"Interrupted: it is recorded, and takes effect within a minute. {see}") as update:
        for standing in pausing.follow():
            update(f"{what}: {', '.join(standing.mappings) or 'it has no mapping'}")
    if not standing.mappings:
        note(f"{pausing.consumer} has no mapping between its queue and its function: nothing had to be switched.")
    elif not standing.settled:
        note(f"AWS is slow to switch it; it follows within a minute. {see}")
    return standing


def _as_data(standing: Standing) -> dict[str, object]:
    switch = standing.switch
    return {
        "consumer": switch.consumer,
        "paused": asdict(switch.paused) if switch.paused else None,
        "breaker_open": switch.opened,
        "retry_at": switch.retry_at,
        "mappings": list(standing.mappings),
    }
