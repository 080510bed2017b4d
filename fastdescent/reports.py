"""What the command line tells about a landscape and about the basins of a study's rules.

Each report prints what it finds, and writes data and figures to a folder.

Examples
--------
>>> from fastdescent.landscapes import Himmelblau
>>> critical_lines(geometry.find_critical_points(Himmelblau()))[0]
'9 critical points, certified'
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from fastdescent import geometry, storage
from fastdescent.errors import InvalidValueError
from fastdescent.geometry.basins import OUTCOME
from fastdescent.landscapes import Landscape
from fastdescent.starts import Grid, Starts, Uniform
from fastdescent.statistics import aligned
from fastdescent.symbolic import landscape as formula_landscape

if TYPE_CHECKING:
    from fastdescent.studies import Pair, Study

__all__ = ["basin_report", "critical_lines", "landscape_named", "landscape_report"]

# More of them are in the file only.
_MOST_ROWS = 40
_REGION_POINTS = 20_000
_MOST_MAPS = 12


def landscape_named(name: str, settings: Sequence[str] = ()) -> Landscape:
    """Return a landscape by its name, or from a formula.

    Parameters
    ----------
    name : str
        Such as ``Rosenbrock``, or ``"x**2 + 15*y**2"``.
    settings : sequence of str
        Its fields as TOML, such as ``dim=5``.

    Raises
    ------
    FastdescentError
        If there is no such landscape, or a value is not allowed.

    Examples
    --------
    >>> landscape_named("Rosenbrock", ["dim=5"])
    Rosenbrock(dim=5)
    >>> landscape_named("x**2 + 15*y**2").dim
    2
    """
    values: dict[str, Any] = {}
    for setting in settings:
        key, _, text = setting.partition("=")
        try:
            values[key.strip()] = tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            raise InvalidValueError("--set", setting, "KEY=VALUE as in a study, as dim=5") from None
    if re.fullmatch(r"[A-Za-z_]\w*", name):
        return Landscape.from_table({"name": name, **values})
    return formula_landscape(name, **values)


def landscape_report(
    landscape: Landscape, folder: Path, *, box: Any = None, starts: int = 1024, seed: int = 0
) -> Iterator[str]:
    """Look at a landscape: critical points, barriers, convexity, terrain; data and figures.

    Parameters
    ----------
    landscape : Landscape
        The loss.
    folder : path
        Where files go; made if it does not exist.
    box : array_like, optional
        Where to look; the landscape's domain by default.
    starts : int
        Starts of the search for critical points.
    seed : int
        Seed of everything random.

    Yields
    ------
    str
        Lines of text.
    """
    bounds = geometry.checked_box(landscape, box)
    scale = geometry.scales(landscape, bounds, seed=seed)  # the loss must be defined somewhere
    yield f"{landscape!r} on {_box(bounds)}"
    points = geometry.find_critical_points(landscape, bounds, starts=starts, seed=seed)
    folder.mkdir(parents=True, exist_ok=True)
    storage.save(points, folder / "critical_points.nc")
    yield ""
    yield from critical_lines(points)
    graph = _graph(landscape, points)
    if graph is not None:
        yield ""
        yield from _barrier_lines(points, graph)
    yield ""
    yield _convexity_line(geometry.convexity(landscape, bounds, seed=seed))
    lower, upper = bounds.T.tolist()
    random = Uniform(lower, upper, count=_REGION_POINTS).points(landscape, seed)
    found = geometry.classify_regions(landscape, random, scale=scale, outside="keep")
    yield ""
    yield from _region_lines(geometry.region_fractions(found))
    yield ""
    for path in _landscape_figures(landscape, bounds, points, graph, folder):
        yield str(path)


def critical_lines(points: xr.Dataset) -> list[str]:
    """Return what `find_critical_points` found as lines of text."""
    count = points.sizes["point"]
    lines = [f"{count} critical point{'s' * (count != 1)}, {points.attrs['complete']}"]
    if count:
        head = ["kind", "index", "scope", "value", "found", "position", "eigenvalues"]
        rows = [_critical_row(points.isel(point=i)) for i in range(min(count, _MOST_ROWS))]
        lines += aligned([head, *rows], left=(0, 2, 5, 6))
    if count > _MOST_ROWS:
        lines.append(f"... and {count - _MOST_ROWS} more in the file")
    proof, _, search = str(points.attrs["completeness"]).partition("; ")
    # Where nothing else exists it does not matter how often each was found.
    return [*lines, proof if points.attrs["complete"] == "certified" else f"{proof}; {search}"]


def _critical_row(point: xr.Dataset) -> list[str]:
    kind, extremum = point["kind"].item(), point["extremum"].item()
    name = "corner" if point["corner"].item() else kind
    if kind == "degenerate":
        degree = point["degree"].item()
        known = extremum or (f"degree {degree:.0f}" if np.isfinite(degree) else "")
        name += f" ({known})" if known else ""
    return [
        name,
        str(point["index"].item()) if point["index"].item() >= 0 else "",
        point["scope"].item() if extremum else "",  # of extrema
        f"{point['value'].item():.10g}",
        str(point["found"].item()),
        _vector(point["position"].to_numpy(), 8),
        "" if point["corner"].item() else _vector(point["eigenvalues"].to_numpy(), 6),
    ]


def _vector(values: np.ndarray[Any, Any], digits: int, most: int = 5) -> str:
    shown = [f"{value + 0.0:.{digits}g}" for value in values[:most].tolist()]  # no -0
    return ", ".join([*shown, "..."] if len(values) > most else shown)


def _box(bounds: np.ndarray[Any, Any]) -> str:
    sides = [f"[{low:g}, {high:g}]" for low, high in bounds.tolist()]
    return f"{sides[0]}^{len(sides)}" if len(set(sides)) == 1 else " x ".join(sides)


def _graph(landscape: Landscape, points: xr.Dataset) -> xr.Dataset | None:
    """Return the disconnectivity graph where there is more than one minimum to join."""
    kind = points["kind"].to_numpy()
    if np.count_nonzero(kind == "minimum") < 2:
        return None
    try:
        return geometry.disconnectivity(landscape, points)
    except InvalidValueError:  # no saddle of index 1 in the box
        return None


def _barrier_lines(points: xr.Dataset, graph: xr.Dataset) -> list[str]:
    """Tell at which losses basins merge, from low to high."""
    size, point = graph["size"].to_numpy(), graph["point"].to_numpy()
    merges = np.flatnonzero(size > 1)
    rows = [
        [f"{graph['value'].item(i):.10g}", str(size[i]), _vector(
            points["position"].to_numpy()[point[i]], 8)]
        for i in merges[:_MOST_ROWS]
    ]  # fmt: skip
    head = ["merge at", "minima below", "saddle"]
    more = [f"... and {len(merges) - _MOST_ROWS} more"] if len(merges) > _MOST_ROWS else []
    return [*aligned([head, *rows], left=(2,)), *more]


def _convexity_line(found: xr.Dataset) -> str:
    said = {"proven": "convex: proven", "undecided": "convex: undecided"}.get(
        found["convex"].item()
    )
    lowest = f"{found['smallest_eigenvalue'].item():.6g}"
    if said is not None:
        return f"{said}; smallest eigenvalue found {lowest}"
    return f"not convex: an eigenvalue of {lowest} at {_vector(found['position'].to_numpy(), 8)}"


def _region_lines(found: xr.Dataset) -> list[str]:
    rows = [
        [
            name,
            f"{100.0 * found['fraction'].sel(region=name).item():.1f} %",
            f"{100.0 * found['lowest'].sel(region=name).item():.1f}",
            "to",
            f"{100.0 * found['highest'].sel(region=name).item():.1f} %",
        ]
        for name in geometry.REGIONS
    ]
    head = ["terrain", "volume", "with", "moved", "thresholds"]
    return aligned([head, *rows], left=(0,))


def _landscape_figures(
    landscape: Landscape,
    bounds: np.ndarray[Any, Any],
    points: xr.Dataset,
    graph: xr.Dataset | None,
    folder: Path,
) -> Iterator[Path]:
    from fastdescent import plot  # noqa: PLC0415 - slow to import

    if landscape.dim <= 2:
        yield _saved(plot.critical_points(points, landscape, box=bounds), folder, "critical_points")
    if landscape.dim == 2:
        surface = plot.critical_points_surface(points, landscape, box=bounds)
        yield _saved(surface, folder, "surface")
        yield _saved(plot.regions(landscape, box=bounds), folder, "regions")
    if graph is not None:
        storage.save(graph, folder / "disconnectivity.nc")
        yield _saved(plot.disconnectivity(graph), folder, "disconnectivity")


def basin_report(
    study: Study, folder: Path, *, cells: int = 400, fidelity: bool = False
) -> Iterator[str]:
    """Map the basins of every rule of a study on every landscape of it.

    On landscapes of one or two dimensions the starts are a grid over the domain, elsewhere they
    are the study's own.  Maps are drawn of the first twelve values of the swept parameters; in
    one dimension one map shows a single swept parameter.

    Parameters
    ----------
    study : Study
        Landscapes, rules, steps, noise, and starts beyond two dimensions.
    folder : path
        Where files go; made if it does not exist.
    cells : int
        Starts along each side of a map.
    fidelity : bool
        Whether to compare the basins with those of the gradient flow as well.

    Yields
    ------
    str
        Lines of text.

    Raises
    ------
    InvalidValueError
        If fidelity is asked for and the study has noise.
    """
    if fidelity and study.noise is not None:
        raise InvalidValueError("--fidelity", study.noise, "a study without noise")
    folder.mkdir(parents=True, exist_ok=True)
    for pair in study.pairs():
        starts = Grid(counts=cells) if pair.landscape.dim <= 2 else pair.starts
        ds = geometry.basins(
            pair.landscape,
            pair.optimizer,
            starts,
            steps=study.steps,
            seed=study.seed,
            noise=study.noise,
            transforms=study.transforms,
        )
        storage.save(ds, folder / f"{pair.name}__basins.nc")
        yield f"{pair.landscape_label}, {pair.optimizer_label}"
        yield from _fraction_lines(ds)
        for path in _basin_figures(ds, pair, folder):
            yield str(path)
        if fidelity:
            yield from _fidelity_lines(study, pair, starts, folder)
        yield ""


def _fidelity_lines(study: Study, pair: Pair, starts: Starts, folder: Path) -> Iterator[str]:
    """Compare the basins with those of the flow: tell, save, draw."""
    yield "agreement with the gradient flow"
    try:
        ds = geometry.fidelity(
            pair.landscape,
            pair.optimizer,
            starts,
            steps=study.steps,
            seed=study.seed,
            transforms=study.transforms,
        )
    except InvalidValueError as error:  # a flow that does not arrive is no fault of the study
        yield f"none: {error}"
        return
    storage.save(ds, folder / f"{pair.name}__fidelity.nc")
    swept = [str(name) for name in ds["agreement"].dims]
    rows = []
    for at in list(np.ndindex(*ds["agreement"].shape))[:_MOST_ROWS]:
        one = ds.isel(dict(zip(swept, at, strict=True)))
        low, rate, high = (100.0 * one[name].item() for name in ("lower", "agreement", "upper"))
        values = [f"{one[name].item():g}" for name in swept]
        rows.append([*values, f"{rate:.2f} %", f"{low:.2f}", "to", f"{high:.2f} %"])
    head = [*swept, "agree", "95 %", "", "interval"]
    yield from aligned([head, *rows], left=())
    left = ds.attrs["flow_undecided"]
    if left > 0.0:
        yield f"{100.0 * left:.2g} % of the starts are undecided; the intervals hold both outcomes"
    for path in _fidelity_figures(ds, pair, folder):
        yield str(path)


def _fidelity_figures(ds: xr.Dataset, pair: Pair, folder: Path) -> Iterator[Path]:
    from fastdescent import plot  # noqa: PLC0415 - slow to import

    swept = ds["agreement"].dims
    if 1 <= len(swept) <= 2:
        yield _saved(plot.fidelity(ds), folder, f"{pair.name}__agreement")
    for suffix, one in _maps(ds, [str(name) for name in swept], pair.landscape.dim):
        yield _saved(plot.fidelity(one, kind="map"), folder, f"{pair.name}{suffix}__fidelity")
        if np.isfinite(one["distance_upper"]).all():
            ax = plot.fidelity(one, kind="distance")
            yield _saved(ax, folder, f"{pair.name}{suffix}__distance")


def _maps(ds: xr.Dataset, swept: list[str], dim: int) -> Iterator[tuple[str, xr.Dataset]]:
    """Return what each map shows, and the end of its name; none where there are no maps."""
    if dim > 2 or (dim == 1 and len(swept) != 1):
        return
    # A map of one dimension has the swept parameter as its other axis.
    axes = [] if dim == 1 else swept
    for at in list(np.ndindex(*(ds.sizes[name] for name in axes)))[:_MOST_MAPS]:
        one = ds.isel(dict(zip(axes, at, strict=True)))
        yield "".join(f"__{name}_{one[name].item():g}" for name in axes), one


def _fraction_lines(ds: xr.Dataset) -> list[str]:
    found = geometry.basin_fractions(ds)
    swept = [str(name) for name in found["fraction"].dims if name != "basin"]
    lines = []
    for at in np.ndindex(*(found.sizes[name] for name in swept)):
        one = found.isel(dict(zip(swept, at, strict=True)))
        lines += [f"{name} = {one[name].item():g}" for name in swept]
        rows = [
            [
                _vector(ds["attractor_position"].to_numpy()[k], 6),
                ds["attractor_kind"].item(k),
                f"{ds['attractor_value'].item(k):.6g}",
                f"{100.0 * one['fraction'].item(k):.2f} %",
            ]
            for k in range(min(one.sizes["basin"], _MOST_ROWS))
        ]
        ended = ds.isel(dict(zip(swept, at, strict=True)))
        lost = ended["outcome"].where(ended["attractor"] < 0, -1)
        for name, code in OUTCOME.items():
            share = float((lost == code).mean())
            if share > 0.0:
                elsewhere = " elsewhere" * (name in ("converged", "resting"))
                rows.append([name + elsewhere, "", "", f"{100.0 * share:.2f} %"])
        lines += aligned([["attractor", "kind", "loss", "starts"], *rows], left=(0, 1))
    return lines


def _basin_figures(ds: xr.Dataset, pair: Pair, folder: Path) -> Iterator[Path]:
    from fastdescent import plot  # noqa: PLC0415 - slow to import

    if "seed" in ds["attractor"].dims:
        ds = ds.isel(seed=0)
    swept = [str(name) for name in ds["attractor"].dims if name != "start"]
    for suffix, one in _maps(ds, swept, pair.landscape.dim):
        for kind, figure in (("basins", plot.basins), ("times", plot.basin_times)):
            yield _saved(figure(one), folder, f"{pair.name}{suffix}__{kind}")


def _saved(ax: Any, folder: Path, name: str) -> Path:
    import matplotlib.pyplot as plt  # noqa: PLC0415 - chooses a backend

    path = folder / f"{name}.png"
    ax.figure.savefig(path, dpi=150, bbox_inches="tight")
    plt.close(ax.figure)
    return path
