"""Signals that ask a process to end interrupt it, so that it cleans up."""

import signal

import pytest

from segfast_edge.contract.shared.stopping import orderly


@pytest.fixture
def hangup():
    """Put back what was done on SIGHUP before the test."""
    before = signal.getsignal(signal.SIGHUP)
    yield signal.SIGHUP
    signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_interrupts_within_the_block_and_not_after_it(number):
    before = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt), orderly():
        signal.raise_signal(number)
    assert signal.getsignal(number) is before


def test_a_signal_that_is_ignored_stays_so_as_under_nohup(hangup):
    signal.signal(hangup, signal.SIG_IGN)
    with orderly():
        signal.raise_signal(hangup)
    assert signal.getsignal(hangup) is signal.SIG_IGN
