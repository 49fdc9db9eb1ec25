"""HDF5 files are read where there are no locks, and what keeps them from being read is told."""

import errno
import fcntl
from pathlib import Path

import h5py
import pytest

from dualad import arrays
from dualad.arrays import open_hdf5, reading_hdf5
from dualad.errors import DualadError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "numbers.h5"
    with h5py.File(path, "w") as file:
        file["numbers"] = [1, 2, 3]
    return path


def test_a_file_is_read_where_it_cannot_be_locked(path: Path) -> None:
    with path.open() as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(OSError, match="lock"):
            h5py.File(path, "r", locking=True)
        with open_hdf5(path) as file:
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
    with pytest.raises(DualadError, match=message) as caught, reading_hdf5(path, "cut short"):
        open_hdf5(path)
    assert str(path) in str(caught.value) and "delete" not in str(caught.value)


def test_a_damaged_file_is_to_be_deleted(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:100])
    with (
        pytest.raises(DualadError, match=r"numbers\.h5: cut short .*; delete it and run again"),
        reading_hdf5(path, "cut short"),
    ):
        open_hdf5(path)
