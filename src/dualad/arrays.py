"""Files of arrays, apart from `dualad.files`, which has to do without NumPy."""

import errno
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from zipfile import ZIP_STORED

import h5py
import numpy as np
import numpy.typing as npt

from dualad.errors import DualadError, brief
from dualad.files import reading, replacing


def write_arrays(path: Path, arrays: Mapping[str, npt.ArrayLike]) -> None:
    """Write named arrays to an .npz file, whole or not at all.

    Raises
    ------
    DualadError
        As for `replacing`.
    """
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez(file, **dict(arrays))  # type: ignore[arg-type]


def read_arrays(
    path: Path, names: Sequence[str], defaults: Mapping[str, npt.ArrayLike] | None = None
) -> dict[str, npt.NDArray[Any]]:
    """Read some of the arrays that `write_arrays` wrote.

    Parameters
    ----------
    path
        An .npz file.
    names
        Of the arrays that are wanted.
    defaults
        What to take for arrays that a file of an earlier version lacks.

    Raises
    ------
    DualadError
        If the file is missing or damaged, if one of the arrays is not in it, or holds what is
        neither text nor a finite number.
    """
    with reading(path), np.load(path) as arrays:
        # Nothing is compressed in it, so that no small file can take much memory.
        if any(member.compress_type != ZIP_STORED for member in arrays.zip.infolist()):
            raise ValueError("it is compressed, which none of these files is")
        given = {name: np.asarray(value) for name, value in (defaults or {}).items()}
        found = {
            name: given[name] if name in given and name not in arrays else arrays[name]
            for name in names
        }
        for name, array in found.items():
            if array.dtype.kind not in "biufU" or not _is_finite(array):
                raise ValueError(f"{name} is {array.dtype} {array.shape}, or not finite")
        return found


def _is_finite(array: npt.NDArray[Any]) -> bool:
    return array.dtype.kind != "f" or bool(np.isfinite(array).all())


_HDF5_DAMAGES = (
    *(OSError, LookupError, ValueError, TypeError, AttributeError, RuntimeError, OverflowError),
    # A dataset can declare any size.
    MemoryError,
)
"""What a file raises that is damaged, or in which something has another type or shape."""

_NO_LOCKS = (errno.EAGAIN, errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


def open_hdf5(path: Path, damage: str) -> h5py.File:
    """Open an HDF5 file that was written to its end, which its attribute `complete` says.

    It is opened without a lock. A lock would guard against changes that do not happen, because
    files are replaced whole; and many file systems of clusters have none.

    Parameters
    ----------
    path
        The file.
    damage
        What to say of one that is cut short.

    Raises
    ------
    DualadError
        If the file is damaged or incomplete, or the system does not let it be read.
    """
    with reading_hdf5(path, damage), ExitStack() as on_error:
        file = on_error.enter_context(h5py.File(path, "r", locking=False))
        if not file.attrs.get("complete", False):
            raise damaged_hdf5(path, damage, "it was not written to its end")
        on_error.pop_all()
    return file


@contextmanager
def reading_hdf5(path: Path, damage: str) -> Iterator[None]:
    """Turn what goes wrong while an HDF5 file is read into one message that names it.

    Parameters
    ----------
    path
        The file that is being read.
    damage
        What to say of a file that is cut short or lacks a dataset.

    Raises
    ------
    DualadError
        In place of such an exception. Only a damaged file is to be deleted; where the system
        refuses to read it, the message says why.
    """
    try:
        yield
    except _HDF5_DAMAGES as error:
        code = getattr(error, "errno", None)
        if code is None:
            raise damaged_hdf5(path, damage, error) from error
        # The variable has precedence over what the file is opened with.
        remedy = (
            "its file system has no locks: set the environment variable "
            "HDF5_USE_FILE_LOCKING=FALSE and run again"
            if code in _NO_LOCKS
            else "check its permissions and its file system; the file itself may be whole"
        )
        raise DualadError(f"{path}: cannot be read ({os.strerror(code)}); {remedy}") from error


def damaged_hdf5(path: Path, damage: str, reason: object) -> DualadError:
    """What to say of an HDF5 file that was not written to its end, or was damaged since."""
    return DualadError(f"{path}: {damage} ({brief(reason)}); delete it and run again")
