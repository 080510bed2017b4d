"""Shared by all tests."""

from __future__ import annotations

import os
import signal
import sys

import matplotlib as mpl
import pytest

mpl.use("Agg")

# A shell starts its background jobs with Ctrl-C ignored, and what they start inherits that.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _no_leftover_signal_handlers():
    """A simulation must give back the handler of Ctrl-C that it found."""
    before = signal.getsignal(signal.SIGINT)
    yield
    assert signal.getsignal(signal.SIGINT) is before


@pytest.fixture(autouse=True)
def _no_leftover_figures():
    """What pyplot still holds would count as open in the next tests; figures stay usable."""
    yield
    pyplot = sys.modules.get("matplotlib.pyplot")
    if pyplot is not None:
        pyplot.close("all")


@pytest.fixture
def child_environment(tmp_path):
    """Environment of a child process whose home and kernel cache are empty."""
    environment = dict(os.environ, HOME=str(tmp_path), NUMBA_CACHE_DIR=str(tmp_path / "cache"))
    environment.pop("XDG_CACHE_HOME", None)
    return environment
