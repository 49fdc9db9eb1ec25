"""Files of arrays are read where there are no locks; what keeps one from being read is told."""

import errno
import fcntl
from pathlib import Path

import h5py
import numpy as np
import pytest

from dualad import arrays
from dualad.arrays import open_hdf5, read_arrays, write_arrays
from dualad.errors import DualadError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "numbers.h5"
    with h5py.File(path, "w") as file:
        file["numbers"] = [1, 2, 3]
        file.attrs["complete"] = True
    return path


def test_a_file_is_read_where_it_cannot_be_locked(path: Path) -> None:
    with path.open() as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(OSError, match="lock"):
            h5py.File(path, "r", locking=True)
        with open_hdf5(path, "cut short") as file:
            assert file["numbers"][:].tolist() == [1, 2, 3]


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (errno.ENOLCK, "no locks: set the environment variable HDF5_USE_FILE_LOCKING=FALSE"),
        (errno.EACCES, "Permission denied.*check its permissions"),
        (errno.EIO, "check its permissions and its file system"),
    ],
)
def test_what_deleting_cannot_help_is_not_to_be_deleted(
    path: Path, monkeypatch: pytest.MonkeyPatch, code: int, message: str
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(code, "unable to open file")

    monkeypatch.setattr(arrays.h5py, "File", refuse)
    with pytest.raises(DualadError, match=message) as caught:
        open_hdf5(path, "cut short")
    assert str(path) in str(caught.value) and "delete" not in str(caught.value)


def test_a_damaged_file_is_to_be_deleted(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(DualadError, match=r"numbers\.h5: cut short .*; delete it and run again"):
        open_hdf5(path, "cut short")


def test_a_damaged_file_is_not_opened(path: Path) -> None:
    content = bytearray(path.read_bytes())
    # The root group, which holds the attributes.
    content[48:400] = bytes(352)
    path.write_bytes(content)
    with pytest.raises(DualadError, match=r"numbers\.h5: cut short .*delete it and run again"):
        open_hdf5(path, "cut short")


@pytest.mark.parametrize(
    "values", [np.array([1.0, np.nan]), np.array([np.inf]), np.array([1j]), np.array([b"bytes"])]
)
def test_arrays_are_finite_numbers_or_text(tmp_path: Path, values: np.ndarray) -> None:
    path = tmp_path / "model.npz"
    write_arrays(path, {"mean": values})
    with pytest.raises(DualadError, match=r"model\.npz: cannot be read .*mean is"):
        read_arrays(path, ["mean"])


def test_a_small_file_cannot_hold_a_large_array(tmp_path: Path) -> None:
    path = tmp_path / "model.npz"
    np.savez_compressed(path, mean=np.zeros(10**6))
    with pytest.raises(DualadError, match="it is compressed"):
        read_arrays(path, ["mean"])
