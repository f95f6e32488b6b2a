"""`daybook dead retry`: have dead letters processed again."""

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from typing import Annotated

import typer
from rich.console import Console

from daybook.operate.cli.interruption import interruptible
from daybook.operate.cli.options import AsJson, Stage
from daybook.operate.cli.printing import console, fail, note
from daybook.operate.cli.reaching import connected
from daybook.operate.dead_letters.choice import a_reason, chosen, number_of
from daybook.operate.dead_letters.groups import Failures
from daybook.operate.dead_letters.index import Letter
from daybook.operate.dead_letters.results import BEING_TRIED, DONE, Fate
from daybook.operate.dead_letters.retry import MOST_UNDER_WAY, Retrying
from daybook.operate.dead_letters.selection_options import (
    ConsumerOption,
    ErrorOption,
    SinceOption,
    StreamOption,
    TypeOption,
    selection,
)
from daybook.operate.drawing import plain, table

EXAMPLES = """
**Examples**

- `daybook dead retry 954ee5d5-d2e0-81b7-909d-26244858827d@confirm-order --apply`
- `daybook dead retry --consumer charge-order --error NothingDone`
- `daybook dead retry --consumer charge-order --first 1 --apply --stage prod`
- `daybook dead retry --consumer charge-order --rate 5 --reason "the bank is back" --apply --stage prod`
"""

# So few letters are called by their names.
_MOST_NAMED = 5


def retry(
    ids: Annotated[
        list[str] | None,
        typer.Argument(metavar="[ID]...", help="Events' ids, or EVENT@CONSUMER; or say of which kind."),
    ] = None,
    *,
    stage: Stage = "dev",
    consumer: ConsumerOption = None,
    error: ErrorOption = None,
    event_type: TypeOption = None,
    stream: StreamOption = None,
    since: SinceOption = None,
    everything: Annotated[bool, typer.Option("--all", help="Every dead letter of the stage.")] = False,
    first: Annotated[
        int | None,
        typer.Option(min=1, max=MOST_UNDER_WAY, metavar="N", help="Only the N that died first: to see how they fare."),
    ] = None,
    rate: Annotated[
        float | None, typer.Option(min=0.01, metavar="N", help="At most N a second, to spare what is behind them.")
    ] = None,
    wait: Annotated[
        float, typer.Option(min=0, metavar="SECONDS", help="How long to wait for the next of them to come to an end.")
    ] = 60,
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why, for those who read the record.")] = "",
    apply: Annotated[bool, typer.Option("--apply", help="Do it. Without this, nothing is changed.")] = False,
    as_json: AsJson = False,
) -> None:
    """Have dead letters processed again, and see how each fares.

    Each message goes to its consumer's own queue once more, as if it had just come. The letter stays dead until the
    consumer has committed it: interrupt or repeat this at will, nothing is lost, and nothing is done twice. At most
    1,000 are tried at once. A consumer that keeps order goes on with the stream that the letter had stopped.

    What publish has set aside is published again, and what sweep has is recorded. Not tried again are letters of
    consumers that are not deployed, and those of which nobody knows whether they took effect (`OutcomeUnknown`): these
    must be resolved first. With `--json`, one object a letter, and one that sums up.

    Exit code 1: not all are done.
    """
    with connected(stage) as connection:
        a_reason(reason)
        wanted = selection(consumer, error, event_type, stream, since)
        letters = chosen(connection, ids, wanted, everything=everything, first=first)
        retrying = Retrying(connection, reason=reason, rate=rate, wait=wait)
        if not apply:
            _tell_beforehand(letters, retrying, as_json=as_json)
            return
        account = _Account(stage)
        with interruptible(lambda: account.interrupted(retrying)), Console(stderr=True).status("sending …") as status:
            for fate in retrying.run(letters, progress=lambda: status.update(account.so_far(retrying))):
                account.add(fate)
                if as_json:
                    typer.echo(json.dumps(fate.as_data(), ensure_ascii=False))
        if as_json:
            typer.echo(json.dumps(account.as_data(retrying)))
        else:
            account.show(retrying)
        if not account.all_done:
            fail(account.what_next(), exit_code=1)


def _tell_beforehand(letters: Iterable[Letter], retrying: Retrying, *, as_json: bool) -> None:
    tried, refused = Failures(), Failures()
    named: tuple[Letter, ...] = ()
    reasons: dict[str, str] = {}
    with Console(stderr=True).status("reading the index of the dead …"):
        for letter in letters:
            if why := retrying.refusal(letter):
                refused.add(letter)
                reasons.setdefault(f"{letter.consumer} {letter.error}", why)
            else:
                tried.add(letter)
                named = (*named, letter)[:_MOST_NAMED]
    if as_json:
        told = {"count": tried.count, "groups": tried.as_data(), "others": tried.others}
        typer.echo(json.dumps(told | {"refused": refused.as_data(), "applied": False}))
        return
    if tried.count:
        _show_tried(tried, named)
    for why in reasons.values():
        typer.echo(f"Would not be tried: {plain(why)}")
    if refused.count:
        typer.echo(f"That concerns {number_of(refused.count)}.")
    if tried.count:
        typer.echo("Nothing was changed. To try them again, repeat the command with --apply.")
    elif not refused.count:
        typer.echo("There are no such dead letters. Nothing was changed.")


def _show_tried(tried: Failures, first: Iterable[Letter]) -> None:
    columns = ("letters", "consumer", "error", "reason")
    rows = [(group.count, plain(group.consumer), plain(group.error), plain(group.reason)) for group in tried.groups]
    console().print(table(f"Would try {number_of(tried.count)} again", columns, rows, numbers=("letters",)))
    if tried.count <= _MOST_NAMED:
        for letter in first:
            typer.echo(f"  {plain(letter.id)}")
    typer.echo("Each would be sent to its consumer's queue once more, and stay dead until that has committed it.")


class _Account:
    """How the letters have fared so far, in numbers."""

    def __init__(self, stage: str) -> None:
        self._stage = stage
        self._fates: Counter[str] = Counter()
        self._failures = Failures()
        self._named: list[Fate] = []
        self.all_done = True

    def add(self, fate: Fate) -> None:
        """Count one more."""
        self._fates[fate.fate] += 1
        if len(self._named) < _MOST_NAMED:
            self._named.append(fate)
        if fate.done:
            return
        self.all_done = False
        if fate.fate != BEING_TRIED:
            letter = fate.letter
            why = fate.error or fate.fate
            self._failures.add(replace(letter, error=why, reason=fate.reason))

    def told(self) -> str:
        """`3 done, 1 dead again`."""
        return ", ".join(f"{number} {fate}" for fate, number in self._fates.most_common()) or "none has come to an end"

    def so_far(self, retrying: Retrying) -> str:
        """What stands on the screen meanwhile."""
        return f"{retrying.sent} sent; {self.told()}, {retrying.under_way} under way …"

    def interrupted(self, retrying: Retrying) -> str:
        """What Ctrl-C has left."""
        return (
            f"Interrupted: {self.told()} that far, and {retrying.under_way} are being tried, which go on. What is not "
            f"done is as dead as before; repeat the command for that, or look with `daybook dead --stage {self._stage}`"
            + (f". Recorded as operation/{retrying.operation_id}" if retrying.sent else "")
        )

    def show(self, retrying: Retrying) -> None:
        """Print what became of them."""
        if not self._fates:
            typer.echo("There are no such dead letters.")
            return
        typer.echo(f"{self.told()[0].upper()}{self.told()[1:]}.")
        if self._fates.total() <= _MOST_NAMED:
            for fate in self._named:
                if fate.done or fate.fate == BEING_TRIED:  # others stand in the table
                    typer.echo(f"  {plain(fate.letter.id)}  {fate.fate}")
        if self._failures.count:
            columns = ("letters", "consumer", "error", "reason", "example")
            rows = [
                (group.count, *(plain(text) for text in (group.consumer, group.error, group.reason, group.example)))
                for group in self._failures.groups
            ]
            console().print(table("Not done", columns, rows, numbers=("letters",)))
        if self._fates[DONE] or retrying.sent:
            note(f"Recorded as operation/{retrying.operation_id}")

    def what_next(self) -> str:
        """What to do about those that are not done."""
        if self._fates[BEING_TRIED]:
            number = self._fates[BEING_TRIED]
            return (
                f"{number} {'is' if number == 1 else 'are'} still being tried after the time to wait for; "
                f"look again with `daybook dead --stage {self._stage}`, where they stand until they are done"
            )
        return f"not all are done; the rest is listed by `daybook dead --stage {self._stage}`"

    def as_data(self, retrying: Retrying) -> dict[str, object]:
        """The sum of it as what JSON can hold."""
        return {
            "operation": retrying.operation_id,
            "fates": dict(self._fates),
            "failures": self._failures.as_data(),
            "applied": True,
        }
