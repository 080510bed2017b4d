"""The commands geometry and basins: what they print, what they write, how they refuse."""

from __future__ import annotations

import doctest

import numpy as np
import pytest

import fastdescent as fd
from fastdescent import reports
from fastdescent.cli import main
from fastdescent.contracts import JIT
from fastdescent.errors import FastdescentError, MemoryLimitError

CELLS = "40" if JIT else "6"
PICTURES = ["critical_points.png", "disconnectivity.png", "regions.png", "surface.png"]


def test_documentation():
    assert doctest.testmod(reports).failed == 0


def test_a_landscape_is_looked_at(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(reports, "_REGION_POINTS", 500)
    starts = "256" if JIT else "40"
    assert main(["geometry", "Himmelblau", "--out", str(tmp_path), "--starts", starts]) == 0
    said = capsys.readouterr().out
    assert "9 critical points, certified" in said
    assert "13.31192627" in said  # the lowest barrier, validation section 5
    assert "104.0151629" in said
    assert "not convex: an eigenvalue of -" in said
    assert "concave" in said
    for name in PICTURES:
        assert (tmp_path / name).stat().st_size > 10_000
        assert str(tmp_path / name) in said
    points = fd.load(tmp_path / "critical_points.nc")
    assert sorted(points.kind.values.tolist()).count("saddle") == 4
    assert np.isfinite(fd.load(tmp_path / "disconnectivity.nc")["value"]).all()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["x**2 + 15*y**2", "--box", "[-1, 1]"], ["1 critical point, certified", "convex: proven"]),
        (["DoubleWell", "--box", "[[-2, 2]]"], ["3 critical points, certified", "merge at"]),
        (["StyblinskiTang", "--set", "dim=3"], ["27 critical points, certified", "[-5, 5]^3"]),
        (["Saddle"], ["1 critical point, certified", "saddle"]),
    ],
    ids=["formula", "one", "three", "saddle"],
)
def test_other_landscapes_are_looked_at_too(arguments, expected, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(reports, "_REGION_POINTS", 200)
    options = ["--starts", "128" if JIT else "16", "--out", str(tmp_path)]
    assert main(["geometry", *arguments, *options]) == 0
    said = capsys.readouterr().out
    for text in expected:
        assert text in said


@pytest.mark.parametrize(
    ("formula", "expected"),
    [
        ("x**3 - 3*x*y**2", "degenerate (degree -2) 0 "),
        ("x**4 + y**4", "degenerate (minimum) global 0 "),
        ("abs(x) + abs(y)", "corner (minimum) global 0 "),
        ("x*y", "saddle 1 0 "),
    ],
)
def test_what_is_proven_of_a_point_stands_beside_its_kind(formula, expected):
    """Only extrema have a scope, and only degenerate points need more than their kind."""
    landscape = fd.landscape(formula, domain=(-2.0, 1.5))
    points = fd.geometry.find_critical_points(landscape, starts=32)
    assert " ".join(reports.critical_lines(points)[2].split()).startswith(expected)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["Himmelblaw"], "Himmelblau"),
        (["Rosenbrock", "--set", "dim=many"], "--set: got 'dim=many'"),
        (["Rosenbrock", "--set", "dims=3"], "dims"),
        (["Rosenbrock", "--box", "[2, 1]"], "box: got"),
        (["Rosenbrock", "--box", "nonsense"], "--box: got 'nonsense'"),
        (["Rosenbrock", "--box", "[[0, 1], [0, 1], [0, 1]]"], "box: got"),
        (["x **"], "x **"),
        (["Rosenbrock", "--starts", "0"], "starts"),
    ],
    ids=str,
)
def test_wrong_input_is_one_line(arguments, message, tmp_path, capsys):
    assert main(["geometry", *arguments, "--out", str(tmp_path / "none")]) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.err.count("\n") == 1


@pytest.mark.parametrize("command", ["geometry", "basins"])
def test_too_little_memory_is_a_failure_and_no_mistake(command, tmp_path, capsys, monkeypatch):
    study = tmp_path / "study.toml"
    study.write_text(STUDY, encoding="utf-8")
    given = "Himmelblau" if command == "geometry" else str(study)
    what = {"geometry": "landscape_report", "basins": "basin_report"}[command]

    def full(*_, **__):
        raise MemoryLimitError("a map needs 5 TB of memory and 1 GB are available; be modest")

    monkeypatch.setattr(reports, what, full)
    assert main([command, given, "--out", str(tmp_path / "none")]) == 1
    captured = capsys.readouterr()
    assert captured.err == (
        "fastdescent: a map needs 5 TB of memory and 1 GB are available; be modest\n"
    )


def test_a_box_beyond_the_domain_may_be_looked_at(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(reports, "_REGION_POINTS", 50)
    monkeypatch.setattr(reports, "_landscape_figures", lambda *_: iter(()))
    options = ["--box", "[-30, 30]", "--starts", "20", "--out", str(tmp_path)]
    assert main(["geometry", "Saddle", *options]) == 0
    assert "1 critical point, certified" in capsys.readouterr().out


def test_formulas_and_names_are_told_apart():
    assert reports.landscape_named("Rosenbrock", ["dim=3"]) == fd.landscapes.Rosenbrock(dim=3)
    assert reports.landscape_named("x**2").dim == 1
    assert reports.landscape_named("k*x**2", ["params={k = 3.0}"]).value([1.0]) == 3.0
    with pytest.raises(FastdescentError):
        reports.landscape_named("no such thing")


STEPS = 3000 if JIT else 60
STUDY = f"""
steps = {STEPS}
landscapes = ["SymmetricDoubleWell", "Himmelblau"]

[[optimizers]]
name = "GradientDescent"
learning_rate = [0.005, 0.01]
"""


def test_basins_of_a_study(tmp_path, capsys):
    study = tmp_path / "study.toml"
    study.write_text(STUDY, encoding="utf-8")
    out = tmp_path / "maps"
    assert main(["basins", str(study), "--cells", CELLS, "--out", str(out)]) == 0
    said = capsys.readouterr().out
    assert "SymmetricDoubleWell, GradientDescent" in said
    assert said.count("learning_rate = 0.01") == 2
    if JIT:
        assert "50.00 %" in said  # a symmetric grid of an even number of starts
    for name in (
        "Himmelblau__GradientDescent__learning_rate_0.01__basins.png",
        "SymmetricDoubleWell__GradientDescent__times.png",
    ):
        assert (out / name).stat().st_size > 5_000
    ds = fd.load(out / "Himmelblau__GradientDescent__basins.nc")
    assert dict(ds["attractor"].sizes) == {"learning_rate": 2, "start": int(CELLS) ** 2}


def test_basins_beyond_two_dimensions_have_the_studys_starts(tmp_path, capsys):
    study = tmp_path / "study.toml"
    text = STUDY.replace(
        '["SymmetricDoubleWell", "Himmelblau"]', "[{name='StyblinskiTang', dim=3}]"
    )
    study.write_text(
        text.replace(
            f"steps = {STEPS}", f"steps = {STEPS}\nstarts = {{name = 'Uniform', count = 50}}"
        ),
        encoding="utf-8",
    )
    assert main(["basins", str(study), "--out", str(tmp_path / "out")]) == 0
    assert ".png" not in capsys.readouterr().out
    (result,) = (tmp_path / "out").glob("*.nc")
    assert fd.load(result).sizes["start"] == 50


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("steps = -1\nlandscapes = []\n", "study.toml"),
        (STUDY.replace("0.005", '"a"'), "learning_rate"),
    ],
)
def test_wrong_studies_are_one_line(text, message, tmp_path, capsys):
    study = tmp_path / "study.toml"
    study.write_text(text, encoding="utf-8")
    assert main(["basins", str(study), "--out", str(tmp_path / "out")]) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.err.count("\n") == 1
