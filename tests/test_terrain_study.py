"""The study of terrain: its exact answers against naive loops, its claims, its document."""

from __future__ import annotations

import importlib
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest

import fastdescent as fd
from fastdescent.contracts import JIT
from fastdescent.geometry.terrain import terrain_time

ROOT = Path(__file__).parents[1]
#: These take tens of thousands of steps, or of boxes, one after the other.
SLOW = {"catalogue", "noisy_saddle", "classified"}
#: Those that do not depend on how much is computed.
FIXED = ["flat", "flat_wells", "saddle", "curvature", "classified"]


@pytest.fixture(scope="module")
def terrain():
    sys.path.insert(0, str(ROOT / "scripts"))
    yield importlib.import_module("terrain")
    sys.path.remove(str(ROOT / "scripts"))
    ours = [name for name in sys.modules if name.split(".")[0] in ("terrain", "terrain_claims")]
    for name in ours:
        del sys.modules[name]


@pytest.fixture(scope="module")
def part(terrain):
    return lambda name: importlib.import_module(f"terrain_claims.{name}")


@pytest.fixture(scope="module")
def claims(terrain):
    """All claims on tiny ensembles."""
    size = terrain.Size(
        starts=1000 if JIT else 40,
        kappas=(10.0, 100.0) if JIT else (10.0, 30.0),
        catalogue=("Booth",),
        canal=(4000, 5) if JIT else (600, 4),
        edge=500 if JIT else 200,
        runs=(2,),
        dims=(2 if JIT else 1, 3 if JIT else 2),
        coverage=(20, (50,), 1000) if JIT else (3, (50,), 200),
    )
    chosen = [claim for claim in terrain.CLAIMS if JIT or claim.__name__ not in SLOW]
    with pytest.MonkeyPatch.context() as patch:
        # Two threads on a few trajectories mostly wait for each other; they change no bit.
        patch.setattr(fd, "simulate", partial(fd.simulate, threads=1))
        return {claim.__name__: claim(size) for claim in chosen}


# The claims.


def test_every_claim_is_reproduced(claims):
    """Each measurement agrees with its exact answer: |z| < 4.5, some 20 comparisons."""
    assert {name: claim.failed for name, claim in claims.items() if claim.failed} == {}
    assert all(claim.checks for claim in claims.values())


@pytest.mark.parametrize("name", FIXED)
def test_the_document_says_what_the_script_prints(claims, name):
    if name not in claims or (not JIT and name.startswith("flat")):
        pytest.skip("too many steps in plain Python")
    said = (ROOT / "docs" / "terrain.md").read_text(encoding="utf-8")
    assert claims[name].text() in said


def test_the_document_has_a_section_for_every_claim_and_its_pictures(terrain, claims):
    said = (ROOT / "docs" / "terrain.md").read_text(encoding="utf-8")
    assert "NOT REPRODUCED" not in said
    for claim in claims.values():
        assert f"## {claim.title}\n\n*{claim.sentence}*\n" in said
        assert f"**{claim.verdict}**" in said
    for end in terrain.CAPTIONS:
        assert f"(terrain{end}.png)" in said
        assert (ROOT / "docs" / f"terrain{end}.png").stat().st_size > 20_000


def test_it_writes_document_and_pictures(terrain, claims, tmp_path):
    if not JIT:
        pytest.skip("some claims are left out in plain Python")
    terrain.write(claims, tmp_path)
    said = (tmp_path / "terrain.md").read_text(encoding="utf-8")
    places = [said.index(claim.text()) for claim in claims.values()]
    assert places == sorted(places)
    assert len(list(tmp_path.glob("*.png"))) == len(terrain.CAPTIONS)


def test_a_check_that_fails_is_said_and_ends_the_script_with_1(terrain, part, monkeypatch, capsys):
    def wrong(size):
        checks = {"the sun rises": True, f"two is {size.edge}": False}
        return part("claim").Claim("0. W", "S.", ("a",), [("b",)], "True.", "Since.", checks)

    monkeypatch.setattr(terrain, "CLAIMS", (wrong,))
    with pytest.raises(SystemExit) as ended:
        terrain.main(["--quick"])
    assert ended.value.code == 1
    said = capsys.readouterr()
    assert "**NOT REPRODUCED: two is 1000** Since." in said.out
    assert "wrong: two is 1000" in said.err
    assert "True." not in said.out
    assert "Not reproduced." in terrain.document({"wrong": wrong(terrain.QUICK)})


def test_tables_and_shares(part):
    claim = part("claim")
    assert claim.table(("a", "bc"), [("1", "2"), ("345", "6")]).split("\n") == [
        "| a   | bc |",
        "|-----|----|",
        "| 1   | 2  |",
        "| 345 | 6  |",
    ]
    low, high = fd.statistics.wilson_interval(30, 200)
    assert claim.share(30, 200) == f"15 % [{100 * low:.3g}, {100 * high:.3g}]"
    # sqrt(0.25 / 10000) = 0.005 and 4.5 of these are 225 of 10 000.
    assert [claim.agrees(5000 + k, 10_000, 0.5) for k in (224, 226, -224, -226)] == [
        *(True, False, True, False)
    ]
    assert [claim.agrees(k, 100, 0.0) for k in (0, 1)] == [True, False]


# Exact answers, against loops in plain Python.


@pytest.mark.parametrize("kappa", [2.0, 15.0, 100.0])
def test_steps_on_quadratics(part, kappa):
    """x^2 + kappa y^2, whose loss starts at 1."""
    module = part("conditioning")
    angles = np.array([0.3, 1.1, 1.5])
    root = kappa**0.5
    rate, beta = 2.0 / (root + 1.0) ** 2, ((root - 1.0) / (root + 1.0)) ** 2
    for angle, found in zip(angles, module.momentum_steps(kappa, angles, 1e-8), strict=True):
        start = np.array([np.cos(angle), np.sin(angle) / root])
        curvature = np.array([2.0, 2.0 * kappa])
        counts = []
        for eta, b in ((rate, beta), (1.0 / (kappa + 1.0), 0.0)):
            x, v, t = start, np.zeros(2), 0
            while x[0] ** 2 + kappa * x[1] ** 2 > 1e-8:
                v = b * v - eta * curvature * x
                x, t = x + v, t + 1
            counts.append(t)
        assert counts == [found, module.descent_steps(kappa, 1e-8)]


@pytest.mark.parametrize("beta", [0.0, 0.5, 0.9])
def test_steps_out_of_a_saddle(part, beta):
    distances = 10.0 ** -np.arange(1.0, 8.0)
    found = part("saddles").exit_steps(distances, 0.03, beta)
    for distance, steps in zip(distances.tolist(), found.tolist(), strict=True):
        y, v, t = distance, 0.0, 0
        while y < 1.0:
            v = beta * v + 0.03 * y
            y, t = y + v, t + 1
        assert t == steps


@pytest.mark.parametrize("slope", [0.3, 1e-8])
def test_distances_down_a_slope(part, slope):
    """Moments as the rules define them; 50 sums, each rounded."""
    rules, steps = fd.optimizers, 50
    m = v = adam = 0.0
    rms = total = adagrad = rmsprop = velocity = ball = 0.0
    for t in range(1, steps + 1):
        velocity = 0.9 * velocity + slope
        ball += velocity
        m, v = 0.9 * m + 0.1 * slope, 0.999 * v + 0.001 * slope**2
        adam += m / (1.0 - 0.9**t) / ((v / (1.0 - 0.999**t)) ** 0.5 + 1e-8)
        rms = 0.99 * rms + 0.01 * slope**2
        rmsprop += slope / (rms**0.5 + 1e-8)
        total += slope**2
        adagrad += slope / (total**0.5 + 1e-10)
    expected = {
        rules.GradientDescent(0.1): slope * steps,
        rules.Momentum(0.1, beta=0.9): ball,
        rules.Adam(0.1): adam,
        rules.RMSProp(0.1): rmsprop,
        rules.AdaGrad(0.1): adagrad,
    }
    for rule, distance in expected.items():
        # Adam's corrections cancel to 1e-13 / 1e-3, as 1 - 0.999^t is small.
        assert part("flat").travelled(rule, slope, steps) == pytest.approx(distance, rel=1e-11)


def test_angle_of_the_steep_direction(part):
    rosenbrock = fd.landscapes.Rosenbrock(dim=2)
    for x, y in ((1.0, 1.0), (-2.0, 2.0), (0.3, -0.7)):
        _, vectors = np.linalg.eigh(rosenbrock.hessian([x, y]))
        angle = np.degrees(np.arctan2(vectors[1, 1], vectors[0, 1])) % 180.0
        assert part("canal").top_angle(x, y) == pytest.approx(angle, abs=1e-10)


def test_definite_matrices_of_dimension_2_and_3(part):
    """Cholesky's method fails exactly on those that are not; |z| < 4.5 with 20 000 matrices."""
    rng, count = np.random.default_rng(7), 20_000 if JIT else 2000
    for dim, exact in part("saddles").DEFINITE.items():
        a = rng.standard_normal((count, dim, dim))
        a = a + a.transpose(0, 2, 1)
        minors = [np.linalg.det(a[:, :k, :k]) > 0.0 for k in range(1, dim + 1)]
        share = np.logical_and.reduce(minors).mean()
        assert abs(share - exact) < 4.5 * (exact * (1.0 - exact) / count) ** 0.5


def test_orbits_at_1_5_stay_away_from_the_maximum(part):
    x = np.linspace(0.231, 1.242, 1001)
    after = x + 1.5 * x * (1.0 - x**2)
    # The interval's ends are rounded outwards and inwards by less than 1e-3.
    assert after.min() > 0.23
    assert after.max() < 1.243
    assert part("points").NEAR_TOP[1.5] == 0.0


# Coverage.


def test_replicas_are_the_runs_in_their_order(part):
    module = part("coverage")
    ds = module.ensemble(12, 0)
    replicas = module.in_replicas(ds, 3, 4)
    landscape = fd.landscapes.Rosenbrock(dim=2)
    found = terrain_time(replicas, landscape)
    assert found.fraction.dims[0] == "replica"
    for k in range(3):
        alone = terrain_time(ds.isel(start=slice(4 * k, 4 * k + 4)), landscape)
        np.testing.assert_array_equal(found.fraction_upper[k], alone.fraction_upper)
    truth = terrain_time(ds, landscape)
    inside = [
        (float(found.fraction_lower[k, 2]) <= float(truth.fraction[2]))
        & (float(truth.fraction[2]) <= float(found.fraction_upper[k, 2]))
        for k in range(3)
    ]
    assert float(module.covered(found, truth, "fraction")[2]) == np.mean(inside)
