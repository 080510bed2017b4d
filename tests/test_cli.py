"""The command line: what it prints, what it keeps, how it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import xarray as xr

import fastdescent as fd
from fastdescent import cli, parts, storage, studies
from fastdescent.contracts import JIT
from fastdescent.description import describe, formula
from fastdescent.studies import Study

ROOT = Path(__file__).parents[1]

STUDY = """
title = "Größe"
steps = 60
targets = [1.0, 1e-2]
landscapes = ["Ravine", "Himmelblau"]

[[optimizers]]
name = "GradientDescent"
learning_rate = [0.005, 0.01]

[[optimizers]]
name = "Momentum"

[starts]
name = "Uniform"
count = 20

[record]
name = "Every"
interval = 10
"""


@pytest.fixture
def study(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "first.toml"
    path.write_text(STUDY, encoding="utf-8")
    return path


def run(*arguments, **options):
    """Run the command in a process of its own."""
    environment = dict(os.environ, PYTHONPATH=str(ROOT), **options.pop("env", {}))
    command = [sys.executable, "-m", "fastdescent", *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, env=environment, **options
    )


def test_a_run_leaves_results_a_table_and_the_study(study, tmp_path):
    done = run("run", study, cwd=tmp_path, env={"PYTHONIOENCODING": "ascii"})
    assert (done.returncode, done.stderr) == (0, "")
    folder = tmp_path / "results" / "first"
    names = [
        f"{a}__{b}.nc" for a in ("Ravine", "Himmelblau") for b in ("GradientDescent", "Momentum")
    ]
    assert sorted(p.name for p in folder.iterdir()) == sorted(
        [*names, "study.toml", "summary.txt", "summary.csv"]
    )
    assert Study.from_toml(folder / "study.toml") == Study.from_toml(study)
    for name in names:
        assert name in done.stdout
        with xr.open_dataset(folder / name) as ds:
            assert ds.sizes["start"] == 20
    table = (folder / "summary.txt").read_text()
    assert table.rstrip() in done.stdout
    assert "Himmelblau  GradientDescent" in table
    assert len((folder / "summary.csv").read_text().splitlines()) == 1 + 2 * 3
    assert r"Gr\xf6\xdfe" in done.stdout


def test_a_second_run_keeps_the_results(study, capsys):
    assert cli.main(["run", str(study), "--quiet"]) == 0
    assert capsys.readouterr() == ("", "")
    path = study.parent / "results" / "first" / "Ravine__Momentum.nc"
    before = path.stat().st_mtime_ns
    assert cli.main(["run", str(study), "--threads", "1"]) == 0
    assert capsys.readouterr().out.count("kept from an earlier run") == 4
    assert path.stat().st_mtime_ns == before
    study.write_text(STUDY.replace("60", "61"), encoding="utf-8")
    assert cli.main(["run", str(study)]) == 1
    _, err = capsys.readouterr()
    assert err.count("\n") == 1
    assert "made by another study" in err
    assert path.stat().st_mtime_ns == before
    assert cli.main(["run", str(study), "--force"]) == 0
    assert path.stat().st_mtime_ns > before


def test_a_wrong_study_ends_with_2_and_one_line(tmp_path):
    path = tmp_path / "wrong.toml"
    path.write_text(STUDY.replace('"Momentum"', '"Momentun"'), encoding="utf-8")
    done = run("run", path, "--out", tmp_path / "out")
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == (
        f"fastdescent: {path}: optimizers, number 2: unknown optimizer 'Momentun'; did you mean "
        f"'Momentum'? Known: {', '.join(parts.names('optimizer'))}\n"
    )
    assert not (tmp_path / "out").exists()


def test_starts_that_do_not_fit_end_with_2(study, capsys):
    study.write_text(STUDY.replace("count = 20", "lower = [1, 2, 3]"), encoding="utf-8")
    assert cli.main(["run", str(study)]) == 2
    _, err = capsys.readouterr()
    assert err.startswith(f"fastdescent: {study}: Uniform.lower: got")
    assert not (study.parent / "results").exists()


@pytest.mark.parametrize("more", [("= 10000000", "= 10000"), ("= 4294967295", "= 1")])
def test_a_study_that_does_not_fit_into_memory_ends_with_1(study, capsys, more):
    text = STUDY.replace("= 60", more[0]).replace("= 10", "= 1").replace("= 20", more[1])
    study.write_text(text, encoding="utf-8")
    assert cli.main(["run", str(study)]) == 1
    _, err = capsys.readouterr()
    assert err.count("\n") == 1
    assert "record" in err
    assert not (study.parent / "results").exists()


def test_a_full_disk_ends_with_1_and_one_line(study, capsys, monkeypatch):
    save = storage.save

    def full(ds, path):
        if "Momentum" in str(path):
            raise OSError(28, "No space left on device", str(path))
        return save(ds, path)

    monkeypatch.setattr(storage, "save", full)
    assert cli.main(["run", str(study), "--quiet"]) == 1
    folder = Path("results/first")
    name = folder / "Ravine__Momentum.nc"
    assert capsys.readouterr().err == f"fastdescent: No space left on device: {name}\n"
    assert [p.name for p in folder.glob("*.nc")] == ["Ravine__GradientDescent.nc"]


def test_a_folder_that_cannot_be_made_ends_with_1(study, capsys):
    assert cli.main(["run", str(study), "--out", str(study)]) == 1
    assert capsys.readouterr().err.count("\n") == 1


def _wait(condition, process, seconds=120):
    end = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.05)


def test_ctrl_c_keeps_what_is_finished(tmp_path):
    path = tmp_path / "long.toml"
    text = """
    steps = 4000000000
    landscapes = ["Ravine"]
    starts = {name = "Uniform", count = 64}
    stop = {loss = 1e-6}
    [[optimizers]]
    label = "short"
    name = "GradientDescent"
    learning_rate = 0.05
    [[optimizers]]
    label = "long"
    name = "GradientDescent"
    learning_rate = 0.0
    """
    path.write_text(text)
    out = tmp_path / "out"
    process = subprocess.Popen(
        [sys.executable, "-m", "fastdescent", "run", str(path), "--out", str(out)],
        env=dict(os.environ, PYTHONPATH=str(ROOT)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    _wait((out / "Ravine__short.nc").exists, process)
    time.sleep(1.0)  # the second one runs: its kernels are those of the first
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert stderr == (
        "fastdescent: interrupted; finished are 1 of 2 results, the same command goes on from "
        "there\n"
    )
    assert "interrupted" in stdout
    assert storage.load(out / "Ravine__short.nc").attrs["interrupted"] == 0
    unfinished = storage.load(out / "Ravine__long.interrupted.nc")
    assert unfinished.attrs["interrupted"] == 1
    assert (unfinished.status == 3).all()
    assert not (out / "Ravine__long.nc").exists()
    assert "long *" in (out / "summary.txt").read_text()
    assert next(iter(Study.from_toml(path).results(out))).reused  # and it can go on


def test_the_commands_name_what_is_wrong(capsys):
    for arguments, says in (
        (["show", "Adan"], "unknown name 'Adan'; did you mean 'Adam'?"),
        (["list", "optimiser"], "unknown kind 'optimiser'; did you mean 'optimizers'?"),
        (["plot", "none.nc"], "No such file or directory: none.nc"),
        (["run", "none.toml"], "none.toml: cannot be read: No such file or directory"),
    ):
        assert cli.main(arguments) == 2
        out, err = capsys.readouterr()
        assert (out, err.count("\n")) == ("", 1)
        assert says in err


@pytest.mark.parametrize(
    "arguments",
    [
        ["runn"],
        ["run"],
        ["run", "a.toml", "--threads", "0"],
        ["run", "a.toml", "--threads", "x"],
        ["plot", "a.nc", "--kind", "pie"],
    ],
)
def test_a_wrong_command_line_ends_with_2_and_one_line(arguments, capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    assert ended.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_list_names_everything(capsys):
    assert cli.main(["list"]) == 0
    everything = capsys.readouterr().out
    for kind in parts.kinds():
        for name in parts.names(kind):
            assert f"\n  {name} " in everything or f"\n  {name}\n" in everything
    assert cli.main(["list", "landscapes"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == (
        fd.landscapes.names()
    )


@pytest.mark.parametrize("kind", parts.kinds())
def test_every_part_can_be_shown(kind, capsys):
    for name in parts.names(kind):
        assert cli.main(["show", name.lower()]) == 0
        text = capsys.readouterr().out
        assert f"{name} ({kind})" in text
        assert "\\" not in text, "a command of LaTeX was left"
        assert "`" not in text
        for field in parts.get(kind, name)._fields():
            assert f"    {field.name}" in text


def test_show_says_formula_parameters_and_source():
    text = describe(fd.landscapes.Rosenbrock)
    assert "f(x) = sum_{i=1}^(d-1) b (x_{i+1} - x_i^2)^2 + (a - x_i)^2" in text
    assert "    b = 100.0\n        number in [0, inf), or a sequence of them\n" in text
    assert "domain [-2.048, 2.048] in each coordinate" in text
    assert "Rosenbrock (1960), The Computer Journal" in text


@pytest.mark.parametrize(
    ("latex", "text"),
    [
        (r"\theta_{t-1} - \eta\,g_t", "theta_{t-1} - eta g_t"),
        (r"\frac{a + b}{\sqrt{c}} d", "((a + b) / sqrt(c)) d"),
        (r"\frac12 \|x\|^2 \ge \tfrac{1}{3}", "(1 / 2) ||x||^2 >= 1 / 3"),
        (r"\exp\left(-\frac{x^2}{2}\right)", "exp(-x^2 / 2)"),
        (r"\cos \frac{x}{2}", "cos (x / 2)"),
        (
            r"\begin{cases} a & x < 0 \\ b & \text{otherwise} \end{cases}",
            "a   if x < 0\nb   otherwise",
        ),
        (r"\hat m_t, \quad \mathcal N(0, 1)", "m_hat_t,   N(0, 1)"),
        (r"x_{10}^{n}", "x_10^n"),
    ],
)
def test_formulas_in_plain_text(latex, text):
    assert formula(latex) == text


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("results")
    Study.from_toml(STUDY).run(folder)
    return folder


def test_plot_compares_rules_on_each_landscape(results, tmp_path, capsys):
    files = sorted(map(str, results.glob("*.nc")))
    assert cli.main(["plot", *files, "--out", str(tmp_path)]) == 0
    images = sorted(path.name for path in tmp_path.iterdir())
    assert images == ["Himmelblau__hitting_times.png", "Ravine__hitting_times.png"]
    assert capsys.readouterr().out.split() == [
        str(tmp_path / name) for name in ("Himmelblau__hitting_times.png", images[1])
    ]
    assert cli.main(["plot", *files, "--out", str(tmp_path / "all.png")]) == 2
    assert "2 figures" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["losses", "contours", "surface", "hitting_times"])
def test_each_kind_of_figure(results, tmp_path, kind):
    image = tmp_path / "a.png"
    path = results / "Ravine__Momentum.nc"
    assert cli.main(["plot", str(path), "--kind", kind, "--out", str(image)]) == 0
    assert image.read_bytes().startswith(b"\x89PNG")


def test_figures_that_cannot_be_drawn(results, tmp_path, capsys):
    path = str(results / "Ravine__Momentum.nc")
    assert cli.main(["plot", path, "--kind", "heatmap"]) == 2
    assert cli.main(["plot", path, "--out", str(tmp_path / "a.wrong")]) == 2
    text = tmp_path / "text.nc"
    text.write_text("no result")
    assert cli.main(["plot", str(text)]) == 2
    assert capsys.readouterr().err.count("\n") == 3


def test_a_heat_map_for_each_result(tmp_path, capsys):
    ds = fd.simulate(
        fd.landscapes.Ravine(),
        fd.optimizers.Momentum(learning_rate=[0.01, 0.1], beta=[0.0, 0.5]),
        starts=[[1.0, 1.0]],
        steps=50,
        targets=[1e-2],
    )
    path = storage.save(ds, tmp_path / "sweep.nc")
    assert cli.main(["plot", str(path), "--kind", "heatmap"]) == 0
    assert (tmp_path / "sweep__heatmap.png").exists()


def test_help_version_and_a_reader_that_leaves_early(tmp_path):
    assert "commands" in run("--help").stdout
    assert run().stdout.startswith("usage: fastdescent")
    assert run("--version").stdout.startswith(f"fastdescent {fd.__version__}")
    process = subprocess.Popen(
        [sys.executable, "-m", "fastdescent", "list"],
        env=dict(os.environ, PYTHONPATH=str(ROOT)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    process.stdout.close()
    assert process.stderr.read() == ""
    process.stderr.close()
    assert process.wait(timeout=60) == 0


def test_the_study_itself_is_never_overwritten(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "study.toml"
    path.write_text(STUDY, encoding="utf-8")
    for more in ([], ["--force"]):
        assert cli.main(["run", "study.toml", "--out", ".", *more]) == 1
        out, err = capsys.readouterr()
        assert (out, err.count("\n")) == ("", 1)
        assert "the study itself" in err
        assert path.read_text(encoding="utf-8") == STUDY
        assert [p.name for p in tmp_path.iterdir()] == ["study.toml"]
    assert cli.main(["run", "study.toml", "--out", "out", "--quiet"]) == 0
    assert cli.main(["run", "out/study.toml", "--out", "out"]) == 0  # from its own copy
    out, _ = capsys.readouterr()
    assert out.count("kept from an earlier run") == 4
    assert "compiled" not in out


@pytest.mark.parametrize("name", ["summary.txt", "summary.csv", "study.toml"])
def test_own_files_in_the_folder_are_not_overwritten(study, name, capsys):
    folder = study.parent / "out"
    folder.mkdir()
    (folder / name).write_text("my own notes")
    assert cli.main(["run", str(study), "--out", "out"]) == 1
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert name in err
    assert [(p.name, p.read_text()) for p in folder.iterdir()] == [(name, "my own notes")]
    assert cli.main(["run", str(study), "--out", "out", "--force", "--quiet"]) == 0
    assert (folder / name).read_text() != "my own notes"


def test_force_says_what_it_removes(study, capsys):
    assert cli.main(["run", str(study), "--quiet"]) == 0
    study.write_text(STUDY.replace(', "Himmelblau"', ""), encoding="utf-8")
    assert cli.main(["run", str(study), "--force"]) == 0
    removed = "Himmelblau__GradientDescent.nc, Himmelblau__Momentum.nc"
    assert f"made by another study: {removed}\n" in capsys.readouterr().out
    assert cli.main(["run", str(study)]) == 0


def test_what_may_not_be_meant_is_said_once(study, capsys, monkeypatch):
    text = STUDY.replace("count = 20", "count = 20\nlower = 50.0\nupper = 60.0")
    study.write_text(text, encoding="utf-8")
    simulate = studies.simulate

    def below(*arguments, **options):
        ds = simulate(*arguments, **options)
        ds.attrs["below_minimum"] = 3
        return ds

    monkeypatch.setattr(studies, "simulate", below)
    assert cli.main(["run", str(study)]) == 0
    out = capsys.readouterr().out
    assert out.count("note: 20 starts lie outside the domain of Himmelblau\n") == 1
    assert out.count("3 trajectories ended outside the domain of Ravine, below its known") == 2
    assert out.count("are compiled first") == JIT


OWN_NOISE = '''
"""Noise of one's own."""

from fastdescent.noise import Gaussian


class MyNoise(Gaussian):
    """Noise of my own."""
'''


def test_parts_of_ones_own_can_be_imported(study, tmp_path):
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "my_noise.py").write_text(OWN_NOISE)
    study.write_text(f"{STUDY}\n[noise]\nname = 'MyNoise'\nscale = 0.1\n", encoding="utf-8")
    assert "unknown noise 'MyNoise'" in run("run", study, cwd=tmp_path).stderr
    done = run("run", study, "--import", "own/my_noise.py", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    file = "results/first/Ravine__Momentum.nc"
    for command in (["list", "noise"], ["show", "MyNoise"], ["plot", file]):
        done = run(*command, "--import", "own/my_noise.py", "--import", "json", cwd=tmp_path)
        assert (done.returncode, done.stderr) == (0, "")
        assert command[0] == "plot" or "MyNoise" in done.stdout


def test_imports_that_fail_end_with_2_and_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "my_wrong.py").write_text("raise ValueError('two\\nlines')")
    (tmp_path / "json.py").write_text("")
    for name, says in (
        (tmp_path / "none.py", "no such file"),
        ("no_such_module", "ModuleNotFoundError: No module named 'no_such_module'"),
        (tmp_path / "my_wrong.py", "ValueError: two lines"),
        (tmp_path / "json.py", "another module named 'json'; rename the file"),
    ):
        assert cli.main(["list", "--import", str(name)]) == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert err == f"fastdescent: --import {name}: {says}\n" or says in err
        assert err.count("\n") == 1
