"""Signals raise one exception, at a safe moment."""

import signal

import pytest

from daybook.local.interrupts import defer_interrupts, single_interrupt


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupt_is_deferred_until_the_end_of_the_block(number: signal.Signals) -> None:
    done = []

    def work() -> None:
        with defer_interrupts():
            with defer_interrupts():
                signal.raise_signal(number)
            done.append("inside")
        done.append("outside")  # pragma: no cover

    with single_interrupt(), pytest.raises(KeyboardInterrupt):
        work()
    assert done == ["inside"]


def test_later_interrupts_do_not_stop_the_clean_up() -> None:
    done = []

    def work() -> None:
        try:
            signal.raise_signal(signal.SIGINT)
        finally:
            signal.raise_signal(signal.SIGTERM)
            with defer_interrupts():
                signal.raise_signal(signal.SIGINT)
            done.append("tidied up")

    with single_interrupt(), pytest.raises(KeyboardInterrupt):
        work()
    assert done == ["tidied up"]


def test_a_program_under_nohup_ignores_sighup_and_still_ends_on_ctrl_c() -> None:
    done = []

    def work() -> None:
        signal.raise_signal(signal.SIGHUP)
        done.append("outlived the terminal")
        signal.raise_signal(signal.SIGINT)

    # `nohup … &` in a script ignores both signals. Only SIGHUP must stay ignored.
    before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGHUP, signal.SIGINT)}
    try:
        with single_interrupt(), pytest.raises(KeyboardInterrupt):
            work()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    assert done == ["outlived the terminal"]


def test_the_handlers_are_restored_afterwards() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with single_interrupt(), single_interrupt():
        assert signal.getsignal(signal.SIGTERM) != before
    assert signal.getsignal(signal.SIGTERM) == before
