"""A soak run: growth is found, noise is not reported."""

import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from chaos.charts import draw
from chaos.checker.snapshot import Sent
from chaos.growth import QUANTITIES, Comparison, compare, most_grown
from chaos.sampling import Sample
from chaos.soak import TooShort, measure, unexpected_dead_letters
from chaos.soak_report import line
from chaos.tracking import percentile
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
    order_latency=0.4,
)
SAMPLES = 100


def a_run(change: Callable[[Sample], Sample] = lambda sample: sample) -> list[Sample]:
    """An hour in which only `change` varies the samples."""
    return [change(replace(CALM, minutes=0.6 * (number + 1), events=400 * number)) for number in range(SAMPLES)]


def grown_quantities(samples: list[Sample]) -> set[str]:
    return {comparison.quantity.name for comparison in compare(samples) if not comparison.passed}


def named(comparisons: list[Comparison], name: str) -> Comparison:
    (found,) = (comparison for comparison in comparisons if comparison.quantity.name == name)
    return found


def test_a_constant_run_passes() -> None:
    assert grown_quantities(a_run()) == set()


@pytest.mark.parametrize(
    ("field", "name"),
    [
        ("ordinary", "memory of one worker, median"),
        ("largest", "memory of the largest worker"),
        ("memory", "memory of all workers"),
        ("workers", "workers"),
        ("messages", "messages in queues"),
        ("oldest_message", "age of the oldest message"),
        ("oldest_open", "age of the oldest open delivery"),
        ("median", "delivery latency, median"),
        ("slow", "delivery latency, 99th percentile"),
        ("order_latency", "time to process an order"),
        ("files", "open files and connections of a worker"),
    ],
)
def test_a_growing_quantity_is_found(field: str, name: str) -> None:
    grows = a_run(lambda sample: replace(sample, **{field: getattr(sample, field) * (1 + sample.minutes / 2)}))

    assert grown_quantities(grows) == {name}


def test_small_growth_of_every_worker_is_found_although_the_sum_is_within_its_limit() -> None:
    leaks = a_run(lambda sample: replace(sample, ordinary=58 + sample.minutes * 0.12, memory=3000 + sample.minutes * 6))

    assert grown_quantities(leaks) == {"memory of one worker, median"}


def test_noise_is_not_growth() -> None:
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
            order_latency=0.4 + 0.2 * chance.random(),
        )

    assert grown_quantities(a_run(waver)) == set()


def test_a_short_peak_near_the_end_is_not_growth() -> None:
    def stall(sample: Sample) -> Sample:
        bad = 55 < sample.minutes < 57
        return replace(sample, slow=30, messages=900, oldest_message=30) if bad else sample

    assert grown_quantities(a_run(stall)) == set()


def test_the_first_fifth_in_which_processes_start_is_not_compared() -> None:
    def start(sample: Sample) -> Sample:
        return replace(sample, workers=5, memory=200, slow=40) if sample.minutes < 10 else sample

    assert grown_quantities(a_run(start)) == set()


def test_a_quantity_that_was_not_measured_does_not_pass() -> None:
    stuck = a_run(lambda sample: replace(sample, slow=None) if sample.minutes > 40 else sample)

    comparison = named(compare(stuck), "delivery latency, 99th percentile")

    assert not comparison.passed
    assert line(comparison) == "delivery latency, 99th percentile: 0.5, then unknown s, at most 1"


def test_fifths_are_by_time_even_if_samples_are_missing() -> None:
    late = a_run(lambda sample: replace(sample, median=9) if sample.minutes >= 48 else sample)
    few_at_the_end = [sample for number, sample in enumerate(late) if sample.minutes < 48 or number % 10 == 9]

    assert named(compare(few_at_the_end), "delivery latency, median").after == 9


def test_each_limit_has_a_reason() -> None:
    assert all(quantity.reason for quantity in QUANTITIES)


def test_the_function_whose_workers_grew_most_comes_first() -> None:
    leaks = a_run(lambda sample: replace(sample, functions={"admit": 60.0, "publish": 50 + sample.minutes}))

    assert [name for name, _, _ in most_grown(leaks)] == ["publish", "admit"]


@pytest.mark.parametrize(("percent", "expected"), [(50, 50), (99, 99), (100, 100), (0, 1)])
def test_a_percentile_is_the_value_that_this_share_does_not_exceed(percent: float, expected: float) -> None:
    assert percentile(range(1, 101), percent) == expected


def test_without_values_there_is_no_percentile() -> None:
    assert percentile([], 99) is None


def test_the_same_samples_give_the_same_small_picture(tmp_path: Path) -> None:
    samples = a_run()

    draw(samples, tmp_path / "one.svg")
    draw(samples, tmp_path / "other.svg")

    picture = (tmp_path / "one.svg").read_bytes()
    assert picture == (tmp_path / "other.svg").read_bytes()
    assert len(picture) < 200_000
    for words in ("minutes", "Memory of one worker", "MB", "seconds", "events recorded"):
        assert words in picture.decode()


def test_missing_values_can_be_drawn(tmp_path: Path) -> None:
    draw([replace(CALM, minutes=1, median=None, slow=None, order_latency=None)], tmp_path / "poor.svg")

    assert (tmp_path / "poor.svg").exists()


BROKEN = Sent(
    type="OrderPlaced",
    source="shop",
    producer_id="1",
    data={},
    may_be_admitted=False,
    allowed_errors=frozenset({"ContractBroken"}),
)
WHOLE = Sent(type="OrderPlaced", source="shop", producer_id="2", data={})


def a_dead_letter(event: str, consumer: str = "admit", error: str = "ContractBroken") -> DeadLetter:
    return DeadLetter(event=event, consumer=consumer, at="2026", error=error, reason="no lines", type="OrderPlaced")


def test_an_event_sent_to_be_rejected_may_be_dead() -> None:
    assert list(unexpected_dead_letters({"e1": BROKEN, "e2": WHOLE}, [a_dead_letter("e1")])) == []


@pytest.mark.parametrize(
    ("dead_letter", "expected"),
    [
        (a_dead_letter("e2"), "OrderPlaced e2 is dead at admit: ContractBroken, no lines"),
        (a_dead_letter("e1", error="KeyError"), "OrderPlaced e1 is dead at admit: KeyError, no lines"),
        (
            a_dead_letter("e1", consumer="place-order"),
            "OrderPlaced e1 is dead at place-order: ContractBroken, no lines",
        ),
        (
            a_dead_letter("e9", consumer="record-dead-letters"),
            "OrderPlaced e9 is dead at record-dead-letters: ContractBroken, no lines",
        ),
    ],
)
def test_any_other_dead_letter_is_reported(dead_letter: DeadLetter, expected: str) -> None:
    assert expected in list(unexpected_dead_letters({"e1": BROKEN, "e2": WHOLE}, [dead_letter]))


def test_an_event_that_should_have_been_rejected_but_was_not_is_reported() -> None:
    assert list(unexpected_dead_letters({"e1": BROKEN}, [])) == [
        "OrderPlaced e1 should have been rejected, but was not"
    ]


def test_a_run_that_is_too_short_does_not_start(tmp_path: Path) -> None:
    with pytest.raises(TooShort, match="are too short"):
        measure(Progress(), seed=1, minutes=0.1, rate=1, samples_file=tmp_path / "samples_file")
