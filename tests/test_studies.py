"""Studies: TOML and back, labels, mistakes, folders of results."""

from __future__ import annotations

import dataclasses
import signal
import tomllib
from pathlib import Path

import pytest
import tomli_w
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import fastdescent as fd
from fastdescent import parts, storage, studies
from fastdescent.contracts import JIT
from fastdescent.errors import FastdescentError, InvalidValueError
from fastdescent.parts import Range
from fastdescent.statistics import summary
from fastdescent.studies import Study, StudyError

STUDIES = Path(__file__).parents[1] / "scripts" / "studies"

# Fields that only their own part can check: one value that is right.
GIVEN = {
    ("Quadratic", "eigenvalues"): st.just([1.0, 4.0]),
    ("Points", "array"): st.just([[0.5, 0.25], [1.0, 2.0]]),
    ("Steps", "steps"): st.just([0, 5, 3]),
    ("Stop", "loss"): st.floats(-1e6, 1e6),
    ("Stop", "gradient_norm"): st.floats(0.0, 1e6),
    ("Stop", "radius"): st.floats(1e-300, 1e6),
}


def numbers(allowed: Range):
    lower, upper = max(allowed.lower, -1e300), min(allowed.upper, 1e300)
    return st.floats(
        lower,
        upper,
        exclude_min=allowed.lower_open and lower == allowed.lower,
        exclude_max=allowed.upper_open and upper == allowed.upper,
    )


def integers(allowed: Range):
    return st.integers(int(max(allowed.lower, -50)), int(min(allowed.upper, 50)))


@st.composite
def tables(draw, kind, only=None):
    """Tables of random parts of a kind, in the order in which a person might write them."""
    names = [name for name in parts.names(kind) if name != "Function"]
    part = parts.get(kind, draw(st.sampled_from(only or names)))
    table = {}
    for field in draw(st.permutations(list(part._fields()))):
        said = field.metadata
        required = field.default is dataclasses.MISSING
        if (part.__name__, field.name) in GIVEN:
            value = GIVEN[part.__name__, field.name]
        elif "range" in said:
            one = numbers(said["range"])
            value = st.one_of(one, st.lists(one, min_size=1, max_size=3))
            if part.schedulable:
                value = st.one_of(value, schedules(one))
        elif said.get("choices"):
            value = st.sampled_from(said["choices"])
        elif said.get("integer") is not None:
            value = integers(said["integer"])
        elif said.get("number") is not None:
            value = numbers(said["number"])
        else:
            assert not required, f"a value for {part.__name__}.{field.name} is missing in GIVEN"
            continue
        if required or draw(st.booleans()):
            table[field.name] = draw(value)
    return {"name": part.__name__, **table}


def schedules(base):
    return st.one_of(
        st.builds(lambda b, g: {"name": "Exponential", "base": b, "gamma": g}, base, st.just(0.5)),
        st.builds(lambda b: {"name": "Cosine", "base": b, "steps": 50}, base),
        st.builds(
            lambda b: {
                "name": "LinearWarmup",
                "base": b,
                "steps": 3,
                "then": {"name": "Cosine", "base": b, "steps": 5},
            },
            base,
        ),
    )


def optional(strategy):
    return st.one_of(st.none(), strategy)


study_tables = st.fixed_dictionaries(
    {
        "title": st.text(max_size=10),
        "description": st.text(max_size=10),
        "steps": st.integers(5, 10_000),
        "seed": st.integers(0, 2**64 - 1),
        "seeds": st.integers(1, 5),
        "targets": st.lists(st.floats(-1e9, 1e9), max_size=3, unique=True),
        "landscapes": st.lists(tables("landscape"), min_size=1, max_size=3),
        "optimizers": st.lists(tables("optimizer"), min_size=1, max_size=3),
        "starts": optional(tables("starts")),
        "noise": optional(tables("noise")),
        "transforms": st.lists(tables("transform"), max_size=2),
        "stop": optional(tables("stop")),
        "record": optional(tables("record")),
    }
)


@settings(max_examples=150 if JIT else 30, deadline=None)
@given(study_tables)
def test_round_trip_over_the_registry(table):
    table = {key: value for key, value in table.items() if value not in (None, [])}
    for key in ("landscapes", "optimizers"):
        for number, entry in enumerate(table[key]):
            entry["label"] = f"{key}{number}"
    text = tomli_w.dumps(table)
    try:
        study = Study.from_toml(text)
    except StudyError:
        assume(False)  # fields that do not go together
    again = Study.from_toml(study.to_toml())
    assert again == study
    assert again.to_toml() == study.to_toml()
    for key in ("landscapes", "optimizers"):
        for one, other in zip(
            getattr(study, key).values(), getattr(again, key).values(), strict=True
        ):
            assert list(one.axes()) == list(other.axes())  # the order of the result's axes


@pytest.mark.parametrize("kind", ["landscape", "optimizer", "noise", "transform"])
def test_every_part_can_be_named_in_a_study(kind):
    key = {"landscape": "landscapes", "optimizer": "optimizers", "transform": "transforms"}
    for name in parts.names(kind):
        needed = {"Quadratic": {"eigenvalues": [1.0, 2.0]}}.get(name, {})
        part = parts.get(kind, name)
        for field in part._fields():
            if field.default is dataclasses.MISSING and field.name not in needed:
                needed[field.name] = 0.5
        entry = {"name": name, **needed}
        table = {
            "steps": 5,
            "landscapes": ["Ravine"],
            "optimizers": ["Adam"],
            key.get(kind, kind): [entry] if kind in key else entry,
        }
        study = Study.from_toml(tomli_w.dumps(table))
        assert Study.from_toml(study.to_toml()) == study


MINIMAL = """
steps = 20
landscapes = ["Ravine"]
optimizers = [{name = "GradientDescent", learning_rate = 0.01}]
"""


def test_the_study_in_a_result_is_the_study_that_made_it():
    text = MINIMAL + "noise = {name = 'Gaussian', scale = [0.1, 0.2]}\nstarts = {count = 3}\n"
    text = text.replace("{count", "{name = 'Uniform', count")
    (ds,) = Study.from_toml(text).run().values()
    (again,) = Study.from_toml(ds.attrs["study"]).run().values()
    assert again.position.identical(ds.position)
    assert again.attrs["study"] == ds.attrs["study"]


def test_starts_may_differ_between_landscapes():
    text = """
    steps = 5
    optimizers = ["GradientDescent"]
    landscapes = ["Ravine", {name = "Himmelblau", starts = {name = "Sobol", count = 4}}]
    starts = {name = "Uniform", count = 3}
    """
    study = Study.from_toml(text)
    assert Study.from_toml(study.to_toml()) == study
    assert [ds.sizes["start"] for ds in study.run().values()] == [3, 4]
    assert Study.from_toml(MINIMAL).starts == fd.starts.Uniform(count=1000)


def test_evenly_spaced_numbers():
    text = MINIMAL.replace("0.01}", "{logspace = [-4, -1, 4]}}").replace(
        '"Ravine"', '{name = "Ravine", condition_number = {linspace = [1, 2, 5]}}'
    )
    study = Study.from_toml(text)
    assert study.optimizers["GradientDescent"].axes() == {"learning_rate": (1e-4, 1e-3, 1e-2, 1e-1)}
    assert study.landscapes["Ravine"].axes() == {"condition_number": (1.0, 1.25, 1.5, 1.75, 2.0)}
    nested = MINIMAL.replace(
        "0.01}", "{name = 'Cosine', steps = 9, base = {logspace = [-2, -1, 2]}}}"
    )
    assert Study.from_toml(nested).optimizers["GradientDescent"].axes() == {
        "learning_rate": (0.01, 0.1)
    }


def test_labels_tell_parts_of_one_class_apart():
    rules = [
        fd.optimizers.Adam(),
        fd.optimizers.Adam(variant="epsilon_inside"),
        fd.optimizers.Adam(learning_rate=0.01),
        fd.optimizers.Adam(learning_rate=[0.1, 0.2], beta1=fd.schedules.Cosine(0.9, steps=5)),
        fd.optimizers.AdaMax(),
    ]
    places = [fd.landscapes.Rosenbrock(dim=2), fd.landscapes.Rosenbrock(dim=10)]
    study = Study(places, rules, steps=5)
    assert list(study.optimizers) == [
        "Adam",
        "Adam-epsilon_inside",
        "Adam-learning_rate_0.01",
        "Adam-learning_rate_2_values-beta1_Cosine",
        "AdaMax",
    ]
    assert list(study.landscapes) == ["Rosenbrock", "Rosenbrock-dim_10"]
    assert len({pair.file_name for pair in study.pairs()}) == 10
    assert "label" not in study.to_toml()


def test_own_labels_are_kept():
    study = Study(
        [fd.landscapes.Ravine()],
        {"slow": fd.optimizers.Adam(1e-4), "fast": fd.optimizers.Adam(1e-2)},
        steps=5,
    )
    assert Study.from_toml(study.to_toml()) == study
    assert [entry["label"] for entry in tomllib.loads(study.to_toml())["optimizers"]] == [
        "slow",
        "fast",
    ]


# What is written, and what the one line must hold: the key, the value, what is allowed.
WRONG = [
    (MINIMAL + "step = 3", ["unknown key 'step'", "did you mean 'steps'?"]),
    (MINIMAL.replace("steps = 20", ""), ["steps", "nothing", "required, such as steps = 10000"]),
    (MINIMAL.replace("20", "0"), ["steps: got 0", "an integer from 1"]),
    (MINIMAL.replace("20", "true"), ["steps: got True", "an integer from 1"]),
    (MINIMAL.replace("20", "20.0"), ["steps: got 20.0", "an integer from 1"]),
    (MINIMAL + "seeds = 0", ["seeds: got 0"]),
    (MINIMAL + "seed = -1", ["seed: got -1"]),
    (MINIMAL + 'targets = ["a"]', ["targets: got ['a']", "a list of numbers"]),
    (MINIMAL + "targets = [1e-2, 1e-2]", ["targets", "different"]),
    (MINIMAL + "title = 3", ["title: got 3", "a string"]),
    (MINIMAL.replace("Ravine", "Ravin"), ["'Ravin'", "did you mean 'Ravine'?"]),
    (MINIMAL.replace('["Ravine"]', "[]"), ["landscapes: got []", "at least one"]),
    (MINIMAL.replace('["Ravine"]', "5"), ["landscapes: got 5", "a list of tables"]),
    (MINIMAL.replace('["Ravine"]', "[5]"), ["landscapes, number 1: got 5", "a table with a name"]),
    (MINIMAL.replace('["Ravine"]', "[{dim = 2}]"), ["landscapes, number 1", "Himmelblau"]),
    (MINIMAL.replace('"Ravine"', "{name = [1]}"), ["landscapes, number 1", "[1]", "Himmelblau"]),
    (
        MINIMAL.replace("learning_rate", "learning_rat"),
        ["optimizers, number 1", "'learning_rat'", "did you mean 'learning_rate'?"],
    ),
    (MINIMAL.replace("0.01", "-1"), ["GradientDescent.learning_rate: got -1", "[0, inf)"]),
    (MINIMAL.replace("0.01", "nan"), ["learning_rate: got nan"]),
    (MINIMAL.replace("0.01", "'x'"), ["learning_rate: got 'x'", "a number in"]),
    (MINIMAL.replace("0.01", "1979-05-27"), ["learning_rate: got datetime.date(1979, 5, 27)"]),
    (MINIMAL.replace("0.01", "[]"), ["learning_rate", "at least one value"]),
    (MINIMAL.replace("0.01", "{linspace = [1]}"), ["linspace: got [1]", "[first, last, count]"]),
    (MINIMAL.replace("0.01", "{linspace = [0, 1, 1e9]}"), ["linspace", "count from 2"]),
    (MINIMAL.replace("0.01", "{linspace = [0, 1, 999999999999]}"), ["linspace", "count from 2"]),
    (MINIMAL.replace("0.01", "{linspace = [0, inf, 3]}"), ["linspace", "finite"]),
    (MINIMAL.replace("0.01", "{logspace = [0, 400, 3]}"), ["logspace", "exponents of ten"]),
    (MINIMAL.replace("0.01", "{name = 'Cosin', base = 1}"), ["'Cosin'", "did you mean 'Cosine'?"]),
    (MINIMAL.replace("0.01", "{name = {}, base = 1}"), ["name: got {}", "a string"]),
    (MINIMAL.replace("0.01", "{name = 'Cosine', base = 1}"), ["Cosine", "the key 'steps'"]),
    (MINIMAL + "noise = {name = 'Gausian'}", ["noise", "did you mean 'Gaussian'?"]),
    (MINIMAL + "noise = {scale = 1}", ["noise", "a table with a name", "Gaussian"]),
    (MINIMAL + "stop = {loss = 'x'}", ["stop", "Stop.loss: got 'x'"]),
    (MINIMAL + "stop = {los = 1.0}", ["stop", "did you mean 'loss'?"]),
    (MINIMAL + "record = {name = 'Steps', steps = [30]}", ["Steps.steps: got 30", "budget 20"]),
    (MINIMAL + "starts = {name = 'Uniform', lower = 3, upper = 1}", ["starts", "Uniform.lower"]),
    (MINIMAL + "starts = {name = 'Uniform', lower = 'a'}", ["starts", "Uniform.lower"]),
    (MINIMAL + "transforms = [{name = 'ClipByNorm', limit = {}}]", ["transforms, number 1"]),
    (
        MINIMAL.replace('["Ravine"]', '["Ravine", "Ravine"]'),
        ["landscapes, number 2, label: got 'Ravine'", "no other", "label ="],
    ),
    (
        MINIMAL.replace('["Ravine"]', '["Ravine", {name = "Beale", label = "ravine"}]'),
        ["label: got 'Ravine__GradientDescent.nc'", "ravine__GradientDescent.nc"],
    ),
    (
        MINIMAL.replace('"Ravine"', '{name = "Beale", label = "../x"}'),
        ["label: got '../x'", "letters, digits"],
    ),
    (
        MINIMAL.replace("0.01", "{name = 'Function', base = 0.1, function = 'exit'}"),
        ["Function.function: got 'exit'"],
    ),
    ("steps = 1\nsteps = 2\n", ["no valid TOML", "line 2"]),
    ("steps = \n", ["no valid TOML", "line 1"]),
    ("x = " + "[" * 10_000, ["no valid TOML"]),
]


@pytest.mark.parametrize(("text", "holds"), WRONG, ids=[str(holds) for _, holds in WRONG])
def test_a_mistake_is_one_clear_line(text, holds, tmp_path):
    path = tmp_path / "wrong.toml"
    path.write_text(text)
    with pytest.raises(StudyError) as caught:
        Study.from_toml(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    for word in holds:
        assert word in message


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(StudyError, match=r"none\.toml: cannot be read: No such file"):
        Study.from_toml(tmp_path / "none.toml")
    with pytest.raises(StudyError, match=r"none\.toml: cannot be read"):
        Study.from_toml("none.toml")
    with pytest.raises(StudyError, match="cannot be read: Is a directory"):
        Study.from_toml(tmp_path)
    binary = tmp_path / "binary.toml"
    binary.write_bytes(b"\xff\xfe")
    with pytest.raises(StudyError, match="no UTF-8"):
        Study.from_toml(binary)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_any_toml_is_a_study_or_a_study_error(data):
    """Whatever stands in one place of a study, it is read or refused in one line."""
    anything = st.recursive(
        st.one_of(st.booleans(), st.integers(-5, 2**70), st.floats(), st.text(max_size=5)),
        lambda inner: st.one_of(
            st.lists(inner, max_size=3),
            st.dictionaries(
                st.sampled_from(["name", "base", "linspace", "logspace", "dim", "x"]),
                inner,
                max_size=3,
            ),
        ),
        max_leaves=6,
    )
    table = tomllib.loads(MINIMAL)
    places = ["steps", "seed", "targets", "landscapes", "optimizers", "starts", "noise"]
    places += ["stop", "record", "transforms", "title", "rate", "landscape"]
    place = data.draw(st.sampled_from(places))
    value = data.draw(anything)
    if place == "rate":
        table["optimizers"][0]["learning_rate"] = value
    elif place == "landscape":
        table["landscapes"] = [value]
    else:
        table[place] = value
    text, message = tomli_w.dumps(table), ""
    try:
        Study.from_toml(text)
    except StudyError as error:
        message = str(error)
    assert "\n" not in message


def test_mistakes_in_python_are_the_packages_errors():
    rule, place = fd.optimizers.Adam(), fd.landscapes.Ravine()
    for arguments in (
        {"landscapes": [], "optimizers": [rule]},
        {"landscapes": [rule], "optimizers": [rule]},
        {"landscapes": place, "optimizers": "Adam"},
        {"landscapes": place, "optimizers": rule, "starts": [[0.0, 0.0]]},
        {"landscapes": place, "optimizers": rule, "landscape_starts": {"Ravin": None}},
        {"landscapes": place, "optimizers": rule, "noise": rule},
    ):
        with pytest.raises(FastdescentError):
            Study(**{"steps": 5, **arguments})
    with pytest.raises(InvalidValueError, match="shape"):
        Study(place, rule, steps=5, starts=fd.starts.Points([[1.0, 2.0, 3.0]])).check()


@pytest.fixture
def study():
    return Study(
        [fd.landscapes.Ravine()],
        [fd.optimizers.GradientDescent(0.01), fd.optimizers.GradientDescent(0.02)],
        steps=20,
        starts=fd.starts.Uniform(count=5),
        targets=[1e-2],
    )


def _times(folder):
    return {path.name: path.stat().st_mtime_ns for path in folder.glob("*.nc")}


def test_results_of_the_same_study_are_kept(study, tmp_path):
    first = study.run(tmp_path / "new" / "folder")
    folder = tmp_path / "new" / "folder"
    before = _times(folder)
    assert sorted(before) == sorted(pair.file_name for pair in study.pairs())
    assert Study.from_toml(folder / "study.toml") == study
    again = list(study.results(folder))
    assert all(result.reused for result in again)
    assert all(result.dataset.identical(first[result.pair.name]) for result in again)
    assert _times(folder) == before


def test_a_study_may_grow(study, tmp_path):
    study.run(tmp_path)
    more = dataclasses.replace(
        study, optimizers={**study.optimizers, "third": fd.optimizers.GradientDescent(0.03)}
    )
    assert [result.reused for result in more.results(tmp_path)] == [True, True, False]


def test_results_of_another_study_are_not_overwritten(study, tmp_path):
    study.run(tmp_path)
    before = _times(tmp_path)
    text = (tmp_path / "study.toml").read_text()
    other = dataclasses.replace(study, seed=1)
    with pytest.raises(InvalidValueError, match=r"made by another study.*--force"):
        other.run(tmp_path)
    assert _times(tmp_path) == before
    assert (tmp_path / "study.toml").read_text() == text
    other.run(tmp_path, force=True)
    assert all(storage.load(path).attrs["seed"] == "1" for path in tmp_path.glob("*.nc"))


def test_a_foreign_file_is_not_overwritten(study, tmp_path):
    (tmp_path / study.pairs()[0].file_name).write_bytes(b"a letter to my mother")
    with pytest.raises(InvalidValueError, match="made by another study"):
        study.run(tmp_path)


def test_an_interrupted_result_never_has_the_finished_name(study, tmp_path, monkeypatch):
    simulate = studies.simulate

    def stopped(*arguments, **options):
        ds = simulate(*arguments, **options)
        ds.attrs["interrupted"] = 1
        return ds

    monkeypatch.setattr(studies, "simulate", stopped)
    (result,) = study.results(tmp_path)
    assert [path.name for path in tmp_path.glob("*.nc")] == [result.path.name]
    assert result.path.name == f"{study.pairs()[0].name}.interrupted.nc"
    monkeypatch.setattr(studies, "simulate", simulate)
    assert [r.reused for r in study.results(tmp_path)] == [False, False]
    assert sorted(_times(tmp_path)) == sorted(pair.file_name for pair in study.pairs())


def test_ctrl_c_waits_for_a_result_that_is_being_saved(study, tmp_path, monkeypatch):
    save = storage.save

    def interrupted_save(ds, path):
        signal.raise_signal(signal.SIGINT)
        return save(ds, path)

    monkeypatch.setattr(storage, "save", interrupted_save)
    with pytest.raises(KeyboardInterrupt):
        study.run(tmp_path)
    assert sorted(_times(tmp_path)) == [study.pairs()[0].file_name]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_the_summary_uses_the_labels(study):
    rows = summary(study.run().values())
    assert [row.optimizer for row in rows] == list(study.optimizers)
    assert {row.landscape for row in rows} == {"Ravine"}


@pytest.mark.parametrize("path", sorted(STUDIES.glob("*.toml")), ids=lambda path: path.stem)
def test_the_studies_of_the_demo_are_right(path):
    study = Study.from_toml(path)
    if JIT:  # in plain Python it would take long
        study.check()
    assert Study.from_toml(study.to_toml()) == study


def test_the_demo_runs_every_rule_from_many_starts():
    study = Study.from_toml(STUDIES / "demo.toml")
    assert set(study.optimizers) >= {
        "GradientDescent",
        "Momentum",
        "Nesterov",
        "AdaGrad",
        "AdaDelta",
        "RMSProp",
        "Adam",
        "AdaMax",
        "Nadam",
        "AMSGrad",
        "AdamW",
    }
    starts = sum(study.starts.size(place) for place in study.landscapes.values())
    assert starts >= 100_000


@pytest.mark.skipif(not JIT, reason="takes minutes in plain Python")
def test_a_small_demo(tmp_path):
    """All files of the demo, made small, run and leave their results."""
    for path in STUDIES.glob("*.toml"):
        study = Study.from_toml(path)
        few = dataclasses.replace(study.starts, count=2)
        transforms = [
            part.at(rates=[rate[:2] for rate in part.rates]) if part.axes() else part
            for part in study.transforms
        ]
        small = dataclasses.replace(study, starts=few, steps=20, transforms=transforms)
        results = small.run(tmp_path / path.stem)
        assert len(results) == len(study.landscapes) * len(study.optimizers)


def test_somebodys_own_study_file_is_not_overwritten(study, tmp_path):
    path = tmp_path / "study.toml"
    for text in ("# mine\n" + study.to_toml(), dataclasses.replace(study, seed=1).to_toml(), "?"):
        path.write_text(text)
        with pytest.raises(InvalidValueError, match=r"not written by a run of this study.*--force"):
            study.run(tmp_path)
        assert path.read_text() == text
        assert [p.name for p in tmp_path.iterdir()] == ["study.toml"]
    study.run(tmp_path, force=True)
    assert path.read_text() == study.to_toml()


def test_force_leaves_a_folder_that_the_next_run_can_use(study, tmp_path):
    first = dataclasses.replace(study, optimizers=[fd.optimizers.Adam()]).run(tmp_path)
    (ds,) = first.values()
    storage.save(ds, tmp_path / "a_copy.nc")  # no name that a run gives
    (tmp_path / "own.nc").write_bytes(b"a letter to my mother")
    names = {pair.file_name for pair in study.pairs()}
    unfinished = study.results(tmp_path, force=True)
    next(unfinished)
    assert (tmp_path / "Ravine__Adam.nc").exists()  # until all is computed
    unfinished.close()
    study.run(tmp_path, force=True)
    assert set(_times(tmp_path)) == names | {"a_copy.nc", "own.nc"}
    assert all(result.reused for result in study.results(tmp_path))
