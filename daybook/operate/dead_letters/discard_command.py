"""`daybook dead discard`: decide that dead letters will not be processed."""

import json
from collections.abc import Iterable
from typing import Annotated

import typer
from rich.console import Console

from daybook.operate.cli.interruption import interruptible
from daybook.operate.cli.options import AsJson, Reason, Stage
from daybook.operate.cli.printing import console, fail, note
from daybook.operate.cli.reaching import connected
from daybook.operate.dead_letters.choice import NotSaid, a_reason, chosen, number_of
from daybook.operate.dead_letters.discard import Discarded, Discarding
from daybook.operate.dead_letters.groups import Failures
from daybook.operate.dead_letters.index import Letter
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

- `daybook dead discard 954ee5d5-d2e0-81b7-909d-26244858827d@admit --reason "a test of the checkout" --apply`
- `daybook dead discard --consumer admit --error UnknownType --reason "their new feature, not ours yet"`
- `daybook dead discard --stream order/1001 --reason "cancelled by phone" --apply --stage prod`
"""

# Of how many letters it is said one by one what is left to do.
_MOST_NAMED = 10


def discard(
    ids: Annotated[
        list[str] | None,
        typer.Argument(metavar="[ID]...", help="Events' ids, or EVENT@CONSUMER; or say of which kind."),
    ] = None,
    *,
    reason: Reason = "",
    stage: Stage = "dev",
    consumer: ConsumerOption = None,
    error: ErrorOption = None,
    event_type: TypeOption = None,
    stream: StreamOption = None,
    since: SinceOption = None,
    everything: Annotated[bool, typer.Option("--all", help="Every dead letter of the stage.")] = False,
    apply: Annotated[bool, typer.Option("--apply", help="Do it. Without this, nothing is changed.")] = False,
    as_json: AsJson = False,
) -> None:
    """Decide that dead letters will not be processed, for good. The reason must be said, and is recorded.

    The ledger keeps them, with what went wrong, the message, who decided, and why; they are dead letters no more, and
    whatever still comes of them is not processed. A consumer that keeps order goes on behind a discarded event. Of an
    effect whose outcome is unknown this answers nothing: resolve it instead. With `--json`, one object a letter.

    Exit code 1: the stream behind one of them could not be set going.
    """
    with connected(stage) as connection:
        if not a_reason(reason).strip():
            msg = 'say why: --reason "…"; it is recorded with the decision'
            raise NotSaid(msg)
        wanted = selection(consumer, error, event_type, stream, since)
        letters = chosen(connection, ids, wanted, everything=everything)
        if not apply:
            _tell_beforehand(letters, as_json=as_json)
            return
        discarding = Discarding(connection, reason)
        account = _Account()
        with interruptible(account.interrupted), Console(stderr=True).status("discarding …") as status:
            for each in discarding.run(letters):
                account.add(each)
                if as_json:
                    told = {"id": each.letter.id, "discarded": each.discarded}
                    typer.echo(json.dumps(told | {"unmoved": each.unmoved, "open_attempt": each.open_attempt}))
                status.update(f"discarded {number_of(account.discarded)} …")
        if not as_json:
            typer.echo(f"Discarded {number_of(account.discarded)}.")
        account.show(discarding.operation_id, stage)


class _Account:
    """What has become of the letters so far, and what is left to do about a few of them."""

    def __init__(self) -> None:
        self.discarded = 0
        self._gone = 0
        self._unmoved: list[str] = []
        self._unknown: list[str] = []

    def add(self, each: Discarded) -> None:
        """Count one more."""
        self.discarded += each.discarded
        self._gone += not each.discarded
        if each.unmoved and len(self._unmoved) < _MOST_NAMED:
            self._unmoved.append(f"{each.letter.stream} behind {each.letter.id} ({each.unmoved})")
        if each.open_attempt and len(self._unknown) < _MOST_NAMED:
            self._unknown.append(each.letter.id)

    def interrupted(self) -> str:
        """What Ctrl-C has left."""
        return f"Interrupted: discarded {number_of(self.discarded)} or some more; repeat the command for the others"

    def show(self, operation_id: str, stage: str) -> None:
        """Say what is to be said beside the answer, and end the command if a stream stands still."""
        if self._gone:
            note(f"{self._gone} of those that were meant are no longer dead, and were left alone")
        for letter in self._unknown:
            note(f"Whether it took effect is still not known: daybook dead resolve {letter} --stage {stage}")
        if self.discarded:
            note(f"Recorded as operation/{operation_id}")
        if self._unmoved:
            fail(f"streams could not be set going: {'; '.join(self._unmoved)}", exit_code=1)


def _tell_beforehand(letters: Iterable[Letter], *, as_json: bool) -> None:
    with Console(stderr=True).status("reading the index of the dead …"):
        found = Failures.of(letters)
    if as_json:
        typer.echo(
            json.dumps({"count": found.count, "groups": found.as_data(), "others": found.others, "applied": False})
        )
        return
    if not found.count:
        typer.echo("There are no such dead letters. Nothing was changed.")
        return
    columns = ("letters", "consumer", "error", "reason")
    rows = [(group.count, plain(group.consumer), plain(group.error), plain(group.reason)) for group in found.groups]
    console().print(table(f"Would discard {number_of(found.count)}", columns, rows, numbers=("letters",)))
    typer.echo("They would never be processed. Nothing was changed; to discard them, repeat the command with --apply.")
