"""The boundary of neural network trainability is fractal: Sohl-Dickstein's pictures (2024).

One network, its weights and its data are fixed; each cell of an image trains it with its own two
learning rates, one for each layer, and is coloured by how fast the training converges or diverges.
The edge between the two is zoomed into, and its box-counting dimension estimated in every frame.

    python scripts/trainability.py one_point --size 1024 --zoom 5 --out results/trainability
    python scripts/trainability.py full_batch --size 256 --zoom 0 --out results/trainability

writes CONDITION.npz and CONDITION.png, and prints dimensions, times and speeds.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.patheffects import Normal, Stroke
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

import fastdescent as fd
from fastdescent.parts import FloatArray, IntArray

#: The study that says which networks, on which data, for how many steps.
STUDY = Path(__file__).parent / "studies" / "trainability.toml"
WINDOW = (-3.0, 6.0, -3.0, 6.0)
CAP = 1e6
LAST = 20
EVERY = 10


@cache
def study() -> fd.Study:
    """Return the study; its landscapes are the conditions."""
    return fd.Study.from_toml(STUDY)


def conditions() -> list[str]:
    """Return the names of the networks that can be trained."""
    return list(study().landscapes)


class Window(NamedTuple):
    """Decimal logarithms of the learning rates at the ends of an image."""

    left: float
    right: float
    bottom: float
    top: float


@dataclass(frozen=True)
class Frame:
    """One image; arrays are (rows, columns) = (rates of the output layer, of the input layer)."""

    window: Window
    converged: NDArray[np.bool_]
    #: Mean over the steps of the loss relative to the first one, or of its inverse.
    measure: FloatArray
    steps: int
    updates: int
    seconds: float

    @property
    def dimension(self) -> tuple[float, float]:
        """Box-counting dimension of the edge and its error; nan where there is too little."""
        edge = fd.statistics.edge(self.converged)
        if min(edge.shape) < 64 or not edge.any():
            return np.nan, np.nan
        found = fd.statistics.box_counting_dimension(edge)
        return found.dimension, found.standard_error


def network(
    condition: str, seed: int | None = None, data_seed: int | None = None
) -> tuple[fd.models.MLP, FloatArray]:
    """Return the network of a condition on its data, and its first parameters, (1, 272)."""
    seed = study().seed if seed is None else seed
    net = study().landscapes[condition]
    if data_seed is not None:
        net = net.at(data=net.data.at(seed=data_seed))
    net = net.for_study(seed)
    return net, study().starts.points(net, seed)


def problem(
    condition: str, seed: int | None = None, data_seed: int | None = None
) -> tuple[Any, FloatArray]:
    """Return model and start of a condition; on one point the network's small equivalent."""
    net, start = network(condition, seed, data_seed)
    if len(net.samples.x) == 1:
        return fd.models.OnePointMLP.of(net), fd.models.OnePointMLP.reduced(net, start)
    return net, start


def in_words(condition: str) -> str:
    """Return what a picture's title says of a condition."""
    net, _ = network(condition)
    kind = {"relu": "ReLU", "identity": "linear"}.get(net.activation, net.activation)
    return f"{kind}, " + (
        "one data point"
        if len(net.samples.x) == 1
        else f"full batch of {len(net.samples.x)} points"
    )


def rates(low: float, high: float, size: int) -> FloatArray:
    """Return the learning rates of the cells between two decimal logarithms."""
    middle = (np.arange(size) + 0.5) / size
    return np.array([10.0**x for x in low + (high - low) * middle])


def recorded(steps: int, every: int) -> IntArray:
    """Return the steps whose losses are kept: the first and the last 20, and every so many."""
    first, last = range(min(LAST, steps)), range(max(steps + 1 - LAST, 0), steps + 1)
    return np.array(sorted({*first, *range(0, steps + 1, every), *last}))


def judged(losses: FloatArray, at: IntArray) -> tuple[NDArray[np.bool_], FloatArray]:
    """Return which trainings converged, and how fast, from losses (trainings, kept steps).

    As in the paper: losses relative to the first one, 1e6 where they are larger or not finite;
    converged if the mean of the last 20 is below 1.  The measure is the mean of the relative
    losses for those that converged, and of their inverses for the others: small is fast.  A kept
    loss stands for those up to the next one that is kept.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        relative = losses / losses[:, :1]
    relative[~(relative < CAP)] = CAP
    converged = relative[:, -LAST:].mean(axis=1) < 1.0
    share = np.diff(at, append=at[-1] + 1) / (at[-1] + 1.0)
    measure = np.empty(len(losses))
    measure[converged] = (relative[converged] * share).sum(axis=1)
    with np.errstate(divide="ignore"):  # a loss may be 0 on its way
        measure[~converged] = (share / relative[~converged]).sum(axis=1)
    return converged, measure


def compute(
    condition: str,
    size: int,
    window: Window,
    steps: int | None = None,
    seed: int | None = None,
    data_seed: int | None = None,
    threads: int | None = None,
    every: int = EVERY,
    band: int = 2**15,
) -> Frame:
    """Train all cells of an image, some rows at a time so that their losses fit into memory."""
    steps = study().steps if steps is None else steps
    at = recorded(steps, every)
    model, start = problem(condition, seed, data_seed)
    (rule,) = study().optimizers.values()
    across = rates(window.left, window.right, size)
    up = rates(window.bottom, window.top, size)
    converged, measure = np.empty((size, size), dtype=bool), np.empty((size, size))
    updates, began = 0, time.perf_counter()
    height = max(1, band // size)
    for row in range(0, size, height):
        rows = slice(row, min(row + height, size))
        ds = fd.simulate(
            model,
            rule,
            starts=start,
            steps=steps,
            transforms=[fd.transforms.BlockRates.of(model, [across, up[rows]])],
            record=fd.record.steps(at, position=False),
            threads=threads,
        )
        losses = ds["path_loss"].to_numpy().reshape(-1, len(at))
        cells = judged(losses, at)
        for image, values in zip((converged, measure), cells, strict=True):
            image[rows] = values.reshape(size, -1).T
        updates += ds.attrs["trajectory_steps"]
    return Frame(window, converged, measure, steps, updates, time.perf_counter() - began)


def part_with_most_structure(frame: Frame, factor: int) -> Window:
    """Return the part of a frame, one `factor`-th as wide, that holds most of its edge.

    Parts in which both outcomes are common are preferred.
    """
    edge = fd.statistics.edge(frame.converged)
    size = len(frame.converged)
    side = size // factor
    best, place = -1.0, (0, 0)
    for row in range(0, size - side, max(1, side // 4)):
        for column in range(0, size - side, max(1, side // 4)):
            cells = slice(row, row + side), slice(column, column + side)
            share = float(frame.converged[cells].mean())
            score = float(np.count_nonzero(edge[cells])) * share * (1.0 - share)
            if score > best:
                best, place = score, (row, column)
    left, right, bottom, top = frame.window
    wide, high = right - left, top - bottom
    x, y = left + place[1] * wide / size, bottom + place[0] * high / size
    return Window(x, x + wide / factor, y, y + high / factor)


# ------------------------------------------------------------------------------------ drawing


def colours(frame: Frame) -> FloatArray:
    """Return the image, (rows, columns, 3): blue converged, orange diverged, light = at once.

    The shade is the rank of the measure among the cells of its kind.
    """
    image = np.empty((*frame.converged.shape, 3))
    for kind, name in ((frame.converged, "converged"), (~frame.converged, "diverged")):
        values = frame.measure[kind]
        ordered = np.sort(values)
        rank = np.searchsorted(ordered, values, "left") + np.searchsorted(ordered, values, "right")
        image[kind] = shades(name)(rank / max(2 * len(values), 1))[:, :3]
    return image


def shades(kind: str) -> Any:
    """Return the colour map of a kind of outcome, from fast to slow."""
    stops = {
        "converged": ["#052a5c", "#0f5aa0", "#3f97cf", "#9bcfea", "#eff8fd"],
        "diverged": ["#fff6dc", "#fdd389", "#f39a2d", "#b8520a", "#4a1a02"],
    }[kind]
    return mpl.colors.LinearSegmentedColormap.from_list(kind, stops)


def draw(frames: list[Frame], condition: str, image: Path) -> None:
    """Draw the overview with its colour bars, and the zooms below it, each marked in the last."""
    import matplotlib.pyplot as plt  # noqa: PLC0415 - slow to import

    zooms = frames[1:]
    width, below = 6.4, 1.72 if zooms else 0.0
    height = 5.05 + below
    with mpl.rc_context({"font.size": 9, "axes.linewidth": 0.6}):
        figure = plt.figure(figsize=(width, height))

        def axes(left: float, bottom: float, wide: float, high: float) -> Any:
            return figure.add_axes((left / width, bottom / height, wide / width, high / height))

        ax = axes(0.68, below + 0.47, 4.3, 4.3)
        show(ax, frames[0])
        ticks(ax, frames[0].window)
        ax.set_xlabel("learning rate of the input layer")
        ax.set_ylabel("learning rate of the output layer")
        ax.yaxis.set_label_coords(-0.115, 0.5)
        size, steps = len(frames[0].converged), frames[0].steps
        ax.set_title(
            f"{in_words(condition)}: {size} x {size} trainings of {steps} steps", fontsize=9
        )
        for name, bottom in (("diverged", 2.82), ("converged", 0.47)):
            bar(axes(5.22, below + bottom, 0.14, 1.7), name)
        gap = 0.2
        side = min(1.05, (width - 0.4 - gap * (len(zooms) - 1)) / max(len(zooms), 1))
        for k, frame in enumerate(zooms):
            mark(ax, frame.window, "abcdefgh"[k])
            ax = axes(0.3 + k * (side + gap), 0.28, side, side)
            show(ax, frame)
            ends(ax, frame.window)
            ax.set_title("abcdefgh"[k], fontsize=9, loc="left", pad=3, fontweight="bold")
            times = wide_of(frames[0]) / wide_of(frame)
            ax.set_title(f"{times:,.0f} x", fontsize=8, loc="right", pad=3)
        save(figure, image)
        plt.close(figure)
    print(image)


def save(figure: Any, image: Path) -> None:
    """Write a figure for print, in 256 colours, which two colour maps do not exceed by much."""
    from PIL import Image  # noqa: PLC0415 - comes with matplotlib

    figure.set_dpi(300)
    figure.canvas.draw()
    pixels = Image.fromarray(np.asarray(figure.canvas.buffer_rgba())[..., :3])
    image.parent.mkdir(parents=True, exist_ok=True)
    pixels.quantize(256, dither=Image.Dither.NONE).save(image, dpi=(300, 300), optimize=True)


def wide_of(frame: Frame) -> float:
    """Return the width of a frame in decades."""
    return frame.window.right - frame.window.left


def show(ax: Any, frame: Frame) -> None:
    """Show a frame on axes in decimal logarithms, without ticks."""
    ax.imshow(
        colours(frame),
        extent=frame.window,
        origin="lower",
        interpolation="antialiased",
        aspect="auto",
    )
    ax.set_xticks([])
    ax.set_yticks([])


def ticks(ax: Any, window: Window) -> None:
    """Label the axes of a large frame: at powers of ten, or at round rates if it has too few."""
    for axis, low, high in (
        (ax.xaxis, window.left, window.right),
        (ax.yaxis, window.bottom, window.top),
    ):
        whole = np.arange(np.ceil(low), np.floor(high) + 1.0)
        if len(whole) > 2:
            axis.set_ticks(whole, [f"$10^{{{power:.0f}}}$" for power in whole])
            continue
        rates = MaxNLocator(5).tick_values(10.0**low, 10.0**high)
        inside = [rate for rate in rates if 10.0**low <= rate <= 10.0**high]
        axis.set_ticks(np.log10(inside), [f"{rate:.10g}" for rate in inside])


def ends(ax: Any, window: Window) -> None:
    """Write the learning rates at the ends of a zoom's axes, with as many digits as they need."""
    digits = max(3, int(np.ceil(-np.log10(np.log(10.0) * (window.right - window.left)))) + 2)
    size: dict[str, Any] = {"fontsize": 6.5, "transform": ax.transAxes}

    def rate(x: float) -> str:
        return f"{10.0**x:.{digits}g}"

    ax.text(0.0, -0.03, rate(window.left), ha="left", va="top", **size)
    ax.text(1.0, -0.03, rate(window.right), ha="right", va="top", **size)
    size["rotation"] = 90
    ax.text(-0.03, 0.0, rate(window.bottom), ha="right", va="bottom", **size)
    ax.text(-0.03, 1.0, rate(window.top), ha="right", va="top", **size)


def mark(ax: Any, window: Window, letter: str) -> None:
    """Mark where the next zoom is."""
    left, right, bottom, top = window
    x, y = [left, right, right, left, left], [bottom, bottom, top, top, bottom]
    ax.plot(x, y, color="w", lw=1.8, solid_joinstyle="miter")
    ax.plot(x, y, color="k", lw=0.8, solid_joinstyle="miter")
    ax.annotate(
        letter,
        (right, top),
        (2, -1),
        textcoords="offset points",
        va="top",
        fontsize=9,
        fontweight="bold",
        path_effects=[Stroke(linewidth=2.0, foreground="w"), Normal()],
        annotation_clip=True,
    )


def bar(ax: Any, name: str) -> None:
    """Draw the colour bar of a kind of outcome, in words."""
    upwards = np.linspace(0.0, 1.0, 256) if name == "converged" else np.linspace(1.0, 0.0, 256)
    strip = shades(name)(upwards)[:, None, :3]
    ax.imshow(strip, aspect="auto", origin="lower", extent=(0.0, 1.0, 0.0, 1.0))
    ax.set_xticks([])
    ax.yaxis.tick_right()
    ax.set_yticks([0.0, 1.0], ["fast", "slow"] if name == "converged" else ["slow", "fast"])
    ax.set_title(name, fontsize=9, loc="left")


# ----------------------------------------------------------------------------- the command line


def write(frames: list[Frame], path: Path) -> None:
    """Write frames to a compressed file of NumPy."""
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(
        path,
        window=np.array([frame.window for frame in frames]),
        converged=np.array([frame.converged for frame in frames]),
        # Four digits are more than a colour has.
        measure=np.array([frame.measure for frame in frames], dtype=np.float32),
        steps=frames[0].steps,
        updates=np.array([frame.updates for frame in frames]),
        seconds=np.array([frame.seconds for frame in frames]),
    )


def read(path: Path) -> list[Frame]:
    """Read frames back."""
    with np.load(path) as file:
        kept = {name: file[name] for name in file.files}
    columns = (kept[name] for name in ("window", "converged", "measure", "updates", "seconds"))
    return [
        Frame(Window(*window.tolist()), converged, measure, int(kept["steps"]), int(n), float(t))
        for window, converged, measure, n, t in zip(*columns, strict=True)
    ]


def report(frame: Frame) -> str:
    """Return a line about a frame."""
    left, right, bottom, top = frame.window
    digits = max(2, int(np.ceil(-np.log10(right - left))) + 3)
    dimension, error = frame.dimension
    budget = frame.converged.size * frame.steps
    return (
        f"[{left:.{digits}f}, {right:.{digits}f}] x [{bottom:.{digits}f}, {top:.{digits}f}]: "
        f"{frame.converged.mean():.1%} converged, dimension {dimension:.3f} +- {error:.3f}; "
        f"{frame.seconds:.1f} s, {budget / frame.seconds / 1e6:.3g} M trajectory-steps/s "
        f"({frame.updates / budget:.0%} of the updates made, before divergence)"
    )


def summarise(frames: list[Frame]) -> str:
    """Return lines about all frames together."""
    found = np.array([frame.dimension for frame in frames[1:]])
    seconds = sum(frame.seconds for frame in frames)
    steps = sum(frame.converged.size * frame.steps for frame in frames)
    lines = [
        f"{len(frames)} frames, {steps:.3g} trajectory-steps in {seconds:.1f} s: "
        f"{steps / seconds / 1e6:.3g} M trajectory-steps/s"
    ]
    if len(found) and np.isfinite(found[:, 0]).all():
        lines.append(
            f"dimension: median over {len(found)} zooms {np.median(found[:, 0]):.2f}, from "
            f"{found[:, 0].min():.2f} to {found[:, 0].max():.2f}; error of one frame "
            f"{np.median(found[:, 1]):.2f}"
        )
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> None:
    """Compute, save and draw, or draw what was saved."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("condition", choices=conditions())
    parser.add_argument("--size", type=int, default=1024, help="cells along each side")
    parser.add_argument("--steps", type=int, help="updates per training; those of the study")
    parser.add_argument(
        "--window",
        type=float,
        nargs=4,
        default=WINDOW,
        metavar=("LEFT", "RIGHT", "BOTTOM", "TOP"),
        help="decimal logarithms of the rates of the input and of the output layer",
    )
    parser.add_argument("--zoom", type=int, default=0, help="number of nested zooms, up to 8")
    parser.add_argument("--factor", type=int, default=5, help="how much each zoom enlarges")
    parser.add_argument(
        "--every",
        type=int,
        default=EVERY,
        help="colours from the loss of every so many steps; outcomes always see the last 20",
    )
    parser.add_argument(
        "--seed", type=int, help="of the weights, and of the data where they have none of their own"
    )
    parser.add_argument("--data-seed", type=int, help="of the data")
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("--out", type=Path, default=Path("results/trainability"))
    parser.add_argument("--image", type=Path, help="where the picture goes, if not to --out")
    parser.add_argument("--draw", action="store_true", help="draw saved data again")
    parser.add_argument("--frame", type=int, help="draw one frame alone; 0 is the first")
    given = parser.parse_args(arguments)
    window = Window(*given.window)
    if not (window.left < window.right and window.bottom < window.top):
        parser.error("a window has its left below its right end, and its bottom below its top")
    data = given.out / f"{given.condition}.npz"
    mpl.use("Agg")
    if given.draw:
        frames = read(data)
    else:
        frames = []
        for _ in range(given.zoom + 1):
            if frames:
                window = part_with_most_structure(frames[-1], given.factor)
            frames.append(
                compute(
                    given.condition,
                    given.size,
                    window,
                    steps=given.steps,
                    seed=given.seed,
                    data_seed=given.data_seed,
                    threads=given.threads,
                    every=given.every,
                )
            )
            print(report(frames[-1]), flush=True)
            write(frames, data)
        print(summarise(frames))
    if given.frame is not None:
        frames = frames[given.frame : given.frame + 1]
    draw(frames, given.condition, given.image or given.out / f"{given.condition}.png")


if __name__ == "__main__":
    main()
