"""Naive NumPy twins of the update rules: one trajectory, written from the equations.

Each twin is written from `shared/spec/optimizers.md` in its most literal form, with powers
by ``**`` and no thought of speed, and shares nothing with the kernels.  ``h`` holds the
hyper-parameters by name, ``s`` the state by name; vectors start at zero.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np


class Twin(NamedTuple):
    """A twin: the update, the names of its state's vectors and scalars, the query point."""

    update: Callable[..., Any]
    vectors: tuple[str, ...] = ()
    scalars: tuple[str, ...] = ()
    query: Callable[..., Any] | None = None


TWINS: dict[tuple[str, str], Twin] = {}


def twin(
    rule: str, variant: str, vectors: str = "", scalars: str = "", query: Any = None
) -> Callable[[Any], Any]:
    def register(update: Any) -> Any:
        TWINS[rule, variant] = Twin(update, tuple(vectors.split()), tuple(scalars.split()), query)
        return update

    return register


def walk(rule: str, variant: str, theta: Any, hyper: Any, gradient: Any, steps: int) -> Any:
    """Yield (theta, state) after every step; ``hyper(t)`` gives the hyper-parameters."""
    entry = TWINS[rule, variant]
    x = np.array(theta, dtype=float)
    s: dict[str, Any] = {name: np.zeros_like(x) for name in entry.vectors}
    for t in range(1, steps + 1):
        h = hyper(t)
        point = entry.query(x, s, h) if entry.query else x
        x = entry.update(x, gradient(point, t), s, h, t)
        yield x, s


@twin("GradientDescent", "standard")
def gradient_descent(x, g, s, h, t):
    return x - h["learning_rate"] * g


@twin("Momentum", "lr_inside", "v")
def momentum_inside(x, g, s, h, t):
    s["v"] = h["beta"] * s["v"] + h["learning_rate"] * g
    return x - s["v"]


@twin("Momentum", "lr_outside", "b")
def momentum_outside(x, g, s, h, t):
    s["b"] = g if t == 1 else h["beta"] * s["b"] + (1 - h["dampening"]) * g
    return x - h["learning_rate"] * s["b"]


@twin("Momentum", "ema", "v")
def momentum_ema(x, g, s, h, t):
    s["v"] = h["beta"] * s["v"] + (1 - h["beta"]) * g
    return x - h["learning_rate"] * s["v"]


@twin("Nesterov", "lookahead", "v", query=lambda x, s, h: x - h["beta"] * s["v"])
def nesterov_lookahead(x, g, s, h, t):
    s["v"] = h["beta"] * s["v"] + h["learning_rate"] * g
    return x - s["v"]


@twin("Nesterov", "torch", "b")
def nesterov_torch(x, g, s, h, t):
    s["b"] = h["beta"] * s["b"] + g
    return x - h["learning_rate"] * (g + h["beta"] * s["b"])


def adagrad_sum(g, s, h, t):
    if t == 1:
        s["G"] = np.full_like(g, h["initial_accumulator"])
    s["G"] = s["G"] + g**2
    return h["learning_rate"] / (1 + (t - 1) * h["learning_rate_decay"])


@twin("AdaGrad", "epsilon_outside", "G")
def adagrad_outside(x, g, s, h, t):
    rate = adagrad_sum(g, s, h, t)
    return x - rate * g / (np.sqrt(s["G"]) + h["epsilon"])


@twin("AdaGrad", "epsilon_inside", "G")
def adagrad_inside(x, g, s, h, t):
    rate = adagrad_sum(g, s, h, t)
    return x - rate * g / np.sqrt(s["G"] + h["epsilon"])


@twin("AdaDelta", "standard", "E D")
def adadelta(x, g, s, h, t):
    s["E"] = h["rho"] * s["E"] + (1 - h["rho"]) * g**2
    d = np.sqrt(s["D"] + h["epsilon"]) / np.sqrt(s["E"] + h["epsilon"]) * g
    s["D"] = h["rho"] * s["D"] + (1 - h["rho"]) * d**2
    return x - h["learning_rate"] * d


@twin("RMSProp", "epsilon_outside", "v")
def rmsprop_outside(x, g, s, h, t):
    s["v"] = h["rho"] * s["v"] + (1 - h["rho"]) * g**2
    return x - h["learning_rate"] * g / (np.sqrt(s["v"]) + h["epsilon"])


@twin("RMSProp", "epsilon_inside", "v")
def rmsprop_inside(x, g, s, h, t):
    s["v"] = h["rho"] * s["v"] + (1 - h["rho"]) * g**2
    return x - h["learning_rate"] * g / np.sqrt(s["v"] + h["epsilon"])


@twin("RMSProp", "centered", "v m")
def rmsprop_centered(x, g, s, h, t):
    s["v"] = h["rho"] * s["v"] + (1 - h["rho"]) * g**2
    s["m"] = h["rho"] * s["m"] + (1 - h["rho"]) * g
    variance = np.maximum(s["v"] - s["m"] ** 2, 0)
    return x - h["learning_rate"] * g / (np.sqrt(variance) + h["epsilon"])


def power(s, name, beta, t):
    """Return beta^t, or the product of the betas if they have changed."""
    betas = s.setdefault("all " + name, [])
    betas.append(beta)
    s[name] = beta**t if len(set(betas)) == 1 else np.prod(betas)
    return s[name]


def moments(g, s, h, t):
    """Update m and v; return mhat and vhat."""
    s["m"] = h["beta1"] * s["m"] + (1 - h["beta1"]) * g
    s["v"] = h["beta2"] * s["v"] + (1 - h["beta2"]) * g**2
    mhat = s["m"] / (1 - power(s, "beta1^t", h["beta1"], t))
    return mhat, s["v"] / (1 - power(s, "beta2^t", h["beta2"], t))


@twin("Adam", "epsilon_outside", "m v", "beta1^t beta2^t")
def adam_outside(x, g, s, h, t):
    mhat, vhat = moments(g + h["weight_decay"] * x, s, h, t)
    return x - h["learning_rate"] * mhat / (np.sqrt(vhat) + h["epsilon"])


@twin("Adam", "epsilon_inside", "m v", "beta1^t beta2^t")
def adam_inside(x, g, s, h, t):
    mhat, vhat = moments(g + h["weight_decay"] * x, s, h, t)
    return x - h["learning_rate"] * mhat / np.sqrt(vhat + h["epsilon"])


@twin("Adam", "epsilon_hat", "m v", "beta1^t beta2^t")
def adam_hat(x, g, s, h, t):
    moments(g + h["weight_decay"] * x, s, h, t)
    rate = h["learning_rate"] * np.sqrt(1 - s["beta2^t"]) / (1 - s["beta1^t"])
    return x - rate * s["m"] / (np.sqrt(s["v"]) + h["epsilon"])


@twin("AdamW", "decay_before", "m v", "beta1^t beta2^t")
def adamw_before(x, g, s, h, t):
    mhat, vhat = moments(g, s, h, t)
    x = (1 - h["learning_rate"] * h["weight_decay"]) * x
    return x - h["learning_rate"] * mhat / (np.sqrt(vhat) + h["epsilon"])


@twin("AdamW", "decay_after", "m v", "beta1^t beta2^t")
def adamw_after(x, g, s, h, t):
    mhat, vhat = moments(g, s, h, t)
    x = x - h["learning_rate"] * mhat / (np.sqrt(vhat) + h["epsilon"])
    return (1 - h["learning_rate"] * h["weight_decay"]) * x


@twin("AdaMax", "epsilon_in_max", "m u", "beta1^t")
def adamax_in_max(x, g, s, h, t):
    s["m"] = h["beta1"] * s["m"] + (1 - h["beta1"]) * g
    s["u"] = np.maximum(h["beta2"] * s["u"], np.abs(g) + h["epsilon"])
    rate = h["learning_rate"] / (1 - power(s, "beta1^t", h["beta1"], t))
    return x - rate * s["m"] / s["u"]


@twin("AdaMax", "epsilon_outside", "m u", "beta1^t")
def adamax_outside(x, g, s, h, t):
    s["m"] = h["beta1"] * s["m"] + (1 - h["beta1"]) * g
    s["u"] = np.maximum(h["beta2"] * s["u"], np.abs(g))
    rate = h["learning_rate"] / (1 - power(s, "beta1^t", h["beta1"], t))
    return x - rate * s["m"] / (s["u"] + h["epsilon"])


@twin("Nadam", "dozat", "m v", "P beta2^t")
def nadam_dozat(x, g, s, h, t):
    _, vhat = moments(g, s, h, t)
    mu, following = (h["beta1"] * (1 - 0.5 * 0.96 ** (i * h["momentum_decay"])) for i in (t, t + 1))
    s["P"] = s.get("P", 1.0) * mu
    n = following * s["m"] / (1 - s["P"] * following) + (1 - mu) * g / (1 - s["P"])
    return x - h["learning_rate"] * n / (np.sqrt(vhat) + h["epsilon"])


@twin("Nadam", "ruder", "m v", "beta1^t beta2^t")
def nadam_ruder(x, g, s, h, t):
    mhat, vhat = moments(g, s, h, t)
    n = h["beta1"] * mhat + (1 - h["beta1"]) * g / (1 - s["beta1^t"])
    return x - h["learning_rate"] * n / (np.sqrt(vhat) + h["epsilon"])


@twin("Nadam", "constant", "m v", "beta1^t beta2^t")
def nadam_constant(x, g, s, h, t):
    b = h["beta1"]
    _, vhat = moments(g, s, h, t)
    n = b * s["m"] / (1 - s["beta1^t"] * b) + (1 - b) * g / (1 - s["beta1^t"])
    return x - h["learning_rate"] * n / (np.sqrt(vhat) + h["epsilon"])


@twin("Nadam", "text", "m v", "beta1^t beta2^t")
def nadam_text(x, g, s, h, t):
    b = h["beta1"]
    before = s["m"] / (1 - s["beta1^t"]) if t > 1 else 0 * x
    _, vhat = moments(g, s, h, t)
    n = b * before + (1 - b) * g / (1 - s["beta1^t"])
    return x - h["learning_rate"] * n / (np.sqrt(vhat) + h["epsilon"])


@twin("AMSGrad", "torch", "m v w", "beta1^t beta2^t")
def amsgrad_torch(x, g, s, h, t):
    mhat, _ = moments(g, s, h, t)
    s["w"] = np.maximum(s["w"], s["v"])
    root = np.sqrt(s["w"]) / np.sqrt(1 - s["beta2^t"])
    return x - h["learning_rate"] * mhat / (root + h["epsilon"])


@twin("AMSGrad", "paper", "m v w")
def amsgrad_paper(x, g, s, h, t):
    moments(g, s, h, t)
    s["w"] = np.maximum(s["w"], s["v"])
    return x - h["learning_rate"] * s["m"] / (np.sqrt(s["w"]) + h["epsilon"])


@twin("AMSGrad", "notes", "m v w", "beta1^t")
def amsgrad_notes(x, g, s, h, t):
    mhat, _ = moments(g, s, h, t)
    s["w"] = np.maximum(s["w"], s["v"])
    return x - h["learning_rate"] * mhat / (np.sqrt(s["w"]) + h["epsilon"])


@twin("AMSGrad", "optax", "m v w", "beta1^t beta2^t")
def amsgrad_optax(x, g, s, h, t):
    mhat, vhat = moments(g, s, h, t)
    s["w"] = np.maximum(s["w"], vhat)
    return x - h["learning_rate"] * mhat / (np.sqrt(s["w"]) + h["epsilon"])
