"""Every variant of every rule against stored paths of torch.optim, optax and qhoptim.

`scripts/make_references.py` made them, in float64.  The error is
max |ours - theirs| / max(1, max |theirs|) over all steps, as in the specification.
"""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

import fastdescent as fd

HERE = Path(__file__).parent
_spec = importlib.util.spec_from_file_location(
    "make_references", HERE.parent / "scripts" / "make_references.py"
)
make_references = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(make_references)

_stored = np.load(HERE / "references" / "optimizers.npz")
CASES = json.loads(str(_stored["cases"]))
PATHS = _stored["paths"]
PROBLEMS = [str(name) for name in _stored["problems"]]
STEPS = PATHS.shape[2]

# 60 steps of a few roundings of 1e-16 each stay below 1e-14; 1e-12 is what is promised.
TOLERANCE = 1e-12


def our_path(rule, variant, parameters, gradient, lanes=9):
    """Return theta after every step, (steps, dim), from a tile of equal lanes.

    Nine lanes run through the vector loop and through what remains of it.
    """
    cls = fd.optimizers.get(rule)
    part = cls(**parameters, **({} if variant == "standard" else {"variant": variant}))
    theta = np.repeat(make_references.START[:, None], lanes, axis=1)
    values = [part.base_values()[n] for n in cls.parameter_names()]
    hyper = np.repeat(np.array([*values, 1.0])[:, None], lanes, axis=1)  # 1: all lanes share them
    state = np.zeros((part.state_rows(len(theta)), lanes))
    point, path = theta.copy(), []
    for step in range(1, STEPS + 1):
        if part.query_kernel() is not None:
            part.query_kernel()(theta, state, hyper, step, point)
        else:
            point[...] = theta
        grad = np.repeat(gradient(point[:, 0].copy(), step)[:, None], lanes, axis=1)
        part.update_kernel()(theta, grad, np.zeros(lanes), state, hyper, step)
        assert (theta == theta[:, :1]).all(), "equal lanes must have equal bits"
        path.append(theta[:, 0].copy())
    if part.query_kernel() is not None:
        # The libraries' parameter is the point where the gradient is taken.
        path = [*_points(part, path, hyper)]
    return np.array(path)


def _points(part, path, hyper):
    """Yield the look-ahead point after every step: theta + beta (theta - theta before)."""
    before = make_references.START
    for theta in path:
        yield theta - hyper[1, 0] * (before - theta)
        before = theta


def error(index, problem):
    rule, variant, parameters, _, _ = CASES[index]
    ours = our_path(rule, variant, parameters, make_references.PROBLEMS[problem])
    theirs = PATHS[index, PROBLEMS.index(problem)]
    return np.abs(ours - theirs).max() / max(1.0, np.abs(theirs).max())


def table():
    """Return the rows (rule, variant, reference, library and version, error per problem)."""
    return [
        (rule, variant, reference, version, *(error(i, problem) for problem in PROBLEMS))
        for i, (rule, variant, _, reference, version) in enumerate(CASES)
    ]


def render(rows):
    """Return the table as Markdown."""
    head = ("rule", "variant", "reference", "library", *PROBLEMS)
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for *names, a, b, c in rows:
        lines.append("| " + " | ".join([*names, *(f"{e:.0e}" for e in (a, b, c))]) + " |")
    return "\n".join(lines)


@pytest.mark.parametrize("problem", PROBLEMS)
@pytest.mark.parametrize(
    "index", range(len(CASES)), ids=[f"{c[0]}-{c[1]}-{c[3]}".replace(" ", "_") for c in CASES]
)
def test_path_is_the_reference(index, problem):
    assert error(index, problem) < TOLERANCE


def test_every_variant_of_every_built_in_rule_has_a_reference():
    built_in = {
        (rule, variant)
        for rule in fd.optimizers.names()
        if fd.optimizers.get(rule).__module__.startswith("fastdescent.")
        for variant in fd.optimizers.get(rule).kernels
    }
    assert built_in == {(rule, variant) for rule, variant, *_ in CASES}


def test_table_names_a_library_and_its_version_for_every_variant():
    rows = table()
    text = render(rows)
    print(text)
    assert len(text.splitlines()) == 2 + len(CASES)
    for row in rows:
        assert row[3].split()[0] in {"torch", "optax", "qhoptim"}
        assert all(e < TOLERANCE for e in row[4:])


def test_paths_are_long_enough_and_go_somewhere():
    assert STEPS >= 50
    moved = np.abs(PATHS[:, :, -1] - make_references.START).max(axis=-1)
    # AdaDelta, the slowest, moves sqrt(epsilon / (1 - rho)) = 3e-3 in its first step.
    assert (moved > 0.05).all()
    assert np.isfinite(PATHS).all()


if __name__ == "__main__":
    print(render(table()))
