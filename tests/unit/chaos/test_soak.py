"""A long run: what grows is found, and what only wavers is not."""

import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from chaos.checker.world import Sent
from chaos.following import percentile
from chaos.judging import QUANTITIES, Verdict, grown, judged
from chaos.plot import draw
from chaos.samples import Sample
from chaos.soak import TooShort, measured, wrongly_dead
from chaos.soak_report import line
from daybook.local.progress import Progress
from daybook.operate.dead_letters.index import DeadLetter

CALM = Sample(
    minutes=0,
    events=0,
    processor=40,
    cloud=100,
    workers=50,
    memory=3000,
    ordinary=58,
    largest=70,
    functions={"admit": 60.0, "tally-transaction": 58.0},
    files=200,
    messages=10,
    oldest_message=1,
    dead=0,
    open=5,
    oldest_open=1,
    median=0.1,
    slow=0.5,
    story=0.4,
)
LOOKS = 100


def a_run(change: Callable[[Sample], Sample] = lambda sample: sample) -> list[Sample]:
    """An hour, in which nothing changes but what `change` does to each look."""
    return [change(replace(CALM, minutes=0.6 * (number + 1), events=400 * number)) for number in range(LOOKS)]


def what_has_grown(samples: list[Sample]) -> set[str]:
    return {verdict.quantity.name for verdict in judged(samples) if not verdict.held}


def named(verdicts: list[Verdict], name: str) -> Verdict:
    (found,) = (verdict for verdict in verdicts if verdict.quantity.name == name)
    return found


def test_a_run_in_which_nothing_changes_has_held() -> None:
    assert what_has_grown(a_run()) == set()


@pytest.mark.parametrize(
    ("field", "name"),
    [
        ("ordinary", "memory of one worker, median"),
        ("largest", "memory of the largest worker"),
        ("memory", "memory of all workers"),
        ("workers", "workers"),
        ("messages", "messages in queues"),
        ("oldest_message", "age of the oldest message"),
        ("oldest_open", "age of the oldest delivery not finished"),
        ("median", "a delivery, median"),
        ("slow", "a delivery, 99th percentile"),
        ("story", "the whole story of an order"),
        ("files", "open files and connections of a worker"),
    ],
)
def test_what_grows_through_the_whole_run_is_found(field: str, name: str) -> None:
    grows = a_run(lambda sample: replace(sample, **{field: getattr(sample, field) * (1 + sample.minutes / 2)}))

    assert what_has_grown(grows) == {name}


def test_a_twentieth_more_memory_in_each_worker_is_found_though_others_may_take_a_tenth() -> None:
    leaks = a_run(lambda sample: replace(sample, ordinary=58 + sample.minutes * 0.12, memory=3000 + sample.minutes * 6))

    assert what_has_grown(leaks) == {"memory of one worker, median"}


def test_noise_is_no_growth() -> None:
    chance = random.Random(1)  # noqa: S311 - the same noise in each run

    def waver(sample: Sample) -> Sample:
        return replace(
            sample,
            ordinary=58 + chance.random(),
            memory=3000 + 100 * chance.random(),
            workers=50 + chance.randint(0, 3),
            messages=chance.randint(0, 40),
            median=0.1 + 0.05 * chance.random(),
            slow=0.5 + 0.3 * chance.random(),
            story=0.4 + 0.2 * chance.random(),
        )

    assert what_has_grown(a_run(waver)) == set()


def test_a_bad_minute_near_the_end_is_no_growth() -> None:
    def stall(sample: Sample) -> Sample:
        bad = 55 < sample.minutes < 57
        return replace(sample, slow=30, messages=900, oldest_message=30) if bad else sample

    assert what_has_grown(a_run(stall)) == set()


def test_the_time_in_which_processes_start_is_not_compared() -> None:
    def start(sample: Sample) -> Sample:
        return replace(sample, workers=5, memory=200, slow=40) if sample.minutes < 10 else sample

    assert what_has_grown(a_run(start)) == set()


def test_what_nobody_saw_has_not_held() -> None:
    stuck = a_run(lambda sample: replace(sample, slow=None) if sample.minutes > 40 else sample)

    verdict = named(judged(stuck), "a delivery, 99th percentile")

    assert not verdict.held
    assert line(verdict) == "a delivery, 99th percentile: 0.5, then unknown s, at most 1"


def test_fifths_are_of_the_time_though_looks_are_missing() -> None:
    late = a_run(lambda sample: replace(sample, median=9) if sample.minutes >= 48 else sample)
    few_at_the_end = [sample for number, sample in enumerate(late) if sample.minutes < 48 or number % 10 == 9]

    assert named(judged(few_at_the_end), "a delivery, median").after == 9


def test_each_limit_says_why() -> None:
    assert all(quantity.why for quantity in QUANTITIES)


def test_the_function_whose_workers_have_grown_most_comes_first() -> None:
    leaks = a_run(lambda sample: replace(sample, functions={"admit": 60.0, "publish": 50 + sample.minutes}))

    assert [name for name, _, _ in grown(leaks)] == ["publish", "admit"]


@pytest.mark.parametrize(("percent", "expected"), [(50, 50), (99, 99), (100, 100), (0, 1)])
def test_a_percentile_is_the_value_that_so_many_do_not_exceed(percent: float, expected: float) -> None:
    assert percentile(range(1, 101), percent) == expected


def test_of_nothing_there_is_no_percentile() -> None:
    assert percentile([], 99) is None


def test_the_same_samples_give_the_same_picture_and_a_small_one(tmp_path: Path) -> None:
    samples = a_run()

    draw(samples, tmp_path / "one.svg")
    draw(samples, tmp_path / "other.svg")

    picture = (tmp_path / "one.svg").read_bytes()
    assert picture == (tmp_path / "other.svg").read_bytes()
    assert len(picture) < 200_000
    for words in ("minutes", "Memory of one worker", "MB", "seconds", "events recorded"):
        assert words in picture.decode()


def test_what_was_not_always_seen_can_be_drawn(tmp_path: Path) -> None:
    draw([replace(CALM, minutes=1, median=None, slow=None, story=None)], tmp_path / "poor.svg")

    assert (tmp_path / "poor.svg").exists()


BROKEN = Sent(
    type="OrderPlaced", source="shop", producer_id="1", data={}, taken=False, refused=frozenset({"ContractBroken"})
)
WHOLE = Sent(type="OrderPlaced", source="shop", producer_id="2", data={})


def a_letter(event: str, consumer: str = "admit", error: str = "ContractBroken") -> DeadLetter:
    return DeadLetter(event=event, consumer=consumer, at="2026", error=error, reason="told", type="OrderPlaced")


def test_what_was_sent_to_be_refused_may_be_dead() -> None:
    assert list(wrongly_dead({"e1": BROKEN, "e2": WHOLE}, [a_letter("e1")])) == []


@pytest.mark.parametrize(
    ("letter", "says"),
    [
        (a_letter("e2"), "OrderPlaced e2 is dead at admit: ContractBroken, told"),
        (a_letter("e1", error="KeyError"), "OrderPlaced e1 is dead at admit: KeyError, told"),
        (a_letter("e1", consumer="place-order"), "OrderPlaced e1 is dead at place-order: ContractBroken, told"),
        (
            a_letter("e9", consumer="record-dead-letters"),
            "OrderPlaced e9 is dead at record-dead-letters: ContractBroken, told",
        ),
    ],
)
def test_whatever_else_is_dead_is_told(letter: DeadLetter, says: str) -> None:
    assert says in list(wrongly_dead({"e1": BROKEN, "e2": WHOLE}, [letter]))


def test_what_should_have_been_refused_and_was_not_is_told() -> None:
    assert list(wrongly_dead({"e1": BROKEN}, [])) == ["OrderPlaced e1 was sent to be refused, and was not"]


def test_a_run_that_is_too_short_to_say_anything_does_not_begin(tmp_path: Path) -> None:
    with pytest.raises(TooShort, match="Let it last longer"):
        measured(Progress(), seed=1, minutes=0.1, rate=1, notes=tmp_path / "notes")
