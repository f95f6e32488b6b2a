"""`daybook pause` and `daybook resume`: stop and start the delivery of messages to a consumer."""

from dataclasses import asdict
from typing import Annotated

import typer

from daybook.operate.cli.operation import preview, progress, report
from daybook.operate.cli.options import Apply, AsJson, Reason, Stage
from daybook.operate.cli.printing import answer, note
from daybook.operate.cli.stage import connected
from daybook.operate.operation import check_reason
from daybook.operate.pause.pause import BACKBONE, ConsumerState, PauseOperation
from daybook.operate.terminal import daybook

PAUSE_EXAMPLES = """
**Examples**

- `daybook pause reserve-stock --reason "until the new stock table is ready"`
- `daybook pause reserve-stock --reason "until the new stock table is ready" --apply --stage prod`
"""
RESUME_EXAMPLES = """
**Examples**

- `daybook resume reserve-stock`
- `daybook resume reserve-stock --reason "the table is ready" --apply --stage prod`
"""

Consumer = Annotated[
    str, typer.Argument(metavar="CONSUMER", help="The consumer, for example `reserve-stock`; or `admit` or `publish`.")
]


def pause(
    consumer: Consumer, *, reason: Reason = "", stage: Stage = "dev", apply: Apply = False, as_json: AsJson = False
) -> None:
    """Pause a consumer: it receives no messages until `daybook resume`. Messages wait in its queue for at most 14 days.

    Messages in progress are still processed. Other consumers are not affected. `daybook status` shows who paused the
    consumer, when and why. Deployments and circuit breakers do not turn it on again. Repeating the command is safe.
    """
    with connected(stage) as connection:
        pausing = PauseOperation(connection, consumer)
        check_reason(reason)
        before = pausing.state()
        if consumer in BACKBONE and not before.switch.paused:
            note(f"While {consumer} is paused, {BACKBONE[consumer]}.")
        if not apply:
            would = f"{_pause_text(before)} already." if before.switch.paused else f"Would pause {consumer}."
            preview(_as_data(before), would, as_json=as_json)
            return
        new = pausing.pause(reason)
        after = _follow(pausing, "turning the consumer off", stage)
        text = f"{consumer} is paused." if new else f"{_pause_text(after)} already."
        resuming = daybook("resume", consumer, apply=True, stage=stage)
        report(_as_data(after), text, f"To resume it: {resuming}", as_json=as_json)


def resume(
    consumer: Consumer, *, reason: Reason = "", stage: Stage = "dev", apply: Apply = False, as_json: AsJson = False
) -> None:
    """Resume a paused consumer: it receives all messages that have waited.

    If the circuit breaker of an effect is open, the consumer stays off until the external system answers again. A
    consumer that was turned off by other means, for example in the AWS console, is turned on too.
    """
    with connected(stage) as connection:
        pausing = PauseOperation(connection, consumer)
        state = pausing.state()
        if not apply:
            if state.switch.paused or not state.settled:
                preview(_as_data(state), f"{_pause_text(state)}.", f"Would resume {consumer}.", as_json=as_json)
            else:
                nothing = {**_as_data(state), "applied": False}
                answer(nothing, f"{_pause_text(state)}.", "There is nothing to do.", as_json=as_json)
            return
        new = pausing.resume(reason)
        state = _follow(pausing, "turning the consumer on", stage)
        if state.may_receive:
            text = f"{consumer} is resumed." if new else f"{consumer} was not paused; it is on."
        elif state.switch.paused:
            text = f"{_pause_text(state)} again."
        else:
            text = (
                f"{consumer} is no longer paused, but its circuit breaker is open, because the external system "
                f"does not answer. It tries again at {state.switch.retry_at[:19]}Z. There is nothing to do."
            )
        report(_as_data(state), text, as_json=as_json)


def _pause_text(state: ConsumerState) -> str:
    paused = state.switch.paused
    if paused is None:
        return f"{state.switch.consumer} is not paused"
    since = f"{paused.by} since {paused.since[:19]}Z: {paused.reason}"
    return f"{state.switch.consumer} is paused by {since}".rstrip(".")


def _follow(pausing: PauseOperation, what: str, stage: str) -> ConsumerState:
    """Turn the mappings on or off, with progress. Returns the final state."""
    see = f"See: {daybook('status', stage=stage)}"
    interrupted = f"Interrupted: the operation is recorded, and takes effect within a minute. {see}"
    with progress(what, lambda: interrupted) as update:
        for state in pausing.follow():
            update(f"{what}: {', '.join(state.mappings) or 'no mapping'}")
    if not state.mappings:
        note(f"{pausing.consumer} has no event source mapping, so nothing was turned on or off.")
    elif not state.settled:
        note(f"AWS has not finished yet; it takes effect within a minute. {see}")
    return state


def _as_data(state: ConsumerState) -> dict[str, object]:
    switch = state.switch
    return {
        "consumer": switch.consumer,
        "paused": asdict(switch.paused) if switch.paused else None,
        "breaker_open": switch.opened,
        "retry_at": switch.retry_at,
        "mappings": list(state.mappings),
    }
