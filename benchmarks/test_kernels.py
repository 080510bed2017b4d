"""A few representative kernels for pytest-benchmark: ``python -m pytest benchmarks/``.

Every kernel beside its bound: ``python -m benchmarks.kernels``.
"""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.kernels import Subject, landscape_subjects, rule_subjects
from fastdescent.contracts import JIT

CALLS = 100
RULES = ("GradientDescent", "Momentum lr_inside", "Adam epsilon_outside", "Nadam dozat")
LANDSCAPES = ("Rosenbrock", "Rastrigin", "Quadratic rotated", "Easom")

pytestmark = pytest.mark.skipif(not JIT, reason="there is nothing to measure without the JIT")


def _subjects() -> list[Subject]:
    if not JIT:
        return []
    rules = rule_subjects(dict.fromkeys(label.split()[0] for label in RULES))
    landscapes = landscape_subjects(dict.fromkeys(label.split()[0] for label in LANDSCAPES))
    return [s for s in (*rules, *landscapes) if s.name in RULES + LANDSCAPES]


@pytest.mark.parametrize("subject", _subjects(), ids=lambda s: f"{s.name} {s.dim}-D")
def test_kernel(benchmark: Any, subject: Subject) -> None:
    subject.times = CALLS
    subject.run()  # compiles
    benchmark(subject.run)
    steps = CALLS * subject.lanes * subject.dim
    benchmark.extra_info["ns per coordinate-step"] = 1e9 * benchmark.stats["min"] / steps
