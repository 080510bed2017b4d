"""Models on data: gradients, Hessians, layouts, end points, errors."""

from __future__ import annotations

import itertools
import re

import numba
import numpy as np
import pytest
import sympy
from scipy import optimize
from sklearn import linear_model

import fastdescent as fd
from fastdescent import contracts, simd
from fastdescent.contracts import JIT, kernel
from fastdescent.errors import FastdescentError

RNG = np.random.default_rng(20)
X = RNG.normal(size=(23, 5))
Y = X @ [1.0, -2.0, 0.5, 0.0, 3.0] + RNG.normal(size=23)
NUMBERS = fd.data.Dataset(X, Y)
TWO = fd.data.Dataset(X, np.median(Y) < Y)
THREE = fd.data.Dataset(X, np.array(["a", "b", "c"])[RNG.integers(0, 3, 23)])
TARGETS = fd.data.Dataset(X, np.stack([Y, X[:, 0] ** 2], axis=1))
MATRIX = RNG.normal(size=(3, 4)).tolist()

ACTIVATIONS = ["tanh", "sigmoid", "relu", "gelu", "identity"]
LINEAR = [
    fd.models.LinearRegression(NUMBERS),
    fd.models.LinearRegression(NUMBERS, bias=False),
    fd.models.LinearRegression(fd.data.Dataset(X[:2], Y[:2])),  # fewer samples than dim / 2
    fd.models.RidgeRegression(NUMBERS, penalty=0.3),
    fd.models.RidgeRegression(NUMBERS, penalty=0.3, bias=False),
    fd.models.HuberRegression(NUMBERS, delta=0.7),
]
LAYERED = [
    fd.models.LogisticRegression(TWO),
    fd.models.LogisticRegression(TWO, bias=False),
    fd.models.SoftmaxRegression(THREE),
    fd.models.MLP(NUMBERS, widths=[]),
    fd.models.MLP(TARGETS, widths=[7], bias=False),
    fd.models.MLP(TWO, widths=[3], loss="cross_entropy"),
    *(fd.models.MLP(NUMBERS, widths=[4, 3], activation=kind) for kind in ACTIVATIONS),
    *(
        fd.models.MLP(
            THREE, widths=[3, 2], activation=kind, loss="cross_entropy", scales=[0.5, 2.0, 1.5]
        )
        for kind in ACTIVATIONS
    ),
]
OTHERS = [
    fd.models.DeepLinear(depth=1, target=-0.5),
    fd.models.DeepLinear(depth=5, target=1.5),
    fd.models.MatrixFactorization(MATRIX, rank=2),
    fd.models.OnePointMLP(width=3, gain=1.5, scale=0.5, label=0.3),
]
SAMPLED = LINEAR + LAYERED
MODELS = SAMPLED + OTHERS


def short(model):
    """A name for a test: what differs from the defaults, without the data."""
    given = {k: v for k, v in model._given().items() if k not in ("data", "matrix")}
    return f"{model.name}({', '.join(f'{k}={v}' for k, v in given.items())})"


def points(model, count=5):
    """Where the loss is smooth with near certainty, ReLU and Huber included."""
    spread = np.random.default_rng(3).normal(size=(count, model.dim))
    return model.initial_points(7, count) + 0.1 * spread


def coordinates(dim):
    """All of them; in plain Python, where an evaluation takes 10 ms, four."""
    return np.arange(dim) if JIT else np.unique(np.linspace(0, dim - 1, 4).astype(int))


def differences(function, x, step=1e-6):
    """Central differences: error about step^2 and 1e-16 / step, so 1e-9 of the values."""
    steps = step * np.eye(x.shape[1])[coordinates(x.shape[1])]
    return np.stack([(function(x + e) - function(x - e)) / (2 * step) for e in steps], axis=-1)


def naive_loss(model, theta, x, y):
    """A twin in NumPy, tensor by tensor, sample by sample."""
    if isinstance(
        model, fd.models.MLP | fd.models.LogisticRegression | fd.models.SoftmaxRegression
    ):
        return naive_network_loss(model, theta, x, y)
    weights = theta[: x.shape[1]]
    intercept = theta[-1] if model.bias else 0.0
    errors = x @ weights + intercept - y[:, 0]
    if isinstance(model, fd.models.HuberRegression):
        d = model.delta
        return np.mean([r * r / 2 if abs(r) <= d else d * (abs(r) - d / 2) for r in errors])
    penalty = getattr(model, "penalty", 0.0)
    return np.mean(np.square(errors)) + penalty * weights @ weights


def naive_network_loss(model, theta, x, y):
    kind = getattr(model, "activation", "identity")
    squared = getattr(model, "loss", "cross_entropy") == "squared"
    activation = {
        "identity": lambda z: z,
        "tanh": np.tanh,
        "sigmoid": lambda z: 1 / (1 + np.exp(-z)),
        "relu": lambda z: np.maximum(z, 0),
        "gelu": lambda z: z / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (z + 0.044715 * z**3))),
    }[kind]
    tensors = {
        b.name: theta[b.offset : b.offset + b.rows * b.columns].reshape(b.rows, b.columns)
        for b in model.blocks
    }
    layers = sum(name.startswith("weight") for name in tensors)
    scales = getattr(model, "scales", None) or [1.0] * layers
    losses = []
    for row, target in zip(x, y, strict=True):
        a = row
        for i in range(1, layers + 1):
            z = tensors[f"weight_{i}"] @ a
            if model.bias:
                z = z + tensors[f"bias_{i}"][:, 0]
            z = scales[i - 1] * z
            a = z if i == layers else activation(z)
        if squared:
            losses.append(((a - target) ** 2).sum())
        elif len(a) == 1:
            losses.append(np.log(1 + np.exp(a[0])) - target[0] * a[0])
        else:
            losses.append(np.log(np.exp(a).sum()) - a[int(target[0])])
    return np.mean(losses)


@pytest.mark.parametrize("model", SAMPLED, ids=short)
def test_the_loss_is_that_of_a_twin_in_numpy(model):
    """On all samples and on a batch; 1e-12 is a hundred roundings of a sum of 23 terms."""
    theta, some = points(model), model.samples
    all_losses = [naive_loss(model, t, some.x, some.y) for t in theta]
    np.testing.assert_allclose(model.value(theta), all_losses, rtol=1e-12)
    batch = np.random.default_rng(4).integers(0, len(some.x), size=(len(theta), 7))
    expected = [
        naive_loss(model, t, some.x[b], some.y[b]) for t, b in zip(theta, batch, strict=True)
    ]
    np.testing.assert_allclose(model.batch_gradient(theta, batch)[0], expected, rtol=1e-12)


@pytest.mark.parametrize("model", MODELS, ids=short)
def test_gradient_and_hessian_are_those_of_differences(model):
    theta = points(model)
    scale = 1.0 + np.abs(model.value(theta)).max()
    close = {"rtol": 1e-7, "atol": 1e-8 * scale}
    gradient, some = model.gradient(theta), coordinates(model.dim)
    np.testing.assert_allclose(gradient[:, some], differences(model.value, theta), **close)
    hessian = model.hessian(theta)
    np.testing.assert_allclose(hessian[..., some], differences(model.gradient, theta), **close)
    np.testing.assert_allclose(hessian, np.swapaxes(hessian, 1, 2), rtol=1e-10, atol=1e-12 * scale)


@pytest.mark.parametrize("model", SAMPLED, ids=short)
def test_a_batchs_gradient_is_that_of_differences(model):
    theta = points(model)
    batch = np.random.default_rng(5).integers(0, model.sample_count, size=(len(theta), 6))
    loss = lambda x: model.batch_gradient(x, batch)[0]  # noqa: E731
    _, gradient = model.batch_gradient(theta, batch)
    scale = 1.0 + np.abs(loss(theta)).max()
    close = {"rtol": 1e-7, "atol": 1e-8 * scale}
    np.testing.assert_allclose(
        gradient[:, coordinates(model.dim)], differences(loss, theta), **close
    )
    everything = model.batch_gradient(theta, np.arange(model.sample_count))
    np.testing.assert_allclose(everything[0], model.value(theta), rtol=1e-12)
    np.testing.assert_allclose(everything[1], model.gradient(theta), rtol=1e-11, atol=1e-13 * scale)


@pytest.mark.parametrize("model", LAYERED, ids=short)
def test_gradients_equal_jax(model):
    """Reverse-mode differentiation of the twin's formulas, to round-off."""
    jax = pytest.importorskip("jax")
    jax.config.update("jax_enable_x64", True)
    jnp = jax.numpy
    some = model.samples
    scales = getattr(model, "scales", None)
    squared = getattr(model, "loss", "cross_entropy") == "squared"
    kind = getattr(model, "activation", "identity")
    activation = {
        "identity": lambda z: z,
        "tanh": jnp.tanh,
        "sigmoid": jax.nn.sigmoid,
        "relu": jax.nn.relu,
        "gelu": jax.nn.gelu,
    }[kind]

    def loss(theta):
        a, at = some.x, 0
        widths = model.layer_widths
        for i, (columns, rows) in enumerate(itertools.pairwise(widths)):
            weight = theta[at : at + rows * columns].reshape(rows, columns)
            at += rows * columns
            z = a @ weight.T
            if model.bias:
                z, at = z + theta[at : at + rows], at + rows
            z = z * (scales[i] if scales else 1.0)
            a = z if i == len(widths) - 2 else activation(z)
        if squared:
            return ((a - some.y) ** 2).sum(axis=1).mean()
        if a.shape[1] == 1:
            return (jnp.logaddexp(0.0, a[:, 0]) - some.y[:, 0] * a[:, 0]).mean()
        log_p = jax.nn.log_softmax(a)
        return -log_p[jnp.arange(len(a)), some.y[:, 0].astype(int)].mean()

    theta = points(model, 3)
    value, gradient = jax.vmap(jax.value_and_grad(loss))(theta)
    np.testing.assert_allclose(model.value(theta), value, rtol=1e-12)
    np.testing.assert_allclose(model.gradient(theta), gradient, rtol=1e-10, atol=1e-13)
    vector = np.random.default_rng(6).normal(size=model.dim)
    _, product = jax.jvp(jax.grad(loss), (theta[0],), (vector,))
    np.testing.assert_allclose(
        model.hessian_vector_product(theta[0], vector), product, rtol=1e-9, atol=1e-12
    )


@pytest.mark.parametrize(
    "model", [m for m in LINEAR[:2] + LINEAR[3:4] + OTHERS if m.dim <= 14], ids=short
)
def test_formula_value_gradient_and_hessian_agree_with_sympy(model):
    symbols = sympy.symbols(f"x:{model.dim}")
    loss = model.formula(symbols, sympy)
    theta = points(model, 2)
    for row in theta:
        at = dict(zip(symbols, row.tolist(), strict=True))
        value = float(sympy.sympify(loss).evalf(30, subs=at))
        np.testing.assert_allclose(model.value(row), value, rtol=1e-12)
        gradient = [float(sympy.diff(loss, s).evalf(30, subs=at)) for s in symbols]
        np.testing.assert_allclose(model.gradient(row), gradient, rtol=1e-10, atol=1e-12)
    if isinstance(model, fd.models.DeepLinear):
        row = theta[0]
        at = dict(zip(symbols, row.tolist(), strict=True))
        second = [
            [float(sympy.diff(loss, a, b).evalf(30, subs=at)) for a in symbols] for b in symbols
        ]
        np.testing.assert_allclose(model.hessian(row), second, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("model", MODELS, ids=short)
def test_blocks_tile_the_parameter_vector(model):
    at = 0
    for block in model.blocks:
        assert block.offset == at
        at += block.rows * block.columns
    assert at == model.dim
    assert len({block.name for block in model.blocks}) == len(model.blocks)


@pytest.mark.parametrize("model", LAYERED, ids=short)
@pytest.mark.parametrize("batch", [None, [3, 3, 0, 7, 22]])
def test_what_passes_through_the_layers_makes_the_gradient(model, batch):
    theta = points(model, 1)[0]
    made = []
    layers = model.layers(theta, batch)
    for layer in layers:
        made.append((layer.gradients.T @ layer.inputs).ravel())
        if model.bias:
            made.append(layer.gradients.sum(axis=0))
    indices = np.arange(model.sample_count) if batch is None else batch
    expected = model.batch_gradient(theta, indices)[1]
    np.testing.assert_allclose(np.concatenate(made), expected, rtol=1e-11, atol=1e-14)
    np.testing.assert_array_equal(layers[0].inputs, model.samples.x[indices])


@pytest.mark.parametrize("model", MODELS, ids=short)
def test_a_lane_does_not_depend_on_its_neighbours(model):
    """Bit for bit: alone, and in any place among others."""
    theta = points(model, 19)
    value, gradient = model.value(theta), model.gradient(theta)
    for i in (0, 7, 8, 18):
        assert model.value(theta[i]) == value[i]
        np.testing.assert_array_equal(model.gradient(theta[i]), gradient[i])


@pytest.mark.parametrize("model", MODELS, ids=short)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_where_theta_is_not_finite_the_loss_is_not_either(model, bad):
    for i in {0, model.dim // 2, model.dim - 1}:
        theta = points(model, 3)
        theta[1, i] = bad
        finite = np.isfinite(model.value(theta))
        if np.isinf(bad) and saturates(model):
            continue  # tanh(inf) = 1 is finite; the engine looks at theta itself too
        assert finite.tolist() == [True, False, True]


def saturates(model):
    return getattr(model, "activation", "") in ("tanh", "sigmoid", "relu", "gelu")


# End points.


def test_linear_regression_ends_at_the_least_squares_solution():
    for bias in (False, True):
        model = fd.models.LinearRegression(NUMBERS, bias=bias)
        design = np.column_stack([X, np.ones(len(X))]) if bias else X
        solution = np.linalg.solve(design.T @ design, design.T @ Y)
        np.testing.assert_allclose(model.minima[0], solution, rtol=1e-10)
        np.testing.assert_allclose(model.minimum, np.mean((design @ solution - Y) ** 2))
        ds = fd.simulate(
            model,
            fd.optimizers.GradientDescent(0.1),
            starts=fd.starts.Initialization(count=3),
            steps=2000 if JIT else 600,
        )
        # The slowest mode shrinks by 1 - 0.1 x 0.39 a step: 1e-10 after 600.
        np.testing.assert_allclose(ds.position, np.tile(solution, (3, 1)), atol=1e-9)


def test_ridge_regression_ends_where_scikit_learn_does():
    model = fd.models.RidgeRegression(NUMBERS, penalty=0.3)
    theirs = linear_model.Ridge(alpha=0.3 * len(X), tol=1e-12).fit(X, Y)
    expected = [*theirs.coef_, theirs.intercept_]
    np.testing.assert_allclose(model.minima[0], expected, rtol=1e-9)
    assert np.abs(model.gradient(model.minima[0])).max() < 1e-13


@pytest.mark.skipif(not JIT, reason="3000 steps of plain Python")
def test_logistic_regression_ends_where_scikit_learn_and_scipy_do():
    overlapping = RNG.random(23) < 1 / (1 + np.exp(-X[:, 0]))
    model = fd.models.LogisticRegression(fd.data.Dataset(X, overlapping))
    ds = fd.simulate(
        model,
        fd.optimizers.Nesterov(learning_rate=0.5, beta=0.9),
        starts=np.zeros((1, 6)),
        steps=3000,
        stop=fd.Stop(gradient_norm=1e-9),
    )
    theirs = linear_model.LogisticRegression(C=np.inf, tol=1e-12, max_iter=10_000)
    theirs.fit(X, overlapping)
    expected = [*theirs.coef_[0], *theirs.intercept_]
    close = {"rtol": 1e-5, "atol": 1e-5}
    np.testing.assert_allclose(ds.position[0], expected, **close)
    found = optimize.minimize(
        model.value, np.zeros(6), jac=model.gradient, hess=model.hessian, method="trust-exact"
    )
    np.testing.assert_allclose(ds.position[0], found.x, **close)


def test_matrix_factorization_ends_at_the_truncated_svd():
    model = fd.models.MatrixFactorization(MATRIX, rank=2)
    ds = fd.simulate(
        model,
        fd.optimizers.GradientDescent(0.05),
        starts=fd.starts.Initialization(count=4),
        steps=4000 if JIT else 1000,
    )
    u, s, v = np.linalg.svd(np.array(MATRIX))
    best = (u[:, :2] * s[:2]) @ v[:2]
    np.testing.assert_allclose(ds.loss, model.minimum, rtol=1e-6 if JIT else 1e-2)
    for theta in ds.position.values:
        left, right = theta[:6].reshape(3, 2), theta[6:].reshape(4, 2)
        np.testing.assert_allclose(left @ right.T, best, atol=1e-4 if JIT else 0.1)


@pytest.mark.parametrize("offset", [0.0, 1e3, 1e6])
@pytest.mark.parametrize("scale", [1.0, 1e-12, 1e12])
def test_the_loss_is_right_for_badly_scaled_and_shifted_columns(offset, scale):
    """Where X'X would lose digits, the samples are summed: 1e-11 of the terms' size either way."""
    x = X * [scale, 1.0, 1.0, 1.0, 1.0] + [0.0, 0.0, 0.0, 0.0, offset]
    model = fd.models.LinearRegression(fd.data.Dataset(x, Y))
    best, *_ = np.linalg.lstsq(np.c_[X, np.ones(23)], Y, rcond=None)
    best[0] /= scale
    best[5] -= offset * best[4]
    theta = best * np.array([[1.0, 1.01, 1.0, 1.0, 1.0, 1.0], [1.0, 1.0, 0.9, 1.0, 1.0, 1.0]])
    expected = np.mean((theta[:, :5] @ x.T + theta[:, 5:] - Y) ** 2, axis=1)
    size = (np.abs(theta[:, :5]) @ np.abs(x).T).max()
    np.testing.assert_allclose(model.value(theta), expected, rtol=1e-11, atol=1e-15 * size)
    np.testing.assert_allclose(
        model.value(theta), model.batch_gradient(theta, np.arange(23))[0], rtol=1e-11
    )
    np.testing.assert_allclose(model.minima[0], best, rtol=1e-8, atol=1e-8 * np.abs(best[1:]).max())


def test_a_ridges_validation_loss_has_no_penalty():
    data = fd.data.Dataset(X, Y, validation=0.3)
    model = fd.models.RidgeRegression(data, penalty=2.0)
    some, theta = model.samples, points(model, 1)[0]
    errors = some.validation_x @ theta[:5] + theta[5] - some.validation_y[:, 0]
    assert model.validation_value(theta) == pytest.approx(np.mean(errors**2), rel=1e-12)


def test_the_tables_of_a_model_are_its_own():
    model = fd.models.LinearRegression(NUMBERS)
    before = model.value(np.ones(6))
    model.kernel_data()[:] = 7.0
    assert model.value(np.ones(6)) == before


def test_minima_of_rank_deficient_data_are_not_one_point():
    model = fd.models.LinearRegression(fd.data.Dataset(np.c_[X, X[:, 0]], Y))
    assert model.minima is None
    assert model.minimum == pytest.approx(fd.models.LinearRegression(NUMBERS).minimum, rel=1e-10)


# Initialisations.


@pytest.mark.parametrize("scheme", fd.models._base.INITIALIZATIONS)
def test_initialisations_have_their_variances(scheme):
    """Variance of each tensor within 5 standard errors; false alarms below 1e-5 in all."""
    kind, variance, biased = fd.models._base.INITIALIZATIONS[scheme]
    net = fd.models.MLP(TARGETS, widths=[8, 3], initialization=scheme)
    count = 4000 if JIT else 200
    theta = net.initial_points(1, count)
    fans = {1: (5, 8), 2: (8, 3), 3: (3, 2)}
    kurtosis = 1.8 if kind == "uniform" else 3.0
    for block in net.blocks:
        part = theta[:, block.offset : block.offset + block.rows * block.columns]
        wanted = variance(*fans[int(block.name[-1])])
        if block.name.startswith("bias") and not biased:
            assert not part.any()
            continue
        error = wanted * np.sqrt((kurtosis - 1.0) / part.size)
        assert abs(part.var() - wanted) < 5.0 * error
        assert abs(part.mean()) < 5.0 * np.sqrt(wanted / part.size)
        if kind == "uniform":
            assert np.abs(part).max() <= np.sqrt(3.0 * wanted)
    np.testing.assert_array_equal(net.initial_points(1, 10), theta[:10])


def test_initialisation_equals_torchs_law():
    """torch.nn.Linear: uniform within 1 / sqrt(fan_in), weights and biases."""
    net = fd.models.MLP(NUMBERS, widths=[16])
    theta = net.initial_points(0, 500)
    assert np.abs(theta[:, : 16 * 5 + 16]).max() == pytest.approx(1 / np.sqrt(5), rel=1e-3)
    assert np.abs(theta[:, 16 * 5 + 16 :]).max() == pytest.approx(1 / 4, rel=1e-2)


# Lanes in registers.


@pytest.mark.skipif(not JIT, reason="there is no machine code")
def test_the_products_loops_are_packed():
    """Eight multiply-adds of whole vectors and at most six loads per turn of the inner loop."""
    from fastdescent.models import _network  # noqa: PLC0415

    kernel_ = _network.value_and_gradient
    dispatcher = numba.njit(**contracts._OPTIONS)(kernel_.function)
    dispatcher.compile(kernel_._signature)
    (assembly,) = dispatcher.inspect_asm().values()
    width = {8: "zmm", 4: "ymm"}[simd.WIDTH]
    packed = re.findall(rf"vfn?madd\d+pd\s.*%{width}", assembly)
    scalar = re.findall(r"vfn?madd\d+sd\s", assembly)
    assert len(packed) > 200
    assert len(packed) > 2 * len(scalar)  # what is left over by whole vectors


def test_gather_transposes():
    source = np.arange(200.0)
    batch = np.array([[5, 0, 3, 3, 9, 1, 7, 2]])
    target = np.zeros(simd.WIDTH * 3 * simd.WIDTH)

    @kernel("landscape")
    def take(theta, params, data, batch, loss, grad):
        simd.gather(simd.flat(grad), 0, 3 * simd.WIDTH, simd.flat(data), 20, 4, batch, 0)

    rows = target.reshape(1, -1)
    take(np.zeros((1, 8)), np.zeros((0, 8)), source.reshape(10, 20), batch, np.zeros(8), rows)
    for i in range(simd.WIDTH):
        at = 3 * simd.WIDTH * i
        expected = source.reshape(10, 20)[batch[0, : simd.WIDTH], 4 + i]
        np.testing.assert_array_equal(target[at : at + simd.WIDTH], expected)


# Errors.


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: fd.models.LinearRegression(X), "LinearRegression.data"),
        (lambda: fd.models.LinearRegression(TARGETS), "widths=[]"),
        (lambda: fd.models.LogisticRegression(THREE), "SoftmaxRegression"),
        (lambda: fd.models.LogisticRegression(NUMBERS), "two classes"),
        (lambda: fd.models.SoftmaxRegression(TWO), "LogisticRegression"),
        (lambda: fd.models.MLP(NUMBERS, widths=[0]), "MLP.widths"),
        (lambda: fd.models.MLP(NUMBERS, widths=[2.5]), "MLP.widths"),
        (lambda: fd.models.MLP(NUMBERS, loss="cross_entropy"), "no classes"),
        (lambda: fd.models.MLP(NUMBERS, activation="tan"), "tanh"),
        (lambda: fd.models.MLP(NUMBERS, bias=1), "MLP.bias"),
        (lambda: fd.models.MLP(NUMBERS, scales=[1.0]), "MLP.scales"),
        (lambda: fd.models.MLP(NUMBERS, widths=[2], scales=[1.0, 0.0]), "MLP.scales"),
        (lambda: fd.models.HuberRegression(NUMBERS, delta=0.0), "HuberRegression.delta"),
        (lambda: fd.models.RidgeRegression(NUMBERS, penalty=-1.0), "RidgeRegression.penalty"),
        (lambda: fd.models.MatrixFactorization([[1.0, np.nan]]), "matrix of finite"),
        (lambda: fd.models.MatrixFactorization([[1.0], [1.0, 2.0]]), "matrix"),
        (lambda: fd.models.DeepLinear(depth=0), "DeepLinear.depth"),
        (lambda: LINEAR[0].batch_gradient(np.zeros(6), [23]), "0 to 22"),
        (lambda: LINEAR[0].batch_gradient(np.zeros(6), [0.5]), "index of a sample"),
        (lambda: LINEAR[0].batch_gradient(np.zeros((3, 6)), [[0], [1]]), "(3, size)"),
        (lambda: LINEAR[0].hessian_vector_product(np.zeros(6), np.zeros(5)), "vector"),
        (lambda: LAYERED[0].layers(np.zeros(6), []), "index of a sample"),
        (lambda: LAYERED[0].layers(np.zeros(6), [23]), "0 to 22"),
        (lambda: LAYERED[0].layers(np.zeros(6), [-1]), "0 to 22"),
        (lambda: LAYERED[0].layers(np.zeros((2, 6))), "shape (6,)"),
        (lambda: fd.models.MLP(THREE), "cross_entropy"),
        (lambda: fd.models.LinearRegression(THREE), "SoftmaxRegression"),
        (lambda: fd.models.RidgeRegression(NUMBERS, penalty=[1.0, 2.0]).hessian(X[0]), ".at("),
        (lambda: fd.starts.Initialization().points(fd.landscapes.Beale(), 0), "Uniform"),
        (lambda: LINEAR[0].validation_value(np.zeros(6)), "validation=0.2"),
        (lambda: LAYERED[0].hessian_vector_product(np.zeros(6), np.zeros(5)), "vector"),
    ],
)
def test_errors_say_what_to_do(make, says):
    with pytest.raises(FastdescentError) as caught:
        make()
    assert says in str(caught.value)
