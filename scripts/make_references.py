"""Make the stored reference trajectories of the update rules with other people's code.

The references are made once, by torch.optim, optax and qhoptim in float64, and stored in
``tests/references/optimizers.npz`` with the libraries' versions; `tests/test_references.py`
compares every variant of every rule with them.  None of the libraries is needed to test.

To make them again::

    python3.11 -m venv /tmp/references
    /tmp/references/bin/pip install torch==2.13.0 jax==0.10.2 optax==0.2.8 qhoptim==1.1.0
    /tmp/references/bin/python scripts/make_references.py

Every case runs on every problem of `PROBLEMS`.  A variant that no library has is composed of
library steps: another hyper-parameter in every step, or the library's moments in the
variant's formula.  The label of the case says so.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

STEPS = 60
START = np.array([-1.2, 1.0, 0.7])
PATH = Path(__file__).parent.parent / "tests" / "references" / "optimizers.npz"


def quadratic(x: Any, step: int) -> Any:
    """Return the gradient of a rotated quadratic with eigenvalues 1, 10 and 50."""
    # A Householder matrix is its own inverse, and (1, 2, 3) mixes all axes.
    axis = np.array([1.0, 2.0, 3.0])
    rotation = np.eye(3) - np.outer(axis, axis) / 7.0
    return rotation @ (np.array([1.0, 10.0, 50.0]) * (rotation @ x))


def noisy(x: Any, step: int) -> Any:
    """Return that gradient plus a bounded pseudo-random sequence, the same in every run."""
    numbers = [(1103515245 * (3 * step + i) + 12345) % 65536 for i in range(3)]
    # A second multiplication takes away the pattern of neighbouring numbers.
    return quadratic(x, step) + np.array([(n * n * 25173 + 13849) % 65536 for n in numbers]) / 32768


def rosenbrock(x: Any, step: int) -> Any:
    """Return the gradient of the chained Rosenbrock function in three dimensions."""
    gap = x[1:] - x[:-1] ** 2
    gradient = np.zeros(3)
    gradient[:-1] = -400.0 * x[:-1] * gap - 2.0 * (1.0 - x[:-1])
    gradient[1:] += 200.0 * gap
    return gradient


PROBLEMS = {"quadratic": quadratic, "noisy": noisy, "rosenbrock": rosenbrock}


class Case(NamedTuple):
    """A variant, its hyper-parameters, and what the reference is.

    ``walk(gradient)`` yields the reference's theta after every step.
    """

    rule: str
    variant: str
    parameters: dict[str, float]
    reference: str
    walk: Callable[[Callable[..., Any]], Iterator[Any]]


def torch_walk(
    name: str, before: Callable[..., None] | None = None, after: Callable[..., None] | None = None,
    module: str = "torch.optim", **arguments: Any,
) -> Callable[..., Iterator[Any]]:  # fmt: skip
    """Walk with a torch optimizer; `before` and `after` may change it at every step."""
    import torch  # noqa: PLC0415

    torch.set_default_dtype(torch.float64)

    def walk(gradient: Callable[..., Any]) -> Iterator[Any]:
        theta = torch.nn.Parameter(torch.tensor(START))
        rule = getattr(importlib.import_module(module), name)([theta], **arguments)
        for step in range(1, STEPS + 1):
            theta.grad = torch.tensor(gradient(theta.detach().numpy().copy(), step))
            if before:
                before(rule.param_groups[0], step)
            old = theta.detach().clone()
            rule.step()
            if after:
                with torch.no_grad():
                    after(theta, old, rule.state[theta], step)
            yield theta.detach().numpy().copy()

    return walk


def optax_walk(make: Callable[[Any], Any]) -> Callable[..., Iterator[Any]]:
    """Walk with an optax transformation, made by ``make(optax)``."""
    import jax  # noqa: PLC0415
    import optax  # noqa: PLC0415

    jax.config.update("jax_enable_x64", True)

    def walk(gradient: Callable[..., Any]) -> Iterator[Any]:
        rule, theta = make(optax), jax.numpy.array(START)
        state = rule.init(theta)
        for step in range(1, STEPS + 1):
            slope = jax.numpy.array(gradient(np.array(theta), step))
            update, state = rule.update(slope, state, theta)
            theta = optax.apply_updates(theta, update)
            yield np.array(theta)

    return walk


def momentum_cases() -> Iterator[Case]:
    """Gradient descent, momentum and Nesterov."""
    lr, b = 0.0005, 0.9
    p = {"learning_rate": lr}
    yield Case("GradientDescent", "standard", p, "torch SGD", torch_walk("SGD", lr=lr))
    yield Case("GradientDescent", "standard", p, "optax.sgd", optax_walk(lambda o: o.sgd(lr)))
    p = {"learning_rate": lr, "beta": b}
    torch_momentum = torch_walk("SGD", lr=lr, momentum=b)
    inside = optax_walk(lambda o: o.chain(o.scale(-lr), o.trace(b)))
    yield Case("Momentum", "lr_inside", p, "optax.trace of lr g", inside)
    yield Case("Momentum", "lr_inside", p, "torch SGD, same path at constant lr", torch_momentum)
    yield Case("Momentum", "lr_outside", p, "torch SGD", torch_momentum)
    yield Case(
        "Momentum", "lr_outside", p, "optax.sgd", optax_walk(lambda o: o.sgd(lr, momentum=b))
    )
    yield Case(
        "Momentum",
        "lr_outside",
        {**p, "dampening": 0.4},
        "torch SGD(dampening=0.4)",
        torch_walk("SGD", lr=lr, momentum=b, dampening=0.4),
    )
    ema = optax_walk(lambda o: o.chain(o.ema(b, debias=False), o.scale(-lr)))
    yield Case("Momentum", "ema", p, "optax.ema(debias=False)", ema)
    nesterov = torch_walk("SGD", lr=lr, momentum=b, nesterov=True)
    yield Case("Nesterov", "lookahead", p, "torch SGD(nesterov=True), at the query point", nesterov)
    yield Case("Nesterov", "torch", p, "torch SGD(nesterov=True)", nesterov)
    accelerated = optax_walk(lambda o: o.sgd(lr, momentum=b, nesterov=True))
    yield Case("Nesterov", "torch", p, "optax.sgd(nesterov=True)", accelerated)


def adaptive_cases() -> Iterator[Case]:
    """AdaGrad, AdaDelta and RMSProp."""
    lr = 0.1
    p = {"learning_rate": lr, "epsilon": 1e-10}
    more = {"learning_rate_decay": 0.02, "initial_accumulator": 0.1}
    adagrad = torch_walk("Adagrad", lr=lr)
    changed = torch_walk("Adagrad", lr=lr, lr_decay=0.02, initial_accumulator_value=0.1)
    yield Case("AdaGrad", "epsilon_outside", p, "torch Adagrad", adagrad)
    label = "torch Adagrad(lr_decay=0.02, initial_accumulator_value=0.1)"
    yield Case("AdaGrad", "epsilon_outside", {**p, **more}, label, changed)
    p = {"learning_rate": lr, "epsilon": 1e-7, "initial_accumulator": 0.1}
    yield Case("AdaGrad", "epsilon_inside", p, "optax.adagrad", optax_walk(lambda o: o.adagrad(lr)))
    p = {"learning_rate": 1.0, "rho": 0.9, "epsilon": 1e-6}
    yield Case("AdaDelta", "standard", p, "torch Adadelta", torch_walk("Adadelta"))
    adadelta = optax_walk(lambda o: o.adadelta(1.0))
    yield Case("AdaDelta", "standard", p, "optax.adadelta(1.0)", adadelta)
    small = 0.01
    p = {"learning_rate": small, "rho": 0.99, "epsilon": 1e-8}
    yield Case("RMSProp", "epsilon_outside", p, "torch RMSprop", torch_walk("RMSprop", lr=small))
    outside = optax_walk(lambda o: o.rmsprop(small, decay=0.99, eps_in_sqrt=False))
    yield Case("RMSProp", "epsilon_outside", p, "optax.rmsprop(eps_in_sqrt=False)", outside)
    inside = optax_walk(lambda o: o.rmsprop(small, decay=0.99))
    yield Case("RMSProp", "epsilon_inside", p, "optax.rmsprop", inside)
    centered = torch_walk("RMSprop", lr=small, centered=True)
    yield Case("RMSProp", "centered", p, "torch RMSprop(centered=True)", centered)


def adam_cases() -> Iterator[Case]:
    """Adam, AdamW and AdaMax."""
    lr, b1, b2, eps = 0.05, 0.9, 0.999, 1e-8
    p = {"learning_rate": lr, "beta1": b1, "beta2": b2, "epsilon": eps}
    yield Case("Adam", "epsilon_outside", p, "torch Adam", torch_walk("Adam", lr=lr))
    yield Case("Adam", "epsilon_outside", p, "optax.adam", optax_walk(lambda o: o.adam(lr)))
    decayed = torch_walk("Adam", lr=lr, weight_decay=0.3)
    label = "torch Adam(weight_decay=0.3)"
    yield Case("Adam", "epsilon_outside", {**p, "weight_decay": 0.3}, label, decayed)
    large = {**p, "epsilon": 1e-3}
    inside = optax_walk(lambda o: o.adam(lr, eps=0.0, eps_root=1e-3))
    yield Case("Adam", "epsilon_inside", large, "optax.adam(eps=0, eps_root=0.001)", inside)

    def scale_epsilon(group: Any, step: int) -> None:
        group["eps"] = 1e-3 / np.sqrt(1.0 - b2**step)

    hat = torch_walk("Adam", scale_epsilon, lr=lr, eps=1e-3)
    yield Case("Adam", "epsilon_hat", large, "torch Adam, eps / sqrt(c2) at every step", hat)

    wd = 0.1
    p = {**p, "weight_decay": wd}
    before = torch_walk("AdamW", lr=lr, weight_decay=wd)
    yield Case("AdamW", "decay_before", p, "torch AdamW", before)
    before = optax_walk(lambda o: o.adamw(lr, weight_decay=wd))
    yield Case("AdamW", "decay_before", p, "optax.adamw", before)

    def decay(theta: Any, old: Any, state: Any, step: int) -> None:
        theta *= 1.0 - lr * wd

    after = torch_walk("Adam", after=decay, lr=lr)
    yield Case("AdamW", "decay_after", p, "torch Adam, then theta *= 1 - lr wd", after)

    large = {"learning_rate": lr, "beta1": b1, "beta2": b2, "epsilon": 1e-3}
    adamax = torch_walk("Adamax", lr=lr, eps=1e-3)
    yield Case("AdaMax", "epsilon_in_max", large, "torch Adamax", adamax)
    adamax = optax_walk(lambda o: o.adamax(lr, eps=1e-3))
    yield Case("AdaMax", "epsilon_in_max", large, "optax.adamax", adamax)

    def add_epsilon(theta: Any, old: Any, state: Any, step: int) -> None:
        mean = state["exp_avg"] / (1.0 - b1**step)
        theta.copy_(old - lr * mean / (state["exp_inf"] + 1e-3))

    outside = torch_walk("Adamax", after=add_epsilon, lr=lr, eps=0.0)
    yield Case("AdaMax", "epsilon_outside", large, "torch Adamax(eps=0)'s m and u", outside)


def nadam_cases() -> Iterator[Case]:
    """Nadam and AMSGrad."""
    lr, b1, b2, eps = 0.05, 0.9, 0.999, 1e-8
    p = {"learning_rate": lr, "beta1": b1, "beta2": b2, "epsilon": eps}
    for psi in (0.004, 1.0):
        dozat = torch_walk("NAdam", lr=lr, momentum_decay=psi)
        label = f"torch NAdam(momentum_decay={psi:g})"
        yield Case("Nadam", "dozat", {**p, "momentum_decay": psi}, label, dozat)
    yield Case("Nadam", "constant", p, "optax.nadam", optax_walk(lambda o: o.nadam(lr)))
    limit = torch_walk("NAdam", lr=lr, momentum_decay=1e6)
    yield Case("Nadam", "constant", p, "torch NAdam(momentum_decay=1e6)", limit)

    def weigh(group: Any, on_mean: float, on_gradient: float) -> None:
        group["lr"] = lr * (on_mean + on_gradient)
        group["nus"] = (on_mean / (on_mean + on_gradient), 1.0)

    def ruder(group: Any, step: int) -> None:
        weigh(group, b1, (1.0 - b1) / (1.0 - b1**step))

    def text(group: Any, step: int) -> None:
        # b1 m_{t-1} = c1 mhat_t - (1 - b1) g_t
        now = 1.0 / (1.0 - b1**step)
        previous = 1.0 / (1.0 - b1 ** (step - 1)) if step > 1 else 0.0
        weigh(group, previous / now, (1.0 - b1) * (now - previous))

    for variant, change in (("ruder", ruder), ("text", text)):
        walk = torch_walk("QHAdam", change, module="qhoptim.pyt", lr=lr)
        yield Case("Nadam", variant, p, "qhoptim QHAdam, lr and nu set at every step", walk)

    amsgrad = torch_walk("Adam", lr=lr, amsgrad=True)
    yield Case("AMSGrad", "torch", p, "torch Adam(amsgrad=True)", amsgrad)
    for variant, flags in (
        ("paper", {"bias_correction_mu": False, "bias_correction_nu": False}),
        ("notes", {"bias_correction_nu": False}),
        ("optax", {}),
    ):
        walk = optax_walk(lambda o, flags=flags: o.amsgrad(lr, **flags))  # type: ignore[misc]
        shown = ", ".join(f"{key}={value}" for key, value in flags.items())
        label = f"optax.amsgrad({shown})" if flags else "optax.amsgrad"
        yield Case("AMSGrad", variant, p, label, walk)


def main() -> None:
    """Run every case on every problem and store the paths."""
    warnings.simplefilter("ignore")
    makers = (momentum_cases, adaptive_cases, adam_cases, nadam_cases)
    cases = [case for maker in makers for case in maker()]
    versions = {name: importlib.metadata.version(name) for name in ("torch", "optax", "qhoptim")}
    table = []
    paths = np.empty((len(cases), len(PROBLEMS), STEPS, len(START)))
    for i, case in enumerate(cases):
        library = case.reference.split()[0].split(".")[0]
        version = f"{library} {versions[library]}"
        table.append([case.rule, case.variant, case.parameters, case.reference, version])
        for j, gradient in enumerate(PROBLEMS.values()):
            paths[i, j] = list(case.walk(gradient))
    PATH.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(PATH, cases=json.dumps(table), problems=list(PROBLEMS), paths=paths)
    print(f"{len(cases)} cases, {PATH.stat().st_size} bytes: {PATH}")


if __name__ == "__main__":
    main()
