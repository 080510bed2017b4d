"""Results on disk: one NetCDF file per landscape and rule, whole or not there at all.

A file is written beside its final name, flushed to the disk and only then renamed.  So a
crash or a full disk never leaves half a file under the final name, and never destroys an
older one.  The files are plain NetCDF-4 (HDF5), which ``xarray.open_dataset`` reads.

Examples
--------
>>> import tempfile, fastdescent as fd
>>> ds = fd.simulate(
...     fd.landscapes.Rosenbrock(dim=2),
...     fd.optimizers.GradientDescent(learning_rate=0.001),
...     starts=[[0.5, 0.5]],
...     steps=10,
... )
>>> with tempfile.TemporaryDirectory() as folder:
...     path = save(ds, folder + "/descent.nc")
...     load(path).identical(ds)
True
"""

from __future__ import annotations

import contextlib
import io
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeAlias

import numpy as np

from fastdescent.errors import InvalidValueError

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["load", "save", "write_text"]

StrPath: TypeAlias = str | os.PathLike[str]

# Recorded paths shrink by much: they hold the last values after the end.  A higher level
# saves little more and takes several times as long.
_COMPRESSED = {"zlib": True, "complevel": 1, "shuffle": True}


def save(ds: xr.Dataset, path: StrPath) -> Path:
    """Write a result to a NetCDF file, in one piece or not at all.

    Parameters
    ----------
    ds : xarray.Dataset
        A result of `fastdescent.simulate`, or any dataset of numbers.
    path : str or path
        Name of the file.  Its folder must exist; an older file of that name is replaced
        once the new one is complete.

    Returns
    -------
    Path
        The name of the file.

    Raises
    ------
    OSError
        If the file cannot be written, on a full disk for instance.  A file that was there
        before is as it was.
    """
    encoding = {str(name): _encoding(str(name), ds[name]) for name in ds.variables}

    def write(raw: BinaryIO) -> None:
        guarded = _Guarded(raw)
        try:
            ds.to_netcdf(guarded, engine="h5netcdf", encoding=encoding)
        finally:
            if guarded.failure is not None:
                raise guarded.failure

    return _replace(Path(path), write)


def load(path: StrPath) -> xr.Dataset:
    """Read a result that `save` has written; it is equal to it, bit for bit.

    Parameters
    ----------
    path : str or path
        Name of the file.

    Returns
    -------
    xarray.Dataset
        The result, in memory; the file is closed.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    InvalidValueError
        If the file is no NetCDF-4 file, or a damaged one.
    """
    import xarray as xr  # noqa: PLC0415 - slow to import

    with open(path, "rb"):
        pass  # the system's own message, if there is no such file or it may not be read
    try:
        ds = xr.load_dataset(path, engine="h5netcdf", mask_and_scale=False, decode_times=False)
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise InvalidValueError(
            "result", str(path), "a NetCDF-4 file as fastdescent writes it", _first_line(error)
        ) from error
    for variable in ds.variables.values():
        variable.encoding.clear()  # it belongs to the file, not to the result
        variable.attrs = {name: _plain(value) for name, value in variable.attrs.items()}
    ds.encoding.clear()
    ds.attrs = {name: _plain(value) for name, value in ds.attrs.items()}
    return ds


def read_attributes(path: StrPath) -> dict[str, Any]:
    """Read a result's attributes only, which takes no time however large the result is."""
    import h5netcdf  # noqa: PLC0415 - slow to import

    try:
        with h5netcdf.File(path, "r") as file:
            return {name: _plain(value) for name, value in file.attrs.items()}
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise InvalidValueError(
            "result", str(path), "a NetCDF-4 file as fastdescent writes it", _first_line(error)
        ) from error


def write_text(path: StrPath, text: str) -> Path:
    """Write a text file, in UTF-8, in one piece or not at all.

    Parameters
    ----------
    path : str or path
        Name of the file.  Its folder must exist.
    text : str
        What it will hold.

    Returns
    -------
    Path
        The name of the file.

    Raises
    ------
    OSError
        If the file cannot be written; an older one is as it was.
    """
    return _replace(Path(path), lambda raw: _write_all(raw, text.encode()))


def _replace(path: Path, write: Callable[[BinaryIO], None]) -> Path:
    """Fill a new file beside `path` and then give it that name."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:64]}.", suffix="~")
    temporary = Path(name)
    try:
        with open(descriptor, "w+b", buffering=0) as raw:
            write(raw)
            os.fsync(raw.fileno())
        temporary.chmod(_mode(path))
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    _sync_folder(path.parent)
    return path


def _mode(path: Path) -> int:
    """Return the permissions of the file that is replaced, or those of any new file."""
    with contextlib.suppress(OSError):
        return path.stat().st_mode & 0o777
    return 0o666 & ~_umask()


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _sync_folder(folder: Path) -> None:
    # Not every system can open a folder; the rename is atomic all the same.
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _write_all(raw: BinaryIO, data: Any) -> None:
    view = memoryview(data).cast("B")
    while len(view):
        view = view[raw.write(view) :]


class _Guarded(io.RawIOBase):
    """A file whose failure to write is kept instead of raised.

    When a write fails inside the HDF5 library, it cannot close its file any more, and the
    process crashes at its end.  So HDF5 never learns of it: what it writes after a failure
    is dropped, and `failure` is raised when it has finished.
    """

    def __init__(self, raw: BinaryIO) -> None:
        self._raw = raw
        self.failure: OSError | None = None

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return self._raw.seek(offset, whence)

    def tell(self) -> int:
        return self._raw.tell()

    def readinto(self, buffer: Any) -> int:
        return self._raw.readinto(buffer)  # type: ignore[attr-defined,no-any-return]

    def write(self, data: Any) -> int:
        begin, size = self._raw.tell(), memoryview(data).nbytes
        self._attempt(lambda: _write_all(self._raw, data))
        self._raw.seek(begin + size)
        return size

    def truncate(self, size: int | None = None) -> int:
        end = self._raw.tell() if size is None else size
        self._attempt(lambda: self._raw.truncate(end))
        return end

    def _attempt(self, action: Callable[[], object]) -> None:
        if self.failure is None:
            try:
                action()
            except OSError as error:
                self.failure = error


def _encoding(name: str, variable: xr.DataArray) -> dict[str, Any]:
    """Say how a variable is stored: as it is, without a fill value, small where that pays.

    Random numbers do not compress, so final positions and losses are not even tried.
    """
    repetitive = name.startswith("path") or variable.dtype.kind in "iub"
    compressed = repetitive and variable.ndim > 0 and variable.size > 0
    return {"_FillValue": None, **(_COMPRESSED if compressed else {})}


def _plain(value: Any) -> Any:
    """Return an attribute as the Python object that it was before it was written."""
    return value.item() if isinstance(value, np.generic) else value


def _first_line(error: BaseException) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
