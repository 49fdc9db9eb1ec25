"""A file for HDF5 to write to that survives a full disk."""

import io
import os
from pathlib import Path
from typing import Self


class Sink(io.RawIOBase):
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
