"""Contracts that hold for every module, kernel, landscape and part, over the registries."""

from __future__ import annotations

import ast
import copy
import pickle
import subprocess
import sys
import textwrap
import tomllib
from pathlib import Path

import numpy as np
import pytest
import tomli_w
from numba.core.errors import NumbaError

import fastdescent as fd
import fastdescent.symbolic
from fastdescent import parts
from fastdescent.contracts import FAMILIES, JIT
from fastdescent.engine.ensemble import Geometry
from fastdescent.errors import FastdescentError, KernelSignatureError, UnknownNameError

PACKAGE = Path(fd.__file__).parent
MODULES = {
    ".".join(("fastdescent", *path.relative_to(PACKAGE).with_suffix("").parts)): path
    for path in sorted(PACKAGE.rglob("*.py"))
}
TREES = {name: ast.parse(path.read_text()) for name, path in MODULES.items()}

#: Layer of each module or package below fastdescent; see the design.
LAYERS = {
    0: ["errors", "contracts", "lanemath", "lowering", "streams", "memory", "version", "simd"],
    1: [
        *("parts", "scratch", "landscapes", "optimizers", "noise", "transforms"),
        *("schedules", "starts", "stopping", "record"),
        *("data", "models", "batch", "math", "symbolic", "checking"),
    ],
    2: ["engine"],
    3: ["geometry", "statistics"],
    4: ["storage", "plot"],
    5: ["studies", "description", "reports", "cli", "__main__"],
}
LAYER_OF = {name: layer for layer, names in LAYERS.items() for name in names}


# Layers.


def imported(name: str) -> set[str]:
    """Top-level parts of the package that a module imports, inside functions too."""
    found = set()
    for node in ast.walk(TREES[name]):
        if isinstance(node, ast.Import):
            targets = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name}: relative import"
            targets = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        found |= {target.split(".")[1] for target in targets if target.startswith("fastdescent.")}
    return found


@pytest.mark.parametrize("name", [name for name in MODULES if name != "fastdescent.__init__"])
def test_a_module_imports_from_its_own_layer_or_below(name):
    own = name.split(".")[1]
    assert own in LAYER_OF, f"{own} has no layer yet: add it to LAYERS, and to the design"
    # The package's facade gives names from all layers, so nobody inside imports from it.
    higher = {
        other: LAYER_OF.get(other, "the package itself")
        for other in imported(name)
        if LAYER_OF.get(other, 99) > LAYER_OF[own]
    }
    assert not higher, f"{name} of layer {LAYER_OF[own]} imports from {higher}"


def names_used(tree: ast.AST) -> set[str]:
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    attributes = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    keywords = {node.arg for node in ast.walk(tree) if isinstance(node, ast.keyword) and node.arg}
    aliases = {
        alias.name.rsplit(".", 1)[-1]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    return names | attributes | keywords | aliases


def test_prange_is_in_the_loop_only():
    assert [n for n in TREES if "prange" in names_used(TREES[n])] == ["fastdescent.engine.loop"]


def test_compile_options_are_in_the_contracts_only():
    compilers = {"njit", "jit", "vectorize", "guvectorize", "cfunc", "stencil", "generated_jit"}
    options = {"fastmath", "error_model", "forceinline", "_nrt", "boundscheck", "nogil"}
    users = {n for n in TREES if names_used(TREES[n]) & (compilers | options)}
    assert users == {"fastdescent.contracts"}
    # Code for LLVM is written where Numba has no word for it, and nowhere else.
    writers = {
        name
        for name, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module.startswith("llvmlite")
    }
    assert writers == {
        f"fastdescent.{name}" for name in ("lanemath", "scratch", "lowering", "simd")
    }


# What kernels may call.

#: Decorators of functions that are compiled.
COMPILED = {"kernel", "lane_function", "_lane", "compiled", "routine"}
#: Correctly rounded instructions, constants, bits, and what allocates nothing.
NUMPY = {
    *("sqrt", "abs", "floor", "ceil", "minimum", "maximum", "sign", "isfinite", "isnan", "isinf"),
    *("inf", "nan", "pi", "uint64", "uint32", "int64", "float64", "searchsorted"),
}


def compiled_functions():
    for name, tree in TREES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef):
                for decorator in node.decorator_list:
                    called = decorator.func if isinstance(decorator, ast.Call) else decorator
                    if isinstance(called, ast.Name) and called.id in COMPILED:
                        yield pytest.param(
                            node, id=f"{name.removeprefix('fastdescent.')}.{node.name}"
                        )


@pytest.mark.parametrize("function", list(compiled_functions()))
def test_compiled_code_calls_no_libm(function):
    """The bits of a power, a sine or an exponential of libm depend on the platform."""
    for node in ast.walk(function):
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow):
            # The compiler computes a power of two numbers, and 2.0**52 reads well.
            constant = isinstance(node.left, ast.Constant) and isinstance(node.right, ast.Constant)
            assert constant, ast.unparse(node)
        if isinstance(node, ast.Call):
            called = node.func
            if isinstance(called, ast.Name):
                assert called.id not in {"pow", "round", "print", "divmod"}
            if isinstance(called, ast.Attribute) and isinstance(called.value, ast.Name):
                module = called.value.id
                assert module not in {"math", "cmath", "scipy", "random"}, ast.unparse(node)
                assert module != "np" or called.attr in NUMPY, ast.unparse(node)


def test_kernels_are_short():
    """Under 40 lines, the engine's loop apart, and with a docstring."""
    for param in compiled_functions():
        function = param.values[0]
        lines = function.end_lineno - function.body[0].lineno + 1
        assert lines <= 40 or param.id == "engine.loop.advance", f"{param.id}: {lines} lines"
        decorators = ast.unparse(ast.Module(function.decorator_list, []))
        assert ast.get_docstring(function) or "kernel" not in decorators, param.id


# Landscapes where theta is not finite.

BUILT_IN = [
    name
    for name in fd.landscapes.names()
    if fd.landscapes.get(name).__module__.startswith("fastdescent.")
]
FAR = [1e20, -1e20, 1e155, -1e155, 1e200, -1e200, 1e308, -1e308]


def points_with(landscape, value):
    """Points of the domain in which one coordinate, or all, are the value."""
    domain = landscape.domain
    bases = [domain.mean(axis=1), domain[:, 0], domain[:, 1], np.zeros(landscape.dim)]
    rows = [
        np.where(np.arange(landscape.dim) == k, value, base)
        for base in bases
        for k in range(landscape.dim)
    ]
    return np.array([*rows, np.full(landscape.dim, value)])


@pytest.mark.parametrize(
    "name",
    BUILT_IN,
)
def test_loss_is_not_finite_where_theta_is_not(name):
    """The contract by which the engine notices divergence."""
    landscape = fd.landscapes.get(name)()
    points = np.concatenate([points_with(landscape, v) for v in (np.inf, -np.inf, np.nan)])
    loss = landscape.value(points)
    finite = np.isfinite(loss)
    assert not finite.any(), f"{points[finite][0]} has the loss {loss[finite][0]}"


@pytest.mark.parametrize("name", BUILT_IN)
def test_kernels_take_any_number(name):
    """Far out and at subnormal numbers they return something, and never raise."""
    landscape = fd.landscapes.get(name)()
    for value in (*FAR, 5e-324, -0.0, np.inf, np.nan):
        points = points_with(landscape, value)
        assert landscape.value(points).shape == (len(points),)
        assert landscape.gradient(points).shape == points.shape
        assert landscape.hessian(points).shape == (*points.shape, landscape.dim)


@pytest.mark.parametrize("name", BUILT_IN)
def test_a_finite_loss_has_a_finite_gradient(name):
    """Else theta would be lost in the next step with nothing to see in the loss."""
    landscape = fd.landscapes.get(name)()
    for value in FAR:
        points = points_with(landscape, value)
        loss, gradient = landscape.value(points), landscape.gradient(points)
        finite = np.isfinite(gradient).all(axis=1)
        assert (finite | ~np.isfinite(loss)).all(), points[~finite & np.isfinite(loss)][0]


# Kernels.


def test_a_kernel_with_other_parameters_is_refused():
    with pytest.raises(KernelSignatureError) as caught:

        @fd.kernel("update")
        def shifted(theta, gradient, loss, state, hyper, step):
            pass

    message = str(caught.value)
    assert "shifted" in message
    assert "theta, gradient, loss" in message
    assert "exactly (theta, grad, loss, state, hyper, step)" in message


def test_an_unknown_family_is_refused():
    with pytest.raises(UnknownNameError, match="did you mean 'landscape'"):
        fd.kernel("landscap")
    for family in FAMILIES:
        with pytest.raises(KernelSignatureError, match=family):
            fd.kernel(family)(lambda x: None)


@pytest.mark.skipif(not JIT, reason="plain Python may allocate")
@pytest.mark.parametrize("body", ["theta -= hyper[0] * grad", "theta[0] = np.zeros(len(loss))"])
def test_a_kernel_that_allocates_does_not_compile(body):
    """It runs without Numba's run time, so an array expression is an error, not a slow kernel."""
    scope = {"np": np}
    exec(f"def update(theta, grad, loss, state, hyper, step):\n    {body}", scope)
    with pytest.raises((NumbaError, FastdescentError)):
        fd.kernel("update")(scope["update"]).compile()


# Parts.

#: What fields without a default get; by kind and field, or by field alone.
REQUIRED = {
    "base": [0.1, 0.2],
    "max_norm": [1.0, 2.0],
    "max_value": 0.5,
    "weight_decay": 0.01,
    "scale": [0.1, 0.2],
    "degrees_of_freedom": 3.0,
    "every": 7,
    "gamma": 0.5,
    "decay": 0.25,
    "steps": 40,
    "record.steps": [0, 3, 9],
    "period": 5,
    "up": 3,
    "peak": 2.0,
    "interval": 4,
    "count": 6,
    "array": [[0.5, -0.25], [1e-300, 3.0]],
    "expression": "x**2 + 15*y**2",
    "set": "iris",
    "x": [[0.5, -0.25], [1e-300, 3.0], [1.0, 2.0]],
    "y": [1.0, -2.0, 0.5],
    "path": "samples.csv",
    "target": "y",
    "size": [2, 4],
    "data": fd.data.XOR(count=8),
    "SoftmaxRegression.data": fd.data.Spirals(count=9, arms=3),
    "matrix": [[1.0, 2.0], [3.0, 0.5]],
}
#: Not made of plain values; see its own tests.
PYTHON_ONLY = {"Function"}


def required(field, kind, name):
    """What a field without a default gets."""
    for key in (f"{name}.{field}", f"{kind}.{field}", field):
        if key in REQUIRED:
            return REQUIRED[key]
    raise KeyError(field)


def examples():
    """A part of every class of every registry, and each of its variants."""
    for kind in parts.kinds():
        for name in parts.names(kind):
            cls = parts.get(kind, name)
            if name in PYTHON_ONLY or not cls.__module__.startswith("fastdescent."):
                continue
            given = {
                field.name: required(field.name, kind, name)
                for field in cls._fields()
                if parts._required(field)
            }
            yield cls(**given)
            for field in cls._fields():
                for choice in (field.metadata.get("choices") or ())[1:]:
                    yield cls(**given, **{field.name: choice})
            swept = [f for f in cls._fields() if "range" in f.metadata and f.name != "dampening"]
            if swept and cls.schedulable:
                values = {f.name: _inside(f.metadata["range"]) for f in reversed(swept)}
                yield cls(**{**given, **values})
                yield cls(
                    **{**given, swept[0].name: fd.schedules.Cosine(values[swept[0].name], steps=9)}
                )
    yield fd.Stop(loss=1e-8, gradient_norm=0.0, radius=1e300)
    yield fd.landscapes.Quadratic(eigenvalues=np.array([-1.0, 0.1]), rotation=0.3)
    yield fd.landscapes.Quadratic([1, 2, 3], rotation=np.eye(3))
    yield fd.starts.Uniform([-1, 0.1], np.array([1.0, 2.0]), count=np.int64(4))
    yield fd.noise.RareFeature(probabilities=[0.1, 1])
    yield fd.transforms.BlockRates([[0.1, 0.2], 0.3], sizes=[1, 1])


def _inside(allowed):
    low = max(allowed.lower, 0.0)
    high = min(allowed.upper, low + 1.0)
    return [low + 0.25 * (high - low), low + 0.3 * (high - low)]


@pytest.mark.parametrize("part", list(examples()), ids=repr)
def test_a_part_is_a_value(part):
    """It prints as the call that makes it, and survives TOML, pickle and copies; equal parts have
    equal hashes, and what was written first stays first."""
    spaces = (fd.landscapes, fd.optimizers, fd.noise, fd.transforms, fd.schedules, fd.starts)
    scope = {k: v for space in (*spaces, fd.record, fd) for k, v in vars(space).items()}
    scope["Formula"] = fastdescent.symbolic.Formula
    scope.update({k: v for space in (fd.batch, fd.data, fd.models) for k, v in vars(space).items()})
    spaces_of = {"noise": fd.noise, "starts": fd.starts, "record": fd.record}
    scope.update(vars(spaces_of.get(part.kind, fd.schedules)))
    base = next(cls for cls in type(part).__mro__ if "kind" in vars(cls))
    twins = [
        eval(repr(part), scope),
        pickle.loads(pickle.dumps(part)),
        copy.deepcopy(part),
        copy.copy(part),
        base.from_table(tomllib.loads(tomli_w.dumps(part.to_table()))),
    ]
    for twin in twins:
        assert type(twin) is type(part)
        assert twin == part
        assert hash(twin) == hash(part)
        assert repr(twin) == repr(part)
        assert list(twin.axes()) == list(part.axes())
    assert part != object()
    assert part.to_table()["name"] == type(part).__name__


def test_every_registry_is_seen():
    kinds = {part.kind for part in examples()}
    assert kinds == set(parts.kinds())


@pytest.mark.parametrize("kind", parts.kinds())
def test_an_unknown_part_is_named_with_its_neighbour(kind):
    known = next(name for name in parts.names(kind))
    with pytest.raises(UnknownNameError, match=known):
        parts.get(kind, known + "s" if known + "s" not in parts.names(kind) else known + "x")


def test_a_replaced_value_keeps_the_order_in_which_axes_were_written():
    rule = fd.optimizers.Adam(beta1=[0.8, 0.9], learning_rate=[0.1, 0.2])
    assert list(rule.at(epsilon=1e-6).axes()) == ["beta1", "learning_rate"]


# Bad arguments that must not reach a kernel, or lose a finished run.

BOWL = fd.landscapes.Bowl(dim=1)


@pytest.mark.parametrize(
    "arguments",
    [
        {"targets": "abc"},
        {"targets": [[1.0], [2.0, 3.0]]},
        {"targets": [1j]},
        {"transforms": 3},
        {"transforms": fd.transforms.ClipByNorm},
        {"geometry": 3},
        {"starts": [[10**400]]},
        {"starts": np.array([[1j]])},
    ],
    ids=str,
)
def test_odd_arguments_are_refused_in_our_words(arguments):
    given = {"starts": [[1.0]], "steps": 1, **arguments}
    with pytest.raises(FastdescentError):
        fd.simulate(BOWL, fd.optimizers.GradientDescent(), **given)


class Named(fd.Landscape):
    """A landscape whose parameters have the names of what is in every result."""

    kernel = fd.landscapes.Bowl.kernel
    dim = 1
    curvature: fd.Values = fd.parameter(default=1.0)
    start: fd.Values = fd.parameter(default=1.0)
    coordinate: fd.Values = fd.parameter(default=1.0)
    loss: fd.Values = fd.parameter(default=1.0)
    steps: fd.Values = fd.parameter(default=1.0)


@pytest.mark.parametrize("name", ["start", "coordinate", "loss", "steps"])
def test_an_axis_cannot_take_the_name_of_a_result(name):
    with pytest.raises(FastdescentError, match=name):
        fd.simulate(
            Named(**{name: [1.0, 2.0]}),
            fd.optimizers.GradientDescent(),
            starts=[[1.0], [2.0]],
            steps=1,
        )


def test_more_starts_than_memory_are_refused_before_they_are_made():
    with pytest.raises(MemoryError) as caught:
        fd.simulate(
            BOWL,
            fd.optimizers.GradientDescent(),
            starts=fd.starts.Uniform(count=2**32 - 1),
            steps=1,
        )
    assert isinstance(caught.value, FastdescentError)


# Bits do not depend on the company: what a lane is worth must not depend on events in others.


@fd.kernel("landscape")
def _cone(theta, params, data, batch, loss, grad):
    for lane in range(loss.shape[0]):
        loss[lane] = abs(theta[0, lane])
        grad[0, lane] = theta[0, lane]


class Cone(fd.Landscape):
    """Its loss overflows only where theta does."""

    checked = False
    kernel = _cone
    dim = 1


def ended(tile, landscape, rule, **arguments):
    ds = fd.simulate(landscape, rule, geometry=Geometry(tile=tile), **arguments)
    return ds.steps.values.tolist(), ds.status.values.tolist()


def test_a_radius_whose_square_overflows_does_not_see_its_neighbours():
    """Theta grows from 1e150 past 1e155, where its square overflows, inside a radius of 1e200; the
    other configuration converges at step 40, and the tile is looked at."""
    arguments = {
        "rule": fd.optimizers.GradientDescent([3.0, 0.5]),
        "starts": [[1e150], [1.0]],
        "steps": 60,
        "stop": fd.Stop(radius=1e200, loss=1e-12),
    }
    assert ended(1, Cone(), **arguments) == ended(8, Cone(), **arguments)


def test_a_gradient_tolerance_does_not_see_its_neighbours():
    """A gradient whose squared norm rounds above the squared tolerance, and whose norm rounds to
    the tolerance, beside a lane that converges in the same step."""
    t, a, b = 1.2697867137638703, 0.18797034428068785, 1.2557967383785678
    assert a * a + b * b > t * t
    assert np.sqrt(a * a + b * b) <= t
    arguments = {
        "rule": fd.optimizers.GradientDescent(0.5),
        "starts": [[2 * a, 2 * b], [1.1 * t, 0.0]],
        "steps": 1,
        "stop": fd.Stop(gradient_norm=t),
    }
    bowl = fd.landscapes.Bowl(dim=2)
    assert ended(1, bowl, **arguments) == ended(8, bowl, **arguments)


# Processes: what importing costs, and the disk cache.


def child(code, environment, folder=None):
    """Run Python in a fresh process; return what it prints."""
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(code)],
        env=environment,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def cache_files(environment, pattern="*"):
    return sorted(
        p.name for p in Path(environment["NUMBA_CACHE_DIR"]).rglob(pattern) if p.is_file()
    )


def test_importing_is_cheap(child_environment):
    loaded = child("import fastdescent, sys; print(*sys.modules)", child_environment).split()
    slow = ["matplotlib", "sympy", "dask", "jax", "scipy.stats", "pandas", "xarray", "torch"]
    assert not [name for name in slow if name in loaded]
    assert "fastdescent.optimizers.adam" in loaded
    assert cache_files(child_environment) == []  # nothing was compiled


MINE = """
import numpy as np
import fastdescent as fd
import helper
from helper import RATE, slope

@fd.kernel("landscape")
def mine(theta, params, data, batch, loss, grad):
    for lane in range(loss.shape[0]):
        loss[lane] = {loss}

theta, params, data, grad = np.zeros((4, 1, 1))
loss = np.zeros(1)
mine(theta, params, data, np.zeros((0, 0), dtype=np.int64), loss, grad)
print(loss[0], sum(mine.dispatcher.stats.cache_hits.values()))
"""
HELPER = """
import fastdescent as fd

RATE = {rate}

@fd.lane_function
def slope(x):
    return {slope} + 0.0 * x
"""


@pytest.mark.skipif(not JIT, reason="nothing is compiled")
@pytest.mark.parametrize(
    ("loss", "edit"),
    [
        ("slope(theta[0, lane])", {"slope": 20.0}),
        ("helper.slope(theta[0, lane])", {"slope": 20.0}),
        pytest.param("RATE", {"rate": 20.0}),
        pytest.param("helper.RATE", {"rate": 20.0}),
    ],
    ids=["function", "module.function", "constant", "module.constant"],
)
def test_the_disk_cache_of_a_users_kernel(child_environment, tmp_path, loss, edit):
    """A second process compiles nothing; one after an edit in a helper's file compiles anew."""
    values = {"rate": 1.0, "slope": 1.0}
    (tmp_path / "mine.py").write_text(MINE.format(loss=loss))
    (tmp_path / "helper.py").write_text(HELPER.format(**values))

    def run():
        value, hits = child("import mine", child_environment, tmp_path).split()
        return float(value), int(hits), cache_files(child_environment)

    value, hits, files = run()
    assert (value, hits) == (1.0, 0)
    assert len(files) == 2  # an index and a compiled kernel
    assert run() == (1.0, 1, files)
    # 20 for 1: a file of another size, as Python itself looks at whole seconds and the size.
    (tmp_path / "helper.py").write_text(HELPER.format(**values | edit))
    assert run()[:2] == (20.0, 0)
