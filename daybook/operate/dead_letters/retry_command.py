"""`daybook dead retry`: process dead letters again."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from typing import Annotated

import typer
from rich.console import RenderableType

from daybook.operate.cli.operation import progress, report
from daybook.operate.cli.options import Apply, AsJson, Reason, Stage
from daybook.operate.cli.printing import answer, fail, note
from daybook.operate.cli.stage import connected
from daybook.operate.dead_letters.choice import (
    ConsumerOption,
    ErrorOption,
    Everything,
    Ids,
    SinceOption,
    StreamOption,
    TypeOption,
    selected_dead_letters,
    selection,
)
from daybook.operate.dead_letters.groups import Failures, preview_of
from daybook.operate.dead_letters.index import DeadLetter
from daybook.operate.dead_letters.results import DONE, IN_PROGRESS, Result
from daybook.operate.dead_letters.retry import MAX_IN_PROGRESS, RetryOperation
from daybook.operate.drawing import number_of
from daybook.operate.operation import check_reason
from daybook.operate.terminal import daybook

EXAMPLES = """
**Examples**

- `daybook dead retry 954ee5d5-d2e0-81b7-909d-26244858827d@confirm-order --apply`
- `daybook dead retry --consumer charge-order --error NotPerformed`
- `daybook dead retry --consumer charge-order --first 1 --apply --stage prod`
- `daybook dead retry --consumer charge-order --rate 5 --reason "the bank is back" --apply --stage prod`
"""

# Up to this number, dead letters are listed by id.
_MAX_LISTED = 5


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
        typer.Option(
            min=1, max=MAX_IN_PROGRESS, metavar="N", help="Retry only the N oldest, to see their results first."
        ),
    ] = None,
    rate: Annotated[float | None, typer.Option(min=0.01, metavar="N", help="Send at most N per second.")] = None,
    wait: Annotated[float, typer.Option(min=0, metavar="SECONDS", help="How long to wait for the next result.")] = 60,
    reason: Reason = "",
    apply: Apply = False,
    as_json: AsJson = False,
) -> None:
    """Retry dead letters, and print the result of each.

    Each message is sent to its consumer's queue again. It stays a dead letter until the consumer has committed it. You
    can interrupt and repeat the command: nothing is lost, and nothing is processed twice. At most 1,000 are in progress
    at once. An ordered consumer continues with the stream that the dead letter has blocked.

    Dead letters of publish are published again, and timers of fire-timers are recorded. The command skips dead letters
    of consumers that are not deployed, and those of effects whose outcome is unknown (`OutcomeUnknown`): resolve these
    first. With `--json`, prints one object per dead letter, and a summary.

    Exit code 1: some dead letters are not done.
    """
    with connected(stage) as connection:
        check_reason(reason, required=False)
        dead_letters = selected_dead_letters(
            connection, ids, selection(consumer, error, event_type, stream, since), everything=everything, first=first
        )
        operation = RetryOperation(connection, reason=reason, rate=rate, wait=wait)
        if not apply:
            _preview(dead_letters, operation, as_json=as_json)
            return
        summary = _Summary(stage, operation, wait)
        with progress("sending", summary.interrupted) as update:
            for result in operation.run(dead_letters, progress=lambda: update(summary.so_far())):
                summary.add(result)
                if as_json:
                    answer(result.as_data(), as_json=True)
        summary.show(as_json=as_json)
        if not summary.all_done:
            fail(summary.what_next(), exit_code=1)


def _preview(dead_letters: Iterable[DeadLetter], operation: RetryOperation, *, as_json: bool) -> None:
    sent, skipped = Failures(), Failures()
    named: list[str] = []
    reasons: dict[tuple[str, str], str] = {}
    with progress("reading the index of dead letters"):
        for dead_letter in dead_letters:
            if why := operation.reason_to_skip(dead_letter):
                skipped.add(dead_letter)
                reasons.setdefault((dead_letter.consumer, dead_letter.error), f"Would be skipped: {why}")
            else:
                sent.add(dead_letter)
                named = [*named, f"  {dead_letter.id}"][: _MAX_LISTED + 1]
    others = [*reasons.values(), f"This concerns {number_of(skipped.count, 'dead letter')}."] if reasons else []
    each = "Each would be sent to its consumer's queue again. It stays dead until the consumer has committed it."
    lines = [*(named if sent.count <= _MAX_LISTED else ()), each] if sent.count else []
    data = {"skipped": skipped.as_data()}
    preview_of(sent, "Would retry", *lines, *others, do="To retry them", as_json=as_json, **data)


class _Summary:
    """Counts the results."""

    def __init__(self, stage: str, operation: RetryOperation, wait: float) -> None:
        self._stage = stage
        self._wait = wait
        self._operation = operation
        self._results: Counter[str] = Counter()
        self._failures = Failures()
        self._named: list[Result] = []
        self.all_done = True

    def add(self, result: Result) -> None:
        self._results[result.result] += 1
        self._named = [*self._named, result][:_MAX_LISTED]
        self.all_done &= result.done
        if not result.done and result.result != IN_PROGRESS:
            self._failures.add(replace(result.dead_letter, error=result.error or result.result, reason=result.reason))

    def so_far(self) -> str:
        return f"{self._operation.sent} sent; {self._numbers}, {self._operation.in_progress} in progress"

    def interrupted(self) -> str:
        return (
            f"Interrupted: {self._numbers}; consumers still process {self._operation.in_progress}. The others are "
            f"unchanged. Repeat the command, or see: {daybook('dead', stage=self._stage)}"
            + (f". Recorded as operation/{self._operation.operation_id}" if self._operation.sent else "")
        )

    def show(self, *, as_json: bool) -> None:
        operation, failures = self._operation.operation_id, self._failures.as_data()
        lines: list[RenderableType] = [f"{self._numbers}." if self._results else "No dead letters were selected."]
        if self._results.total() <= _MAX_LISTED:  # failures are in the table
            named = [each for each in self._named if each.done or each.result == IN_PROGRESS]
            lines += [f"  {each.dead_letter.id}  {each.result}" for each in named]
        if failures:
            lines.append(self._failures.table("Not done", "count", "consumer", "error", "reason", "example"))
        data = {"operation": operation, "results": dict(self._results), "failures": failures}
        report(data, *lines, as_json=as_json)
        if not as_json and (self._results[DONE] or self._operation.sent):
            note(f"Recorded as operation/{operation}")

    def what_next(self) -> str:
        """The next step for those that are not done."""
        if number := self._results[IN_PROGRESS]:
            return (
                f"{number} {'is' if number == 1 else 'are'} still in progress after {self._wait:g} seconds without a "
                f"result; check with: {daybook('dead', stage=self._stage)}"
            )
        return f"not all are done; list the rest with: {daybook('dead', stage=self._stage)}"

    @property
    def _numbers(self) -> str:
        """`3 done, 1 dead again`."""
        return ", ".join(f"{n} {each}" for each, n in self._results.most_common()) or "no results yet"
