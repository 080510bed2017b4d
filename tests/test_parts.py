"""Parts: calls that are wrong, names that are taken and classes that are half made."""

import importlib
import pickle
import sys

import pytest

import fastdescent as fd
from fastdescent import parts
from fastdescent.engine.compilation import all_kernels
from fastdescent.errors import InvalidValueError, UnknownNameError


@pytest.fixture
def registry(monkeypatch):
    """Forget the classes that a test makes."""
    monkeypatch.setattr(parts, "_REGISTRY", {k: dict(v) for k, v in parts._REGISTRY.items()})


@pytest.mark.parametrize(
    ("part", "name", "nearest"),
    [
        (fd.optimizers.Adam, "lr", "learning_rate"),
        (fd.optimizers.Adam, "step_size", "learning_rate"),
        (fd.optimizers.Adam, "eps", "epsilon"),
        (fd.optimizers.Adam, "b2", "beta2"),
        (fd.optimizers.Adam, "wd", "weight_decay"),
        (fd.optimizers.Adam, "learning_rat", "learning_rate"),
        (fd.optimizers.Momentum, "momentum", "beta"),
        (fd.optimizers.Momentum, "mu", "beta"),
        (fd.starts.Uniform, "n", "count"),
        (fd.landscapes.Rosenbrock, "dimm", "dim"),
    ],
)
def test_unknown_arguments_and_keys_offer_the_right_name(part, name, nearest):
    said = rf"of {part.__name__} '{name}'; did you mean '{nearest}'\?"
    with pytest.raises(UnknownNameError, match=f"argument {said}"):
        part(**{name: 0.1})
    with pytest.raises(UnknownNameError, match=f"key {said}"):
        part.from_table({"name": part.__name__, name: 0.1})


def test_an_alias_is_offered_only_where_its_name_is_known():
    with pytest.raises(UnknownNameError) as caught:
        fd.landscapes.Bowl(lr=0.1)
    assert "learning_rate" not in str(caught.value)


def test_calls_with_too_little_or_too_much():
    with pytest.raises(InvalidValueError, match=r"Gaussian\.scale: got nothing, allowed is a num"):
        fd.noise.Gaussian()
    with pytest.raises(InvalidValueError, match=r"GradientDescent: got \(.*at most \d values: lea"):
        fd.optimizers.GradientDescent(*[0.1] * 9)
    with pytest.raises(InvalidValueError, match=r"Rosenbrock\.dim: got 3, .*twice"):
        fd.landscapes.Rosenbrock(2, dim=3)
    with pytest.raises(InvalidValueError) as caught:
        fd.noise.Gaussian()
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_a_part_has_the_name_of_its_class(registry):
    assert fd.landscapes.Rosenbrock().name == "Rosenbrock"
    assert fd.optimizers.Adam().name == "Adam"
    with pytest.raises(InvalidValueError, match=r"Labelled\.name"):
        type(
            "Labelled",
            (fd.Landscape,),
            {"__annotations__": {"name": str}, "name": "x", "__module__": __name__},
        )
    for kind in parts.kinds():
        for name in parts.names(kind):
            assert "name" not in [field.name for field in parts.get(kind, name)._fields()]


def test_a_registered_name_is_not_taken_by_another_module(registry):
    bowl = fd.landscapes.Bowl
    with pytest.raises(InvalidValueError, match=r"landscape Bowl: got .*taken by fastdescent\."):
        type("Bowl", (fd.Landscape,), {"kernel": bowl.kernel, "dim": 1, "__module__": __name__})
    assert fd.landscapes.get("Bowl") is bowl


def test_a_module_may_define_its_class_again(registry, tmp_path, monkeypatch):
    text = "import fastdescent as fd\nclass Again(fd.Landscape):\n    dim = 1\n"
    (tmp_path / "written_twice.py").write_text(text + "    kernel = fd.landscapes.Bowl.kernel\n")
    monkeypatch.syspath_prepend(tmp_path)
    module = importlib.import_module("written_twice")
    first = module.Again
    assert importlib.reload(module).Again is not first
    assert fd.landscapes.get("Again") is module.Again
    del sys.modules["written_twice"]
    main = {"__module__": "__main__", "dim": 1, "kernel": fd.landscapes.Bowl.kernel}
    second = [type("Cell", (fd.Landscape,), dict(main)) for _ in range(2)][1]
    assert fd.landscapes.get("Cell") is second


def test_half_made_classes_say_what_they_lack(registry):
    class NoKernel(fd.Landscape):
        dim = 2

    class PlainFunction(fd.Landscape):
        dim = 2
        kernel = fd.landscapes.Bowl.kernel.function

    class NoDim(fd.Landscape):
        kernel = fd.landscapes.Bowl.kernel

    class NoRule(fd.Optimizer):
        learning_rate: fd.Values = fd.parameter(default=0.1)

    for part, missing in (
        (NoKernel, "a kernel; set kernel"),
        (PlainFunction, "a kernel; set kernel"),
        (NoDim, "dim; set dim"),
        (NoRule, "kernels; set kernels"),
        (fd.Landscape, "a kernel"),
    ):
        with pytest.raises(InvalidValueError, match=f"{part.__name__}: got .*without.*{missing}"):
            part()
    assert all(isinstance(kernel, fd.contracts.Kernel) for kernel in all_kernels())
    assert "NoDim" not in fd.landscapes.names()
