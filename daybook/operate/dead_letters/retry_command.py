"""`daybook dead retry`: have dead letters processed again."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from typing import Annotated

import typer
from rich.console import RenderableType

from daybook.operate.cli.operation import progress, report
from daybook.operate.cli.options import Apply, AsJson, Reason, Stage
from daybook.operate.cli.printing import answer, fail, note
from daybook.operate.cli.reaching import connected
from daybook.operate.dead_letters.choice import (
    ConsumerOption,
    ErrorOption,
    Everything,
    Ids,
    SinceOption,
    StreamOption,
    TypeOption,
    chosen,
    selection,
)
from daybook.operate.dead_letters.groups import Failures, preview_of
from daybook.operate.dead_letters.index import DeadLetter
from daybook.operate.dead_letters.results import BEING_TRIED, DONE, Result
from daybook.operate.dead_letters.retry import MOST_UNDER_WAY, Retrying
from daybook.operate.drawing import number_of
from daybook.operate.operation import because

EXAMPLES = """
**Examples**

- `daybook dead retry 954ee5d5-d2e0-81b7-909d-26244858827d@confirm-order --apply`
- `daybook dead retry --consumer charge-order --error NotPerformed`
- `daybook dead retry --consumer charge-order --first 1 --apply --stage prod`
- `daybook dead retry --consumer charge-order --rate 5 --reason "the bank is back" --apply --stage prod`
"""

# Up to this number dead letters are listed by their ids.
_MOST_NAMED = 5


def retry(
    ids: Ids = None,
    *,
    stage: Stage = "dev",
    consumer: ConsumerOption = None,
    error: ErrorOption = None,
    event_type: TypeOption = None,
    stream: StreamOption = None,
    since: SinceOption = None,
    everything: Everything = False,
    first: Annotated[
        int | None,
        typer.Option(min=1, max=MOST_UNDER_WAY, metavar="N", help="Only the N that died first: to see their results."),
    ] = None,
    rate: Annotated[
        float | None, typer.Option(min=0.01, metavar="N", help="At most N a second, to spare the external system.")
    ] = None,
    wait: Annotated[float, typer.Option(min=0, metavar="SECONDS", help="How long to wait for the next result.")] = 60,
    reason: Reason = "",
    apply: Apply = False,
    as_json: AsJson = False,
) -> None:
    """Have dead letters processed again, and see the result of each.

    Each message is sent to its consumer's own queue again. It stays a dead letter until the consumer has committed it:
    interrupt or repeat this command whenever you like, nothing is lost, and nothing is processed twice. At most 1,000
    are in process at once. An ordered consumer goes on with the stream that the dead letter had blocked.

    What publish has set aside is published again, and what fire-timers has set aside is recorded. Not sent are dead
    letters of consumers that are not deployed, and those of effects whose outcome is unknown (`OutcomeUnknown`):
    resolve these first. With `--json`, one object for each dead letter, and one that sums up.

    Exit code 1: not all are done.
    """
    with connected(stage) as connection:
        because(reason, required=False)
        dead_letters = chosen(
            connection, ids, selection(consumer, error, event_type, stream, since), everything=everything, first=first
        )
        retrying = Retrying(connection, reason=reason, rate=rate, wait=wait)
        if not apply:
            _preview(dead_letters, retrying, as_json=as_json)
            return
        summary = _Summary(stage, retrying)
        with progress("sending", summary.interrupted) as update:
            for result in retrying.run(dead_letters, progress=lambda: update(summary.so_far())):
                summary.add(result)
                if as_json:
                    answer(result.as_data(), as_json=True)
        summary.show(as_json=as_json)
        if not summary.all_done:
            fail(summary.what_next(), exit_code=1)


def _preview(dead_letters: Iterable[DeadLetter], retrying: Retrying, *, as_json: bool) -> None:
    sent, refused = Failures(), Failures()
    named: list[str] = []
    reasons: dict[tuple[str, str], str] = {}
    with progress("reading the index of dead letters"):
        for dead_letter in dead_letters:
            if why := retrying.refusal(dead_letter):
                refused.add(dead_letter)
                reasons.setdefault((dead_letter.consumer, dead_letter.error), f"Would not be sent: {why}")
            else:
                sent.add(dead_letter)
                named = [*named, f"  {dead_letter.id}"][: _MOST_NAMED + 1]
    others = [*reasons.values(), f"That concerns {number_of(refused.count, 'dead letter')}."] if reasons else []
    each = "Each would be sent to its consumer's queue again, and stay dead until the consumer has committed it."
    lines = [*(named if sent.count <= _MOST_NAMED else ()), each] if sent.count else []
    data = {"refused": refused.as_data()}
    preview_of(sent, "Would retry", *lines, *others, do="To retry them", as_json=as_json, **data)


class _Summary:
    """The results so far, in numbers."""

    def __init__(self, stage: str, retrying: Retrying) -> None:
        self._stage = stage
        self._retrying = retrying
        self._results: Counter[str] = Counter()
        self._failures = Failures()
        self._named: list[Result] = []
        self.all_done = True

    def add(self, result: Result) -> None:
        """Count one more."""
        self._results[result.result] += 1
        self._named = [*self._named, result][:_MOST_NAMED]
        self.all_done &= result.done
        if not result.done and result.result != BEING_TRIED:
            self._failures.add(replace(result.dead_letter, error=result.error or result.result, reason=result.reason))

    def so_far(self) -> str:
        """The line on the screen meanwhile."""
        return f"{self._retrying.sent} sent; {self._numbers}, {self._retrying.under_way} under way"

    def interrupted(self) -> str:
        """What Ctrl-C has left."""
        return (
            f"Interrupted: {self._numbers} so far, and {self._retrying.under_way} are in process, which goes on. The "
            f"others are as dead as before; repeat the command for these, or see: daybook dead --stage {self._stage}"
            + (f". Recorded as operation/{self._retrying.operation_id}" if self._retrying.sent else "")
        )

    def show(self, *, as_json: bool) -> None:
        """Print the results."""
        operation, failures = self._retrying.operation_id, self._failures.as_data()
        lines: list[RenderableType] = [f"{self._numbers}." if self._results else "There are no such dead letters."]
        if self._results.total() <= _MOST_NAMED:  # those that failed stand in the table
            named = [each for each in self._named if each.done or each.result == BEING_TRIED]
            lines += [f"  {each.dead_letter.id}  {each.result}" for each in named]
        if failures:
            lines.append(self._failures.table("Not done", "count", "consumer", "error", "reason", "example"))
        data = {"operation": operation, "results": dict(self._results), "failures": failures}
        report(data, *lines, as_json=as_json)
        if not as_json and (self._results[DONE] or self._retrying.sent):
            note(f"Recorded as operation/{operation}")

    def what_next(self) -> str:
        """What to do about those that are not done."""
        if number := self._results[BEING_TRIED]:
            return (
                f"{number} {'is' if number == 1 else 'are'} still being tried after the time to wait for; "
                f"look again with `daybook dead --stage {self._stage}`, where they stand until they are done"
            )
        return f"not all are done; the rest is listed by `daybook dead --stage {self._stage}`"

    @property
    def _numbers(self) -> str:
        """`3 done, 1 dead again`."""
        return ", ".join(f"{n} {each}" for each, n in self._results.most_common()) or "none has come to an end"
