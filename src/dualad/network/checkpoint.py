"""Checkpoints of a training run that a kill at any moment leaves usable.

The state of a run is a fixed list of arrays (weights, optimiser moments, random state), a small
JSON document, and a journal of rows, to which every epoch adds one. Arrays go into one of two slot
files; the document, replaced atomically, says which slot counts and how much of the journal does. A
slot named in the document on disk is never written to, and of the journal only what lies beyond
that length, so whatever moment the process dies at, the last committed state is whole. Writing
costs one copy into the page cache, however long the run has been; a `Pace` says when it is worth
that.
"""

import json
import os
import time
import zlib
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dualad.errors import DualadError
from dualad.ownership import require_ownership

Array = npt.NDArray[Any]

N_SLOTS = 2
"""The committed state and the next one."""


class Pace:
    """Says when the next checkpoint is due, so that all of them cost about 5 % of the time.

    The next one is due 20 times as long after the last as the last took. It depends on the clock
    which epochs a killed run repeats, and never what comes of them.

    Parameters
    ----------
    n_bytes : int
        Size of a checkpoint, from which the time that the first will take is estimated.
    """

    _INTERVAL = 20
    """Time between two checkpoints, in times that one takes."""
    _LEAST_SECONDS = 10.0
    """Between two checkpoints, however small: starting a job again costs more than that."""
    _BYTES_PER_SECOND = 2e8
    """Assumed for the first checkpoint: a slow disk, or a card's memory and a fast one."""

    def __init__(self, n_bytes: int) -> None:
        self._wait_for(n_bytes / self._BYTES_PER_SECOND)

    @property
    def due(self) -> bool:
        """Whether a checkpoint should be written now."""
        return time.monotonic() >= self._next

    @contextmanager
    def writing(self) -> Iterator[None]:
        """What is done inside writes a checkpoint; how long it takes decides about the next."""
        started = time.monotonic()
        yield
        self._wait_for(time.monotonic() - started)

    def _wait_for(self, seconds: float) -> None:
        """Put the next checkpoint off, one having taken some seconds."""
        self._next = time.monotonic() + max(self._LEAST_SECONDS, self._INTERVAL * seconds)


class CheckpointStore:
    """Two slots, a state document and a journal in one folder.

    Parameters
    ----------
    folder : Path
        Created if absent. What it holds under another `fingerprint` is discarded.
    fingerprint : str
        Identifies everything the run depends on; a checkpoint resumes only the same run.
    template : sequence of ndarray
        Arrays of the shapes and dtypes that every slot holds.
    """

    def __init__(self, folder: Path, fingerprint: str, template: Sequence[Array]) -> None:
        self._folder = folder
        self._fingerprint = fingerprint
        self._specs = [(a.shape, a.dtype) for a in template]
        # Each array starts on a word boundary, which the checksum needs.
        self._sizes = [-(-a.nbytes // 8) * 8 for a in template]
        self._checksums: dict[int, int] = {}
        self._committed: set[int] = set()
        self._journal_size = 0
        self._journal_crc = 0
        folder.mkdir(parents=True, exist_ok=True)

    def restore(self) -> dict[str, Any] | None:
        """The last committed state of the same run, or None if there is none to resume."""
        try:
            document = json.loads(self._document.read_text())
        except (FileNotFoundError, ValueError):
            return None
        if not isinstance(document, dict) or document.get("fingerprint") != self._fingerprint:
            return None
        self._checksums = {int(k): v for k, v in document["checksums"].items()}
        for slot, checksum in self._checksums.items():
            path = self._path(slot)
            if not path.exists() or path.stat().st_size != self.n_bytes:
                return None
            if _checksum(np.memmap(path, np.uint64, "r")) != checksum:
                return None
        journal = self._journal_content(document["journal_size"])
        if zlib.crc32(journal) != document["journal_crc"]:
            return None
        self._journal_size, self._journal_crc = len(journal), document["journal_crc"]
        self._committed = set(self._checksums)
        state: dict[str, Any] = document["state"]
        return state

    def rows(self) -> list[dict[str, Any]]:
        """The journal as far as it was committed or, since then, appended to."""
        return [json.loads(line) for line in self._journal_content(self._journal_size).splitlines()]

    def append(self, row: dict[str, Any]) -> None:
        """Add a row to the journal; it counts from the next `commit` on."""
        line = json.dumps(row).encode() + b"\n"
        try:
            with self._journal.open("ab") as file:
                # What follows was never committed, or is another run's.
                file.truncate(self._journal_size)
                file.write(line)
        except OSError as error:
            raise _write_error(self._journal, error) from error
        self._journal_size += len(line)
        self._journal_crc = zlib.crc32(line, self._journal_crc)

    def write(self, arrays: Sequence[Array]) -> int:
        """Copy `arrays` into a slot that no committed state needs; return the slot's number."""
        slot = next(s for s in range(N_SLOTS) if s not in self._committed)
        path = self._path(slot)
        if not path.exists() or path.stat().st_size != self.n_bytes:
            # Absent, or left over from another run.
            _allocate(path, self.n_bytes)
        checksum = 0
        try:
            with path.open("r+b") as file:
                for array in arrays:
                    words = _words(array)
                    file.write(words.data)
                    checksum += _checksum(words)
        except OSError as error:
            raise _write_error(path, error) from error
        self._checksums[slot] = checksum % 2**64
        return slot

    def read(self, slot: int) -> list[Array]:
        """The arrays in `slot`, as copies.

        Raises
        ------
        DualadError
            If they are not those that were written.
        """
        buffer = np.memmap(self._path(slot), np.uint8, "r")
        arrays, offset = [], 0
        for (shape, dtype), size in zip(self._specs, self._sizes, strict=True):
            n_bytes = dtype.itemsize * int(np.prod(shape, dtype=np.int64))
            arrays.append(np.array(buffer[offset : offset + n_bytes].view(dtype)).reshape(shape))
            offset += size
        # Of the copies: the file may change while it is read.
        if sum(_checksum(_words(array)) for array in arrays) % 2**64 != self._checksums[slot]:
            raise DualadError(
                f"{self._path(slot)}: the checkpoint has changed since it was written; run the "
                "same command again: it starts this anew"
            )
        return arrays

    def commit(self, state: dict[str, Any], slots: Collection[int]) -> None:
        """Make `state` the one to resume from; only `slots` keep their contents from now on.

        Raises
        ------
        DualadError
            If the state cannot be written, or the folder belongs to another process by now.
        """
        require_ownership(self._folder)
        document = {
            "fingerprint": self._fingerprint,
            "checksums": {slot: self._checksums[slot] for slot in slots},
            "journal_size": self._journal_size,
            "journal_crc": self._journal_crc,
            "state": state,
        }
        temporary = self._document.with_suffix(".tmp")
        try:
            temporary.write_text(json.dumps(document))
            os.replace(temporary, self._document)
        except OSError as error:
            raise _write_error(self._document, error) from error
        self._committed = set(slots)

    @property
    def n_bytes(self) -> int:
        """Size of a slot."""
        return sum(self._sizes)

    @property
    def _document(self) -> Path:
        return self._folder / "state.json"

    @property
    def _journal(self) -> Path:
        return self._folder / "journal.jsonl"

    def _journal_content(self, size: int) -> bytes:
        if not self._journal.exists():
            return b""
        with self._journal.open("rb") as file:
            return file.read(size)

    def _path(self, slot: int) -> Path:
        return self._folder / f"slot{slot}.bin"


def _allocate(path: Path, size: int) -> None:
    """Reserve disk blocks now: a disk without room for a checkpoint is better known at once."""
    temporary = path.with_suffix(".tmp")
    try:
        with temporary.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, size)
        os.replace(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise DualadError(
            f"{path}: no room for a checkpoint of {size / 1e6:.0f} MB ({error.strerror}); "
            f"free about {N_SLOTS * size / 1e6:.0f} MB and run the same command again"
        ) from error


def _write_error(path: Path, error: OSError) -> DualadError:
    return DualadError(
        f"{path}: the checkpoint cannot be written ({error.strerror}); free some space and run the "
        "same command again: it goes on where this checkpoint stands"
    )


def _words(array: Array) -> npt.NDArray[np.uint64]:
    """The array's bytes, followed by zeros up to a word's end; a view where there are none."""
    raw = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
    if raw.size % 8:
        raw = np.concatenate([raw, np.zeros(-raw.size % 8, np.uint8)])
    return raw.view(np.uint64)


def _checksum(words: npt.NDArray[np.uint64]) -> int:
    """Sum modulo 2**64: tells pages that a power cut left unwritten, at memory speed."""
    return int(np.add.reduce(words, dtype=np.uint64))
