"""What signals do to work under way."""

from __future__ import annotations

import signal

import pytest

from rapport.process.signals import Stop, interruptible


def test_a_service_may_be_told_to_stop_more_than_once() -> None:
    with Stop() as stop:
        for _ in range(3):
            signal.raise_signal(signal.SIGTERM)
        assert stop.exit_code == 143


def test_another_ctrl_c_ends_it_at_once() -> None:
    with Stop() as stop:
        signal.raise_signal(signal.SIGTERM)
        assert stop
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_ctrl_c_can_be_caught_where_something_must_be_put_away() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        with pytest.raises(KeyboardInterrupt), interruptible():
            signal.raise_signal(signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) is signal.SIG_DFL
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def test_a_ctrl_c_that_the_parent_ignores_stays_ignored() -> None:
    """As a shell asks of what it starts with `&`: the key is meant for what runs in front."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with Stop() as stop:
            signal.raise_signal(signal.SIGINT)
            assert not stop
            signal.raise_signal(signal.SIGTERM)
            assert stop.exit_code == 143
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
