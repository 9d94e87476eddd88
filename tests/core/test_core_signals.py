"""Signals that end a run become requests."""

import os
import signal

import pytest

from aira_jax.core import signals


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_an_ending_is_heard_and_the_old_handler_comes_back(number):
    heard, before = [], signal.getsignal(number)
    with signals.listening(heard.append):
        os.kill(os.getpid(), number)
    assert heard == [number]
    assert signal.getsignal(number) == before


def test_a_hang_up_that_is_ignored_stays_ignored():
    heard, before = [], signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with signals.listening(heard.append):
            os.kill(os.getpid(), signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)
    assert heard == []
