"""`daybook dead discard`: decide that dead letters will not be processed."""

from collections import Counter

from daybook.operate.cli.operation import progress
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
from daybook.operate.dead_letters.discard import Discarding
from daybook.operate.dead_letters.groups import Failures, preview_of
from daybook.operate.drawing import number_of
from daybook.operate.operation import because

EXAMPLES = """
**Examples**

- `daybook dead discard 954ee5d5-d2e0-81b7-909d-26244858827d@admit --reason "a test of the checkout" --apply`
- `daybook dead discard --consumer admit --error UnknownType --reason "their new feature, not ours yet"`
- `daybook dead discard --stream order/1001 --reason "cancelled by phone" --apply --stage prod`
"""

# The most dead letters whose open ends are listed one by one.
_MOST_NAMED = 10


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
    """Decide that dead letters will not be processed, for good. The reason is required, and is recorded.

    The ledger keeps them, with the error, the message, who decided, and why. They are dead letters no more, and a
    redelivery of one is not processed. An ordered consumer goes on behind a discarded event. Discarding does not answer
    whether an effect whose outcome is unknown took place: resolve it instead. With `--json`, one object for each.

    Exit code 1: the stream behind one of them is still blocked.
    """
    with connected(stage) as connection:
        because(reason)
        dead_letters = chosen(
            connection, ids, selection(consumer, error, event_type, stream, since), everything=everything
        )
        if not apply:
            with progress("reading the index of dead letters"):
                found = Failures.of(dead_letters)
            never = ["They would never be processed."] if found.count else []
            preview_of(found, "Would discard", *never, do="To discard them", as_json=as_json)
            return
        discarding = Discarding(connection, reason)
        counts: Counter[bool] = Counter()
        blocked: list[str] = []
        unknown: list[str] = []
        with progress("discarding", lambda: f"Interrupted: {_done(counts)} or more; repeat the command") as update:
            for each in discarding.run(dead_letters):
                counts[each.discarded] += 1
                if each.blocked and len(blocked) < _MOST_NAMED:
                    blocked.append(f"{each.dead_letter.stream} behind {each.dead_letter.id} ({each.blocked})")
                if each.open_effect and len(unknown) < _MOST_NAMED:
                    unknown.append(each.dead_letter.id)
                if as_json:
                    answer(each.as_data(), as_json=True)
                update(_done(counts))
        if not as_json:
            answer(None, f"D{_done(counts)[1:]}.", as_json=False)
        _note_what_is_left(counts, unknown, stage)
        if counts[True]:
            note(f"Recorded as operation/{discarding.operation_id}")
        if blocked:
            fail(f"streams are still blocked: {'; '.join(blocked)}", exit_code=1)


def _done(counts: Counter[bool]) -> str:
    return f"discarded {number_of(counts[True], 'dead letter')}"


def _note_what_is_left(counts: Counter[bool], unknown: list[str], stage: str) -> None:
    if counts[False]:
        note(f"{counts[False]} of the selected are no longer dead, and were left alone")
    for dead_letter in unknown:
        note(f"It is still not known whether it took effect: daybook dead resolve {dead_letter} --stage {stage}")
