"""MedMNIST: one .npz file with `{train,val,test}_{images,labels}`.

Members are decompressed as a stream, row by row, so memory does not grow with the file.
"""

import struct
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from dualad.data.formats import UnreadableImageError
from dualad.data.images import Decoded, decode_array
from dualad.data.options import Reader, Request
from dualad.data.records import GOOD, Listing, OfficialSplit, Record
from dualad.design.datasets import MedmnistEntry
from dualad.errors import DualadError, brief

_SPLITS: tuple[OfficialSplit, ...] = ("train", "val", "test")
_DAMAGES = (
    *(OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error, struct.error),
    # Of zipfile: an unknown compression, or a password. Of numbers: a header of impossible sizes.
    *(RuntimeError, OverflowError, MemoryError),
)
_EXPECTED = "an .npz file with {train,val,test}_images and {train,val,test}_labels"


class ArrayStream:
    """The rows of one array inside an .npz file, read in ascending order without loading it all.

    Parameters
    ----------
    path
        The .npz file.
    key
        Name of the array.

    Raises
    ------
    DualadError
        If the file or the array is missing or damaged.
    """

    def __init__(self, path: Path, key: str) -> None:
        self.path = path
        self.key = key
        self._stream: IO[bytes] | None = None
        self._next = 0
        self._rewind()
        self.close()

    def close(self) -> None:
        """Close the file; reading a row opens it again."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def row(self, index: int) -> npt.NDArray[Any]:
        """Load row `index`.

        Raises
        ------
        UnreadableImageError
            If the file ends early or is damaged.
        """
        size = int(np.prod(self.shape[1:])) * self.dtype.itemsize
        try:
            if self._stream is None or index < self._next:
                self._rewind()
            assert self._stream is not None
            while self._next < index:
                self._stream.read(size)
                self._next += 1
            content = self._stream.read(size)
        except _DAMAGES as error:
            raise UnreadableImageError(f"{self.path} is damaged ({brief(error)})") from error
        if len(content) != size:
            raise UnreadableImageError(f"{self.path} is cut short")
        self._next += 1
        if self._next == self.shape[0]:
            self.close()
        return np.frombuffer(content, dtype=self.dtype).reshape(self.shape[1:])

    def _rewind(self) -> None:
        self.close()
        try:
            # A member's stream keeps the file open after the archive object is gone.
            with zipfile.ZipFile(self.path) as archive:
                self._stream = archive.open(f"{self.key}.npy")
            self.shape, self.dtype = _read_header(self._stream)
        except KeyError as error:
            raise DualadError(
                f"{self.path}: has no array {self.key}; expected {_EXPECTED}"
            ) from error
        except _DAMAGES as error:
            raise DualadError(
                f"{self.path}: damaged, or not an .npz file ({brief(error)}); fetch it again"
            ) from error
        self._next = 0


def _read_header(stream: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any]]:
    version = np.lib.format.read_magic(stream)
    read = (
        np.lib.format.read_array_header_1_0
        if version == (1, 0)
        else np.lib.format.read_array_header_2_0
    )
    shape, fortran_order, dtype = read(stream)
    if fortran_order or dtype.hasobject:
        raise ValueError("arrays must be plain numbers in C order")
    return shape, dtype


@dataclass(frozen=True, slots=True, eq=False)
class ArrayMember:
    """One row of an array inside an .npz file; its hash is that of the row's bytes."""

    stream: ArrayStream
    index: int
    parallel: bool = False

    @property
    def location(self) -> str:
        """The file, the array and the row."""
        return f"{self.stream.path}, {self.stream.key}[{self.index}]"

    def decode(self, image_size: int, color: bool) -> Decoded:
        """Load, check and resize; raises `UnreadableImageError`."""
        return decode_array(self.stream.row(self.index), image_size, color)


def _scan(request: Request) -> Listing:
    path = request.root
    if path.is_dir():
        raise request.error(f"{path} is a folder; `path` must be {_EXPECTED}")
    records = []
    classes: set[int] = set()
    labels_of = {split: _labels(path, split) for split in _SPLITS}
    if all(_is_one_hot(labels) for labels in labels_of.values()):
        raise request.error(
            f"{path}: the labels are one-hot, with a column per class; save the number of the "
            "class instead, labels.argmax(axis=1)"
        )
    for split, labels in labels_of.items():
        images = ArrayStream(path, f"{split}_images")
        if images.dtype != np.uint8 or not (
            len(images.shape) == 3 or (len(images.shape) == 4 and images.shape[3] == 3)
        ):
            raise request.error(
                f"{path}: {split}_images is {images.dtype} {images.shape}; only 2-D images are "
                "supported: save uint8 (n, h, w) or (n, h, w, 3)"
            )
        if len(labels) != images.shape[0]:
            raise request.error(
                f"{path}: {images.shape[0]} {split}_images, but {len(labels)} {split}_labels; "
                "save a label for each image, or fetch the file again"
            )
        normal = _is_normal(labels, request.options["normal"])
        classes.update(np.unique(labels).tolist())
        for index in range(len(labels)):
            records.append(
                Record(
                    source=f"{path.name}/{split}/{index:05d}",
                    image=ArrayMember(images, index),
                    official_split=split,
                    label=int(not normal[index]),
                    defect=GOOD if normal[index] else _defect(labels[index]),
                )
            )
    absent = set(request.options["normal"]) - classes
    if absent:
        raise request.error(
            f"`normal` names the label {min(absent)}, which {path} does not have; it has "
            f"{', '.join(map(str, sorted(classes)))}"
        )
    return Listing(records)


def _labels(path: Path, split: str) -> npt.NDArray[np.int64]:
    """Labels as (n, k): k = 1 for classes, k > 1 for several findings that are 0 or 1."""
    stream = ArrayStream(path, f"{split}_labels")
    if stream.dtype.kind not in "iub" or len(stream.shape) not in (1, 2):
        raise DualadError(
            f"{path}: {stream.key} is {stream.dtype} {stream.shape}; expected integers (n, 1)"
        )
    try:
        rows = [stream.row(index) for index in range(stream.shape[0])]
    except UnreadableImageError as error:
        raise DualadError(f"{error}; fetch the file again") from error
    return np.array(rows, dtype=np.int64).reshape(stream.shape[0], *(stream.shape[1:] or (1,)))


def _is_one_hot(labels: npt.NDArray[np.int64]) -> bool:
    """Whether every row of several columns has a single 1: never so for findings, as none is 0."""
    return labels.shape[1] > 1 and bool(
        np.all((labels == 0) | (labels == 1)) and np.all(labels.sum(axis=1) == 1)
    )


def _is_normal(labels: npt.NDArray[np.int64], normal: list[int]) -> npt.NDArray[np.bool_]:
    if labels.shape[1] == 1:
        return np.isin(labels[:, 0], normal)
    # With several findings per image (ChestMNIST), normal is the absence of all.
    return np.asarray(~labels.any(axis=1))


def _defect(labels: npt.NDArray[np.int64]) -> str:
    found = labels.tolist() if len(labels) == 1 else np.flatnonzero(labels).tolist()
    return "label_" + "+".join(map(str, found))


READER = Reader(
    name="medmnist",
    scan=_scan,
    entry=MedmnistEntry,
    expected=_EXPECTED,
)
