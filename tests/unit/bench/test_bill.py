"""A bill is usage times price, with AWS's rounding."""

import pytest

from bench import bill, prices
from bench.bill import DYNAMODB, EVENTBRIDGE, LAMBDA, OTHERS, SQS, XRAY, Usage, cost


def test_a_price_is_for_a_number_of_units() -> None:
    assert prices.WRITE_UNIT.of(2_000_000) == pytest.approx(1.25)
    assert prices.MAIL.of(3_000) == pytest.approx(0.30)


def test_a_run_is_billed_per_started_millisecond_at_512_mb() -> None:
    usage = Usage()
    for _ in range(1_000):
        usage.ran(seconds=0.0031, processor=0.001, messages=1, size=800)

    assert usage.milliseconds == 4_000
    assert cost(usage)[LAMBDA] == pytest.approx(1_000 * 0.20 / 1_000_000 + 4 * 0.5 * 0.0000133334)


def test_messages_of_a_queue_are_sent_singly_and_received_and_deleted_in_batches() -> None:
    usage = Usage(fed=True)
    usage.ran(seconds=0.01, processor=0.001, messages=10, size=15_000)

    assert usage.queue_requests == 10 + 1 + 1
    assert usage.alone().queue_requests == 10 + 10 + 10


def test_a_large_batch_costs_one_request_for_each_64_kb() -> None:
    usage = Usage(fed=True)
    usage.ran(seconds=0.01, processor=0.001, messages=10, size=10 * 20_000)

    assert usage.queue_requests == 10 + 4 + 1


def test_a_function_without_a_queue_pays_only_for_its_own_calls_to_sqs() -> None:
    usage = Usage()
    usage.ran(seconds=0.01, processor=0.001, messages=100, size=0)
    usage.calls["sqs", "SendMessage"] = 2

    assert usage.queue_requests == 2
    assert cost(usage)[SQS] == pytest.approx(2 * 0.40 / 1_000_000)


def test_a_rejected_part_of_a_transaction_costs_as_much_as_its_write() -> None:
    usage = Usage(written={"event rows": 4, "index journal": 1}, refused=3)

    assert usage.write_units == 4 + 1 + 3 * 2
    assert cost(usage)[DYNAMODB] == pytest.approx(11 * 0.625 / 1_000_000)


def test_e_mails_are_billed_per_call_and_traces_per_run() -> None:
    usage = Usage(runs=100, events=7)
    usage.calls["sesv2", "SendEmail"] = 2
    usage.calls["dynamodb", "TransactWriteItems"] = 5

    costs = cost(usage)

    assert costs[OTHERS] == pytest.approx(2 * 0.0001)
    assert costs[XRAY] == pytest.approx(100 * 0.05 * 0.000005)
    assert cost(usage.alone())[XRAY] == pytest.approx(100 * 0.000005)
    assert costs[EVENTBRIDGE] == pytest.approx(7 / 1_000_000)


def test_the_total_is_the_sum_over_functions() -> None:
    one, other = Usage(events=1), Usage(events=2)

    assert bill.total([one, other])[EVENTBRIDGE] == pytest.approx(3 / 1_000_000)
