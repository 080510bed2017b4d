"""The command ``fastdescent``: run studies, look parts up, draw results.

Exit status: 0, all is well; 1, the run failed (full disk, no memory, a folder that holds
another study's results); 2, the study or the command line is wrong; 130, stopped by Ctrl-C.
Whatever failed is told in one line on standard error.

Parts of one's own are named like all others once ``--import FILE_OR_MODULE`` has imported the
Python file or module that defines them.

Examples
--------
>>> main(["list", "records"])
Every      Every k-th step from the start on, and the last step of the budget.
LogSpaced  The start, and steps evenly spaced in their logarithm up to the budget's last.
Steps      Exactly the steps that are named.
0
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from fastdescent import parts
from fastdescent.contracts import JIT
from fastdescent.errors import FastdescentError, MemoryLimitError, UnknownNameError

if TYPE_CHECKING:
    import xarray as xr

    from fastdescent.studies import Result, Study

__all__ = ["main"]

FAILED, WRONG, INTERRUPTED = 1, 2, 130

# What the command line calls each kind of part.
_KINDS = {
    "landscapes": "landscape",
    "models": "model",
    "formulas": "formula",
    "data": "data",
    "optimizers": "optimizer",
    "schedules": "schedule",
    "noise": "noise",
    "transforms": "transform",
    "starts": "starts",
    "stops": "stop",
    "records": "record",
    "batches": "batch",
}
_FIGURES = ("hitting_times", "losses", "validation", "contours", "surface", "heatmap")


class _CommandError(Exception):
    """A failure that is told in one line."""

    def __init__(self, status: int, message: object) -> None:
        super().__init__(str(message))
        self.status = status


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    arguments : sequence of str, optional
        Those of the process by default.

    Returns
    -------
    int
        The exit status.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a title may hold any character
    options = _parser().parse_args(arguments)
    try:
        for name in getattr(options, "imports", ()):
            _import(name)
        status: int = options.action(options)
        sys.stdout.flush()
        return status
    except _CommandError as error:
        return _fail(error.status, error)
    except KeyboardInterrupt:
        return _fail(INTERRUPTED, "interrupted; finished results are kept")
    except BrokenPipeError:
        _silence()
        return 0
    except (FastdescentError, OSError) as error:
        return _fail(FAILED, error)


def _import(name: str) -> None:
    """Import a module, or a Python file as the module of its stem; it registers its parts."""
    path = Path(name).absolute() if name.endswith(".py") or Path(name).is_file() else None
    if path is not None and not path.is_file():
        raise _CommandError(WRONG, f"--import {name}: no such file")
    if path is not None and str(path.parent) not in sys.path:
        sys.path.insert(0, str(path.parent))
    try:
        module = importlib.import_module(name if path is None else path.stem)
    except (Exception, SystemExit) as error:  # whatever the user's own code raises
        raise _CommandError(WRONG, f"--import {name}: {type(error).__name__}: {error}") from None
    file = getattr(module, "__file__", None)
    if path is not None and (file is None or not path.samefile(file)):
        raise _CommandError(
            WRONG,
            f"--import {name}: there is another module named {path.stem!r}; rename the file",
        )


def _silence() -> None:
    """Write no more: the reader of standard output, ``head`` for instance, has seen enough."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _fail(status: int, error: object) -> int:
    text = _system_message(error) if isinstance(error, OSError) else str(error)
    print(f"fastdescent: {' '.join(text.split())}", file=sys.stderr)
    return status


def _system_message(error: OSError) -> str:
    """Return what went wrong and where, without Python's decoration."""
    if error.errno is None:
        return str(error)
    name = f": {error.filename}" if error.filename is not None else ""
    return f"{os.strerror(error.errno)}{name}"


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are one line, like all others of this command."""

    def error(self, message: str) -> NoReturn:
        self.exit(WRONG, f"{self.prog}: {message} (see {self.prog} --help)\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="fastdescent",
        description="Compiled ensembles of first-order optimizers on loss landscapes.",
        epilog="exit status: 0; 1 the run failed; 2 the study or the command is wrong; "
        "130 stopped by Ctrl-C",
    )
    parser.add_argument("--version", action="store_true", help="print the version and exit")
    parser.set_defaults(action=_version_or_help(parser))
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    _add_run(commands)
    _add_list(commands)
    _add_show(commands)
    _add_plot(commands)
    _add_geometry(commands)
    _add_basins(commands)
    return parser


def _add_import(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--import",
        dest="imports",
        action="append",
        default=[],
        metavar="FILE_OR_MODULE",
        help="Python file or module that defines parts of your own; may be repeated",
    )


def _version_or_help(parser: argparse.ArgumentParser) -> Callable[[argparse.Namespace], int]:
    def action(options: argparse.Namespace) -> int:
        if not options.version:
            parser.print_help()
            return 0
        from fastdescent.version import versions  # noqa: PLC0415 - only here

        print(versions().replace(", ", "\n"))
        return 0

    return action


def _add_run(commands: Any) -> None:
    run = commands.add_parser(
        "run",
        help="run a study",
        description="Run a study: every rule on every landscape.  Each result is one NetCDF "
        "file.  Results of the same study that are in the folder already are kept and not "
        "computed again, so a study that was stopped goes on where it was.",
    )
    run.add_argument("study", metavar="STUDY.toml")
    run.add_argument("--out", metavar="DIR", help="folder for the results (default: results/STUDY)")
    run.add_argument("--threads", type=_threads, metavar="N", help="threads (default: all cores)")
    run.add_argument("--quiet", action="store_true", help="print errors only")
    run.add_argument(
        "--force",
        action="store_true",
        help="compute all again, overwrite what is in the folder, and at the end remove results "
        "of other studies there",
    )
    _add_import(run)
    run.set_defaults(action=_run)


def _threads(text: str) -> int:
    import numba  # noqa: PLC0415

    most = int(numba.config.NUMBA_NUM_THREADS)
    if not text.isdecimal() or not 1 <= int(text) <= most:
        raise argparse.ArgumentTypeError(f"got {text!r}, allowed is an integer from 1 to {most}")
    return int(text)


def _add_list(commands: Any) -> None:
    listing = commands.add_parser("list", help="list landscapes, optimizers, ...")
    listing.add_argument(
        "kind", nargs="?", metavar="KIND", help=f"one of {', '.join(_KINDS)}; all by default"
    )
    _add_import(listing)
    listing.set_defaults(action=_list)


def _add_show(commands: Any) -> None:
    show = commands.add_parser("show", help="describe a rule, a landscape or another part")
    show.add_argument("name", metavar="NAME", help="such as Adam or Rosenbrock")
    _add_import(show)
    show.set_defaults(action=_show)


def _add_plot(commands: Any) -> None:
    plot = commands.add_parser(
        "plot",
        help="draw results",
        description="Draw results: one figure for each landscape, or for each result if it is a "
        "heat map.  Where several results are compared, each rule is drawn with its best "
        "hyper-parameters.",
    )
    plot.add_argument("results", nargs="+", metavar="RESULT", help="files made by run")
    plot.add_argument(
        "--kind",
        choices=_FIGURES,
        help="by default hitting_times if there are targets, else losses if there are paths",
    )
    plot.add_argument(
        "--out", metavar="FILE", help="image file, or a folder (default: beside the first result)"
    )
    _add_import(plot)
    plot.set_defaults(action=_plot)


def _add_geometry(commands: Any) -> None:
    geometry = commands.add_parser(
        "geometry",
        help="look at a landscape itself: critical points, barriers, convexity, terrain",
        description="Find and classify a landscape's critical points, say what is proven about "
        "them, and draw its terrain.",
    )
    geometry.add_argument(
        "landscape", metavar="LANDSCAPE", help="a name, or a formula such as 'x**2 + 15*y**2'"
    )
    geometry.add_argument(
        "--set",
        dest="settings",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="a field of the landscape, as dim=5; may be repeated",
    )
    geometry.add_argument(
        "--box", metavar="BOX", help="where to look, as '[-2, 2]' or '[[-2, 2], [0, 1]]'"
    )
    geometry.add_argument(
        "--starts", type=int, default=1024, metavar="N", help="starts of the search"
    )
    geometry.add_argument("--seed", type=int, default=0, metavar="N", help="seed of the search")
    geometry.add_argument(
        "--out", metavar="DIR", help="folder for data and figures (default: results/geometry)"
    )
    _add_import(geometry)
    geometry.set_defaults(action=_geometry)


def _add_basins(commands: Any) -> None:
    basins = commands.add_parser(
        "basins",
        help="map which start goes where, for the rules of a study",
        description="Map the basins of attraction of every rule of a study on every landscape of "
        "it: a grid over the domain in one or two dimensions, the study's starts beyond.",
    )
    basins.add_argument("study", metavar="STUDY.toml")
    basins.add_argument(
        "--cells", type=int, default=400, metavar="N", help="starts along each side of a map"
    )
    basins.add_argument(
        "--fidelity", action="store_true", help="compare the basins with those of the gradient flow"
    )
    basins.add_argument("--out", metavar="DIR", help="folder (default: results/basins)")
    _add_import(basins)
    basins.set_defaults(action=_basins)


def _geometry(options: argparse.Namespace) -> int:
    import tomllib  # noqa: PLC0415 - only here

    _without_display()
    from fastdescent import reports  # noqa: PLC0415 - slow to import

    try:
        box = None if options.box is None else tomllib.loads(f"box = {options.box}")["box"]
    except tomllib.TOMLDecodeError:
        message = f"--box: got {options.box!r}, allowed is '[-2, 2]' or one such pair for each side"
        raise _CommandError(WRONG, message) from None
    with _wrong_input():
        landscape = reports.landscape_named(options.landscape, options.settings)
        for line in reports.landscape_report(
            landscape,
            Path(options.out or "results/geometry"),
            box=box,
            starts=options.starts,
            seed=options.seed,
        ):
            print(line, flush=True)
    return 0


def _basins(options: argparse.Namespace) -> int:
    _without_display()
    from fastdescent import reports  # noqa: PLC0415 - slow to import

    study = _study(options.study)
    folder = Path(options.out or Path("results") / "basins" / Path(options.study).stem)
    with _wrong_input(options.study):
        for line in reports.basin_report(
            study, folder, cells=options.cells, fidelity=options.fidelity
        ):
            print(line, flush=True)
    return 0


@contextlib.contextmanager
def _wrong_input(file: str = "") -> Iterator[None]:
    """Turn errors into exit statuses: what was given, in a file maybe, or too little memory."""
    try:
        yield
    except MemoryLimitError as error:
        raise _CommandError(FAILED, error) from None
    except FastdescentError as error:
        raise _CommandError(WRONG, f"{file}: {error}" if file else error) from None


def _without_display() -> None:
    """Draw to files only, on machines without a display too."""
    import matplotlib as mpl  # noqa: PLC0415 - slow to import

    mpl.use("agg")


def _study(path: str) -> Study:
    """Read and check a study."""
    from fastdescent.studies import Study, StudyError  # noqa: PLC0415 - slow to import

    with _wrong_input(path):
        try:
            study = Study.from_toml(Path(path))
            study.check()
        except StudyError as error:  # names the file itself
            raise _CommandError(WRONG, error) from None
    return study


def _run(options: argparse.Namespace) -> int:
    study = _study(options.study)
    folder = Path(options.out or Path("results") / Path(options.study).stem)
    _protect(Path(options.study), study, folder, options.force)
    return _Report(study, folder, options.quiet).run(options.threads, options.force)


def _protect(source: Path, study: Study, folder: Path, force: bool) -> None:
    """Raise if the run would overwrite the study itself, or tables that are not its own."""
    copy = folder / "study.toml"
    if copy.exists() and copy.samefile(source) and copy.read_bytes() != study.to_toml().encode():
        raise _CommandError(
            FAILED,
            f"--out {folder}: the run would overwrite {source}, the study itself; choose another "
            "folder (--out DIR)",
        )
    for name in ("summary.txt", "summary.csv"):
        path = folder / name
        if not force and path.is_file() and not path.read_bytes().startswith(b"landscape"):
            raise _CommandError(
                FAILED,
                f"--out {folder}: {name} there was not written by fastdescent; choose another "
                "folder (--out DIR) or overwrite it (--force)",
            )


class _Report:
    """A run of a study that is told as it goes, and the table at its end."""

    def __init__(self, study: Study, folder: Path, quiet: bool) -> None:
        self._study, self._folder, self._quiet = study, folder, quiet
        self._best: list[Any] = []
        self._all: list[Any] = []
        self._files: list[Path] = []
        self._finished = 0
        self._outside: set[str] = set()
        self._began = time.perf_counter()

    def run(self, threads: int | None, force: bool) -> int:
        """Run it and return the exit status."""
        pairs = len(self._study.pairs())
        own = {pair.file_name for pair in self._study.pairs()}
        before = {path for path in self._folder.glob("*.nc") if force and path.name not in own}
        results = self._study.results(
            self._folder,
            progress=not self._quiet and sys.stderr.isatty(),
            threads=threads,
            force=force,
        )
        self._say(f"{self._study.title or self._folder.name}: {pairs} results to {self._folder}")
        if JIT and (force or not all((self._folder / name).exists() for name in own)):
            self._say(
                "Kernels that are not in the cache are compiled first; the first time this takes "
                "up to a minute."
            )
        interrupted = False
        try:
            for number, result in enumerate(results, 1):
                interrupted = bool(result.dataset.attrs["interrupted"])
                self._add(result)
                self._say(f"[{number:{len(str(pairs))}}/{pairs}] {_told(result)}")
                self._warn(result)
        except KeyboardInterrupt:
            interrupted = True
        removed = sorted(path.name for path in before if not path.exists())
        if removed:
            self._say(f"Removed, for they were made by another study: {', '.join(removed)}")
        self._finish(interrupted)
        return INTERRUPTED if interrupted else 0

    def _warn(self, result: Result) -> None:
        """Say what is allowed but may not be meant."""
        attributes, place = result.dataset.attrs, result.pair.landscape_label
        outside = int(attributes.get("starts_outside_domain", 0))
        if outside > 0 and place not in self._outside:  # the same starts for all rules
            self._outside.add(place)
            self._say(f"  note: {outside:,} starts lie outside the domain of {place}")
        below = int(attributes.get("below_minimum", 0))
        if below > 0:
            self._say(
                f"  note: {below:,} trajectories ended outside the domain of {place}, below its "
                "known minimum"
            )

    def _add(self, result: Result) -> None:
        from fastdescent.statistics import summary  # noqa: PLC0415 - slow to import

        self._best += summary(result.dataset)
        self._all += summary(result.dataset, rows="all")
        self._finished += not result.dataset.attrs["interrupted"]
        if result.path is not None:
            self._files.append(result.path)

    def _finish(self, interrupted: bool) -> None:
        from fastdescent import storage  # noqa: PLC0415
        from fastdescent.statistics import format_table, to_csv  # noqa: PLC0415

        if self._best:
            table = format_table(self._best)
            storage.write_text(self._folder / "summary.txt", table + "\n")
            storage.write_text(self._folder / "summary.csv", to_csv(self._all))
            self._say(f"\n{table}\n")
        self._say(f"{time.perf_counter() - self._began:.1f} s in all.  Files in {self._folder}:")
        for name in ("summary.txt", "summary.csv", "study.toml"):
            self._say(f"  {name}")
        for path in self._files:
            self._say(f"  {path.name}  ({path.stat().st_size / 1e6:.1f} MB)")
        if interrupted:
            _fail(
                INTERRUPTED,
                f"interrupted; finished are {self._finished} of {len(self._study.pairs())} "
                "results, the same command goes on from there",
            )

    def _say(self, text: str) -> None:
        if not self._quiet:
            try:
                print(text, flush=True)
            except BrokenPipeError:
                _silence()  # the study goes on


def _told(result: Result) -> str:
    """Say on one line what a result cost."""
    ds, pair = result.dataset, result.pair
    name = f"{pair.landscape_label} {pair.optimizer_label}"
    if result.reused:
        return f"{name}: kept from an earlier run"
    steps, seconds = ds.attrs["trajectory_steps"], ds.attrs["run_seconds"]
    rate = f", {steps / seconds / 1e6:.3g} M/s" if seconds else ""
    text = (
        f"{name}: {ds['status'].size:,} trajectories, {steps:.3g} trajectory-steps "
        f"in {seconds:.1f} s{rate}"
    )
    return f"{text}; interrupted" if ds.attrs["interrupted"] else text


def _list(options: argparse.Namespace) -> int:
    from fastdescent.description import headline  # noqa: PLC0415 - only here

    _import_all()
    if options.kind is not None and options.kind not in _KINDS:
        raise _CommandError(WRONG, UnknownNameError("kind", options.kind, _KINDS))
    for kind in [options.kind] if options.kind else _KINDS:
        names = parts.names(_KINDS[kind])
        if not options.kind:
            print(f"{kind}:")
        indent = "" if options.kind else "  "
        width = max(map(len, names), default=0)
        for name in names:
            print(f"{indent}{name:{width}}  {headline(parts.get(_KINDS[kind], name))}".rstrip())
    return 0


def _show(options: argparse.Namespace) -> int:
    from fastdescent.description import describe  # noqa: PLC0415 - only here

    _import_all()
    found = [
        parts.get(kind, name)
        for kind in parts.kinds()
        for name in parts.names(kind)
        if name.lower() == options.name.lower()
    ]
    if not found:
        known = [name for kind in parts.kinds() for name in parts.names(kind)]
        message = str(UnknownNameError("name", options.name, known)).split(" Known:")[0]
        raise _CommandError(WRONG, f"{message} All names: fastdescent list")
    print("\n\n".join(map(describe, found)))
    return 0


def _import_all() -> None:
    """Import every module that registers parts."""
    import fastdescent  # noqa: F401, PLC0415


def _plot(options: argparse.Namespace) -> int:
    from fastdescent import storage  # noqa: PLC0415 - slow to import

    results = {}
    for name in options.results:
        try:
            results[Path(name)] = storage.load(name)
        except FastdescentError as error:
            raise _CommandError(WRONG, error) from None
        except OSError as error:
            raise _CommandError(WRONG, _system_message(error)) from None
    kind = options.kind or _usual_figure(next(iter(results.values())))
    figures = _figures(kind, results)
    for path, shown in zip(_images(options.out, kind, figures), figures.values(), strict=True):
        try:
            _draw(kind, shown, path)
        except FastdescentError as error:
            raise _CommandError(WRONG, f"{kind}: {error}") from None
        print(path)
    return 0


def _usual_figure(ds: xr.Dataset) -> str:
    if "hitting_time" in ds:
        return "hitting_times"
    if "path_loss" in ds:
        return "losses"
    raise _CommandError(WRONG, "plot: these results have neither targets nor paths; name a --kind")


def _figures(kind: str, results: dict[Path, xr.Dataset]) -> dict[Path, dict[str, xr.Dataset]]:
    """Sort results into figures: (where it goes without --out) -> label -> result."""
    if kind == "heatmap":
        return {path.with_suffix(""): {"": ds} for path, ds in results.items()}
    by_landscape: dict[str, dict[Path, xr.Dataset]] = {}
    for path, ds in results.items():
        landscape = str(ds.attrs.get("landscape_label", ds.attrs.get("landscape", "")))
        by_landscape.setdefault(landscape, {})[path] = ds
    figures = {}
    for landscape, group in by_landscape.items():
        first = next(iter(group))
        if len(group) == 1:
            figures[first.with_suffix("")] = {"": group[first]}
        else:
            figures[first.parent / landscape] = _compared(group)
    return figures


def _compared(group: dict[Path, xr.Dataset]) -> dict[str, xr.Dataset]:
    """Label results and keep the best hyper-parameters of each."""
    from fastdescent.statistics import summary  # noqa: PLC0415 - slow to import

    compared = {}
    for path, ds in group.items():
        best = summary(ds)[0]
        values = ", ".join(f"{name} = {value:g}" for name, value in best.configuration.items())
        label = str(ds.attrs.get("optimizer_label", path.stem))
        label = f"{label}, {values}" if values else label
        compared[label if label not in compared else path.stem] = ds.sel(best.configuration)
    return compared


def _images(out: str | None, kind: str, figures: dict[Path, Any]) -> list[Path]:
    """Return the names of the image files."""
    if out is None:
        return [Path(f"{base}__{kind}.png") for base in figures]
    path = Path(out)
    if path.suffix == "" or path.is_dir():
        path.mkdir(parents=True, exist_ok=True)
        return [path / f"{base.name}__{kind}.png" for base in figures]
    if len(figures) > 1:
        raise _CommandError(
            WRONG,
            f"plot: --out {out} is one file, but there are {len(figures)} figures; "
            "give a folder, or results of one landscape",
        )
    return [path]


def _draw(kind: str, shown: dict[str, xr.Dataset], path: Path) -> None:
    _without_display()
    from fastdescent import plot  # noqa: PLC0415

    figure: Any = getattr(plot, kind, None) or partial(plot.losses, validation=True)
    ax = figure(next(iter(shown.values())) if list(shown) == [""] else shown)
    try:
        ax.figure.savefig(path, dpi=150, bbox_inches="tight")
    except ValueError as error:  # a format that matplotlib does not know
        raise _CommandError(WRONG, f"plot: {error}") from None
    import matplotlib.pyplot as plt  # noqa: PLC0415

    plt.close(ax.figure)
