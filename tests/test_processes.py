"""Threads, processes, signals: what happens around a simulation."""

from __future__ import annotations

import importlib
import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time

import numpy as np
import pytest

import fastdescent as fd
from fastdescent.contracts import JIT
from fastdescent.engine.ensemble import Geometry

pytestmark = pytest.mark.skipif(
    not JIT and sys.platform != "linux", reason="plain Python has no threads to test"
)
COUNT = 2000 if JIT else 4
STEPS = 300 if JIT else 5


def run(seed: int = 0) -> bytes:
    ds = fd.simulate(
        fd.landscapes.Rosenbrock(),
        fd.optimizers.Adam(learning_rate=[0.01, 0.1]),
        starts=fd.starts.Uniform(-2.0, 2.0, count=COUNT),
        steps=STEPS,
        seed=seed,
        noise=fd.noise.Gaussian(scale=0.1),
    )
    return ds.position.values.tobytes()


def put_run(queue, seed: int) -> None:
    queue.put(run(seed))


def test_two_python_threads_at_once():
    expected = [run(seed) for seed in range(4)]
    found: dict[int, bytes] = {}
    threads = [
        threading.Thread(target=lambda seed=seed: found.update({seed: run(seed)}))
        for seed in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [found[seed] for seed in range(4)] == expected


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:.*fork.*:RuntimeWarning")  # of JAX, if it is here
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_process_started_after_a_first_call(method):
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"this system cannot {method}")
    expected = run(7)
    context = multiprocessing.get_context(method)
    queue = context.Queue()
    children = [context.Process(target=put_run, args=(queue, 7)) for _ in range(2)]
    for child in children:
        child.start()
    results = [queue.get(timeout=120) for _ in children]
    for child in children:
        child.join(timeout=60)
        assert child.exitcode == 0
    assert results == [expected, expected]


def compile_first() -> None:
    """A Ctrl-C during compilation is an ordinary KeyboardInterrupt."""
    fd.simulate(
        fd.landscapes.Rosenbrock(), fd.optimizers.GradientDescent(), starts=[[0.0, 0.0]], steps=1
    )


def test_an_interrupt_keeps_what_is_finished():
    """Half of the starts are at the minimum and end at once; the others never would."""
    compile_first()
    starts = np.array([[1.0, 1.0], [-1.0, 1.0]] * 50)

    def press_ctrl_c() -> None:
        time.sleep(0.5)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=press_ctrl_c).start()
    ds = fd.simulate(
        fd.landscapes.Rosenbrock(),
        fd.optimizers.GradientDescent(learning_rate=1e-12),
        starts=starts,
        steps=2**32 - 1,
        stop=fd.Stop(loss=1e-9),
        record=fd.record.steps([0, 2**32 - 1]),
    )
    assert ds.attrs["interrupted"] == 1
    names = ds.status.attrs["flag_meanings"].split()
    assert [names[s] for s in ds.status.values[:4]] == ["converged", "interrupted"] * 2
    assert (ds.steps.values[::2] == 0).all()
    assert (ds.steps.values[1::2] > 0).all()
    landscape = fd.landscapes.Rosenbrock()
    np.testing.assert_array_equal(landscape.value(ds.position.values), ds.loss.values)
    np.testing.assert_array_equal(ds.path.values[:, 1], ds.position.values)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.skipif(not JIT, reason="too slow in plain Python")
def test_an_interrupt_before_later_waves_reports_them_at_their_start():
    compile_first()
    threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
    ds = fd.simulate(
        fd.landscapes.Rosenbrock(),
        fd.optimizers.GradientDescent(learning_rate=1e-12),
        starts=fd.starts.Uniform(-2.0, 2.0, count=1000),
        steps=2**32 - 1,
        geometry=Geometry(wave=100),
    )
    assert (ds.status == 3).all()
    assert (ds.steps.values[100:] == 0).all()
    np.testing.assert_array_equal(ds.position.values[100:], ds.initial.values[100:])
    value = fd.landscapes.Rosenbrock().value(ds.initial.values)
    np.testing.assert_array_equal(ds.loss.values[100:], value[100:])


RULE = '''
import numpy as np
import fastdescent as fd


@fd.kernel("update")
def update(theta, grad, loss, state, hyper, step):
    """theta -= rate * sign(grad)."""
    rate = hyper[0]
    for i in range(theta.shape[0]):
        x, g = theta[i], grad[i]
        for lane in range(theta.shape[1]):
            x[lane] -= rate[lane] * np.sign(g[lane])


class SignDescent(fd.Optimizer):
    """Step by a fixed length in every coordinate."""

    kernels = {"standard": update}
    learning_rate: fd.Values = fd.parameter(default=0.01, lower=0.0)


@fd.kernel("landscape")
def value_and_gradient(theta, params, data, batch, loss, grad):
    x, y, k, gx, gy = theta[0], theta[1], params[0], grad[0], grad[1]
    for lane in range(loss.shape[0]):
        loss[lane] = x[lane] * x[lane] + k[lane] * y[lane] * y[lane]
        gx[lane] = 2.0 * x[lane]
        gy[lane] = 2.0 * k[lane] * y[lane]


class Gorge(fd.Landscape):
    """A narrow bowl."""

    kernel = value_and_gradient
    dim = 2
    bounds = (-5.0, 5.0)
    steepness: fd.Values = fd.parameter(default=15.0, lower=0.0)
'''

USE = """
import sys, time
import numpy as np
import fastdescent as fd
from mine import Gorge, SignDescent, update, value_and_gradient

ds = fd.simulate(
    Gorge(steepness=[1.0, 15.0]),
    SignDescent(learning_rate=0.25),
    starts=[[1.0, 2.0]],
    steps=6,
)
print(ds.position.values.tolist())
if fd.contracts.JIT:
    hits = [sum(k.dispatcher.stats.cache_hits.values()) for k in (update, value_and_gradient)]
    print(hits)
"""


def test_a_users_own_rule_and_landscape_from_other_processes(tmp_path, child_environment):
    (tmp_path / "mine.py").write_text(RULE)
    (tmp_path / "use.py").write_text(textwrap.dedent(USE))
    del child_environment["NUMBA_CACHE_DIR"]  # the engine is compiled; the kernels are new
    if "NUMBA_CACHE_DIR" in os.environ:
        child_environment["NUMBA_CACHE_DIR"] = os.environ["NUMBA_CACHE_DIR"]
    printed = []
    for _ in range(2):
        child = subprocess.run(
            [sys.executable, "use.py"],
            cwd=tmp_path,
            env=child_environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        assert child.returncode == 0, child.stderr
        printed.append(child.stdout.splitlines())
    # From (1, 2) by 0.25: x is at 0 after 4 steps, where its sign is 0; y has 0.5 to go.
    assert printed[0][0] == printed[1][0] == "[[[0.0, 0.5]], [[0.0, 0.5]]]"
    if JIT:
        assert printed[0][1] == "[0, 0]"  # compiled
        assert printed[1][1] == "[1, 1]"  # found on disk


@pytest.mark.skipif(not JIT, reason="compares compiled kernels")
def test_a_users_rule_is_as_fast_as_the_built_in_one(tmp_path, monkeypatch):
    """Same work, best of several, within noise: it is the same kind of kernel."""
    text = RULE.replace("np.sign(g[lane])", "g[lane]").replace("SignDescent", "OwnDescent")
    (tmp_path / "own_rule.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    own_rule = importlib.import_module("own_rule")

    def best(rule) -> float:
        runs = [
            fd.simulate(
                fd.landscapes.Rosenbrock(),
                rule,
                starts=fd.starts.Uniform(-1.0, 1.0, count=4096),
                steps=300,
                threads=1,
            ).attrs["run_seconds"]
            for _ in range(7)
        ]
        return min(runs)

    own, built_in = own_rule.OwnDescent(1e-4), fd.optimizers.GradientDescent(1e-4)
    ratio = best(own) / best(built_in)
    # Measured 0.98 to 1.03 on a quiet machine; the bound leaves room for a busy one.
    assert ratio < 2.0
