"""Files: written whole or not at all, and read back with an error that names them."""

import io
import json
import os
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import get_native_id
from typing import Any, Self, TypeVar
from zipfile import BadZipFile

from dualad.errors import DualadError, brief, write_error

T = TypeVar("T")

_DAMAGES = (
    *(OSError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError, EOFError),
    # Of zipfile: an unknown compression, or a password. Of json: brackets that are nested too deep.
    *(RuntimeError, BadZipFile, struct.error, zlib.error),
    # A header can declare any size.
    MemoryError,
)
"""What parsers raise on a damaged file."""

_LONGEST_STEM = 100
"""Bytes; most file systems allow names of 255 bytes, encrypted ones of 143."""


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Write a file under another name, and give it its own when it is complete.

    Folders that are missing are made. An exception inside leaves what was at `path` before as it
    was, and nothing else.

    Parameters
    ----------
    path
        Where the file is to be.

    Yields
    ------
    pathlib.Path
        A hidden name beside it, with the same suffix, of this thread alone: write there.

    Raises
    ------
    DualadError
        If the file cannot be written; the message names `path`, and the remedy if the disk is full.
    """
    temporary = path.with_name(f".{_shortened(path.stem)}.{get_native_id()}.part{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        raise write_error(path, error) from error
    finally:
        with suppress(OSError):
            temporary.unlink()


def _shortened(stem: str) -> str:
    """The beginning of a name, so short that a longer end still makes a name of a file."""
    while len(os.fsencode(stem)) > _LONGEST_STEM:
        stem = stem[:-1]
    return stem


def write_text(path: Path, text: str) -> None:
    """Write a text file whole or not at all; lines end as they do in `text`.

    Names of files need not be UTF-8, so bytes that are not come back as they were.

    Raises
    ------
    DualadError
        As for `replacing`.
    """
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="surrogateescape", newline="")


def write_json(path: Path, values: Any) -> None:
    """Write plain values as JSON, whole or not at all; equal values give equal bytes.

    Raises
    ------
    ValueError
        If a number is not finite, which JSON cannot hold.
    DualadError
        As for `replacing`.
    """
    write_text(path, json.dumps(values, indent=2, allow_nan=False) + "\n")


@contextmanager
def reading(path: Path, *expected: type[Exception]) -> Iterator[None]:
    """Turn what goes wrong while a result is read into one message that names the file.

    Parameters
    ----------
    path
        The file that is being read.
    expected
        What else a damaged file can raise, beside the errors of the file system, of parsers and
        of values that are missing or of another type.

    Raises
    ------
    DualadError
        In place of such an exception.
    """
    damages: tuple[type[Exception], ...] = (*_DAMAGES, *expected)
    try:
        yield
    except damages as error:
        raise unreadable(path, brief(repr(error))) from error


def unreadable(path: Path, reason: str) -> DualadError:
    """What to say of a result that cannot be read."""
    return DualadError(f"{path}: cannot be read ({reason}); delete it and run the workflow again")


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises
    ------
    DualadError
        If the file is missing, damaged, or holds anything else.
    """
    with reading(path):
        values = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(values, Mapping):
        raise unreadable(path, "no JSON object in it")
    return dict(values)


def read_as(path: Path, parse: Callable[[Mapping[str, Any]], T]) -> T:
    """Read a JSON object and make something of it.

    Parameters
    ----------
    path
        The file.
    parse
        Raises `KeyError`, `TypeError` or `ValueError` for values that it cannot use.

    Raises
    ------
    DualadError
        If the file is missing or damaged, or `parse` raises such an exception.
    """
    values = read_json(path)
    with reading(path):
        return parse(values)


class Hdf5Sink(io.RawIOBase):
    """A new file whose write errors are kept for the caller instead of being shown to HDF5.

    A failed write leaves the HDF5 library in a state in which closing the file crashes the
    process. So a write that fails is reported as done, all later ones are discarded, and `check`
    raises the error.

    Parameters
    ----------
    path
        The file; it is overwritten.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("w+b", buffering=0)
        self._error: OSError | None = None

    def check(self) -> None:
        """Raise the first write error, if there was one."""
        if self._error is not None:
            raise self._error

    def sync(self) -> None:
        """Wait until everything is on the disk, which is when some file systems report it full."""
        self.check()
        os.fsync(self._file.fileno())

    def write(self, data: "memoryview") -> int:  # type: ignore[override]
        """Write all of `data`, or take note of why that is impossible."""
        rest = memoryview(data).cast("B")
        size = rest.nbytes
        if self._error is None:
            try:
                while rest.nbytes:
                    rest = rest[self._file.write(rest) :]
            except OSError as error:
                self._error = error
        return size

    def truncate(self, size: int | None = None) -> int:
        """Set the file's size."""
        try:
            return self._file.truncate(size)
        except OSError as error:
            self._error = self._error or error
            return size or 0

    def readinto(self, buffer: "memoryview") -> int:  # type: ignore[override]
        """Read at the current position; bytes beyond the end are zero."""
        view = memoryview(buffer).cast("B")
        count = self._file.readinto(view) or 0
        view[count:] = bytes(view.nbytes - count)
        return view.nbytes

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move to a position."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """Return the position."""
        return self._file.tell()

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        super().close()

    def __enter__(self) -> Self:
        """Return itself."""
        return self


def relative_to_here(path: Path) -> str:
    """Words for a message that say what a relative path is relative to; empty for others."""
    return "" if path.is_absolute() else f" (relative to the working directory, {Path.cwd()})"
