"""`daybook dead discard`: decide that dead letters will never be processed."""

from collections import Counter

from daybook.operate.cli.operation import progress
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
from daybook.operate.dead_letters.discard import DiscardOperation
from daybook.operate.dead_letters.groups import Failures, preview_of
from daybook.operate.drawing import number_of
from daybook.operate.operation import check_reason
from daybook.operate.terminal import daybook

EXAMPLES = """
**Examples**

- `daybook dead discard 954ee5d5-d2e0-81b7-909d-26244858827d@admit --reason "a test of the checkout" --apply`
- `daybook dead discard --consumer admit --error UnknownType --reason "their new feature, not ours yet"`
- `daybook dead discard --stream order/1001 --reason "cancelled by phone" --apply --stage prod`
"""

# How many blocked streams and unknown outcomes are listed.
_MAX_LISTED = 10


def discard(
    ids: Ids = None,
    *,
    reason: Reason = "",
    stage: Stage = "dev",
    consumer: ConsumerOption = None,
    error: ErrorOption = None,
    event_type: TypeOption = None,
    stream: StreamOption = None,
    since: SinceOption = None,
    everything: Everything = False,
    apply: Apply = False,
    as_json: AsJson = False,
) -> None:
    """Discard dead letters: they will never be processed. A reason is required, and is recorded.

    The ledger keeps the error, the message, the operator and the reason. A discarded event is not processed even if it
    is delivered again. An ordered consumer continues with the next event of the stream. If the outcome of an effect is
    unknown, use `daybook dead resolve` instead. With `--json`, prints one object per dead letter.

    Exit code 1: a stream is still blocked.
    """
    with connected(stage) as connection:
        check_reason(reason)
        dead_letters = selected_dead_letters(
            connection, ids, selection(consumer, error, event_type, stream, since), everything=everything
        )
        if not apply:
            with progress("reading the index of dead letters"):
                found = Failures.of(dead_letters)
            never = ["They will never be processed."] if found.count else []
            preview_of(found, "Would discard", *never, do="To discard them", as_json=as_json)
            return
        operation = DiscardOperation(connection, reason)
        counts: Counter[bool] = Counter()
        blocked: list[str] = []
        unknown: list[str] = []
        with progress(
            "discarding", lambda: f"Interrupted: {_done(counts)} or more. Repeat the command to continue"
        ) as update:
            for each in operation.run(dead_letters):
                counts[each.discarded] += each.discarded or not each.blocked
                if each.blocked and len(blocked) < _MAX_LISTED:
                    where = f"{each.dead_letter.stream} after {each.dead_letter.id}"
                    blocked.append(f"{where if each.discarded else each.dead_letter.id} ({each.blocked})")
                if each.open_effect and len(unknown) < _MAX_LISTED:
                    unknown.append(each.dead_letter.id)
                if as_json:
                    answer(each.as_data(), as_json=True)
                update(_done(counts))
        if not as_json:
            answer(None, f"D{_done(counts)[1:]}.", as_json=False)
        _note_remaining(counts, unknown, stage)
        if counts[True]:
            note(f"Recorded as operation/{operation.operation_id}")
        if blocked:
            fail(f"streams are still blocked: {'; '.join(blocked)}", exit_code=1)


def _done(counts: Counter[bool]) -> str:
    return f"discarded {number_of(counts[True], 'dead letter')}"


def _note_remaining(counts: Counter[bool], unknown: list[str], stage: str) -> None:
    if counts[False]:
        note(f"{counts[False]} of the selected dead letters are no longer dead, and were not changed")
    for dead_letter in unknown:
        note(f"The outcome of its effect is still unknown: {daybook('dead', 'resolve', dead_letter, stage=stage)}")
