"""Checkpoints of a training run that a kill at any moment leaves usable.

The state of a run is a fixed list of arrays (weights, optimiser moments, random state) and a small
JSON document. Arrays go into one of four memory-mapped slot files; the document, replaced
atomically, says which slot is current and which slots hold weights worth keeping. A slot named in
the document on disk is never written to, so whatever moment the process dies at, the last committed
state is whole. Writing costs one copy into the page cache: little enough to do after every epoch.
"""

import json
import os
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dualad.errors import DualadError

Array = npt.NDArray[Any]

N_SLOTS = 4
"""The committed state, the best of the attempt, the best of all attempts, and the next state."""


class CheckpointStore:
    """Four slots and a state document in one folder.

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
        folder.mkdir(parents=True, exist_ok=True)

    def restore(self) -> dict[str, Any] | None:
        """The last committed state of the same run, or None if there is none to resume."""
        try:
            document = json.loads(self._document.read_text())
        except (FileNotFoundError, ValueError):
            return None
        if document["fingerprint"] != self._fingerprint:
            return None
        self._checksums = {int(k): v for k, v in document["checksums"].items()}
        for slot, checksum in self._checksums.items():
            path = self._path(slot)
            if not path.exists() or path.stat().st_size != sum(self._sizes):
                return None
            if _checksum(np.memmap(path, np.uint64, "r")) != checksum:
                return None
        self._committed = set(self._checksums)
        state: dict[str, Any] = document["state"]
        return state

    def write(self, arrays: Sequence[Array]) -> int:
        """Copy `arrays` into a slot that no committed state needs; return the slot's number."""
        slot = next(s for s in range(N_SLOTS) if s not in self._committed)
        path = self._path(slot)
        if not path.exists() or path.stat().st_size != sum(self._sizes):
            # Absent, or left over from another run.
            _allocate(path, sum(self._sizes))
        buffer = np.memmap(path, np.uint8, "r+")
        offset = 0
        for array, size in zip(arrays, self._sizes, strict=True):
            buffer[offset : offset + array.nbytes] = (
                np.ascontiguousarray(array).reshape(-1).view(np.uint8)
            )
            offset += size
        self._checksums[slot] = _checksum(buffer.view(np.uint64))
        return slot

    def read(self, slot: int) -> list[Array]:
        """The arrays in `slot`, as copies."""
        buffer = np.memmap(self._path(slot), np.uint8, "r")
        arrays, offset = [], 0
        for (shape, dtype), size in zip(self._specs, self._sizes, strict=True):
            n_bytes = dtype.itemsize * int(np.prod(shape, dtype=np.int64))
            arrays.append(np.array(buffer[offset : offset + n_bytes].view(dtype)).reshape(shape))
            offset += size
        return arrays

    def commit(self, state: dict[str, Any], slots: Collection[int]) -> None:
        """Make `state` the one to resume from; only `slots` keep their contents from now on."""
        document = {
            "fingerprint": self._fingerprint,
            "checksums": {slot: self._checksums[slot] for slot in slots},
            "state": state,
        }
        temporary = self._document.with_suffix(".tmp")
        temporary.write_text(json.dumps(document))
        os.replace(temporary, self._document)
        self._committed = set(slots)

    @property
    def _document(self) -> Path:
        return self._folder / "state.json"

    def _path(self, slot: int) -> Path:
        return self._folder / f"slot{slot}.bin"


def _allocate(path: Path, size: int) -> None:
    """Reserve disk blocks now: writing to a mapped hole on a full disk would kill the process."""
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


def _checksum(words: npt.NDArray[np.uint64]) -> int:
    """Sum modulo 2**64: tells pages that a power cut left unwritten, at memory speed."""
    return int(np.add.reduce(words, dtype=np.uint64))
