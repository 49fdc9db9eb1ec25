"""Reading `dataset.h5`."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import h5py
import numpy as np
import numpy.typing as npt
import pandas as pd

from dualad.arrays import open_hdf5, reading_hdf5
from dualad.data.images import to_unit_range
from dualad.errors import DualadError

Indices = Sequence[int] | npt.NDArray[np.integer[Any]]

TABLE_TEXTS = ("source", "defect", "group", "official_split", "sha256")
"""The columns of `Dataset.table` that hold text."""
_DAMAGE = "not a complete dataset cache"


class Dataset:
    """A cached dataset, open for reading; a context manager.

    Parameters
    ----------
    path
        A `dataset.h5` written by `build_dataset`.

    Raises
    ------
    DualadError
        If the file is missing, cut short, incomplete, no dataset, or not to be read.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        if not self.path.is_file():
            raise DualadError(f"{path}: no such file; run the workflow's rule `dataset` first")
        self._file = open_hdf5(self.path, _DAMAGE)
        with ExitStack() as on_error, reading_hdf5(self.path, _DAMAGE):
            on_error.callback(self._file.close)
            images, masks = self._file["images"], self._file["masks"]
            self.name = str(self._file.attrs["name"])
            self.reader = str(self._file.attrs["reader"])
            self.n_images = int(images.shape[0])
            self.image_size = int(images.shape[1])
            self.color = images.ndim == 4
            self.has_masks = bool(masks.shape[0] > 0)
            self.depth_range = self._range("depth_range")
            self.value_range = self._range("value_range")
            self.table = self._read_table()
            self._check(images, masks)
            on_error.pop_all()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the file."""
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def images(self, indices: Indices) -> npt.NDArray[np.float32]:
        """Load the images of some rows of `table`, in any order, repeats allowed.

        Returns
        -------
        numpy.ndarray
            float32 in [0, 1], (n, S, S), or (n, S, S, 3) for a cache in colour.
        """
        return to_unit_range(self._rows("images", self._checked(indices)))

    def masks(self, indices: Indices) -> npt.NDArray[np.bool_]:
        """Load the ground-truth masks of some rows of `table`, in any order, repeats allowed.

        Returns
        -------
        numpy.ndarray
            bool, (n, S, S); False throughout for a normal image and for one without a mask (the
            table's column `has_mask` tells them apart).
        """
        rows = self._file["mask_index"][...][self._checked(indices)]
        result = np.zeros((len(rows), self.image_size, self.image_size), dtype=np.bool_)
        present = rows >= 0
        result[present] = self._rows("masks", rows[present]).astype(np.bool_)
        return result

    def batches(self, indices: Indices, size: int) -> Iterator[npt.NDArray[np.float32]]:
        """Load images a few at a time, in order; the last batch may be smaller.

        Parameters
        ----------
        indices
            Rows of `table`.
        size
            Images per batch.
        """
        chosen = self._checked(indices)
        for start in range(0, len(chosen), size):
            yield self.images(chosen[start : start + size])

    def _check(self, images: h5py.Dataset, masks: h5py.Dataset) -> None:
        """Raise ValueError where the parts of the file do not fit together."""
        mask = (self.image_size, self.image_size)
        if images.shape[1:] not in (mask, (*mask, 3)) or images.dtype not in (np.uint8, np.float32):
            raise ValueError(f"images are {images.dtype} {images.shape}")
        if masks.shape[1:] != mask or masks.dtype != np.uint8:
            raise ValueError(f"masks are {masks.dtype} {masks.shape}")
        rows = self._file["mask_index"]
        if len(self.table) != self.n_images or rows[...].max(initial=-1) >= len(masks):
            raise ValueError(
                f"{len(self.table)} labels for {self.n_images} images and {len(masks)} masks"
            )
        if not self.table["label"].isin((0, 1)).all():
            raise ValueError("labels are 0 and 1")

    def _range(self, key: str) -> tuple[float, float] | None:
        """What was scaled to [0, 1]; None if the values were taken as they are."""
        stored = self._file.attrs.get(key)
        return None if stored is None else (float(stored[0]), float(stored[1]))

    def _checked(self, indices: Indices) -> npt.NDArray[np.int64]:
        chosen = np.asarray(indices, dtype=np.int64).reshape(-1)
        if chosen.size and (chosen.min() < 0 or chosen.max() >= self.n_images):
            raise IndexError(f"indices must lie in 0..{self.n_images - 1}")
        return chosen

    def _rows(self, key: str, rows: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
        """Rows of a chunked array; each chunk is decompressed once however scattered they are."""
        order = np.argsort(rows, kind="stable")
        ordered = rows[order]
        position = 0
        with reading_hdf5(self.path, _DAMAGE):
            stored = self._file[key]
            result = np.empty((len(rows), *stored.shape[1:]), dtype=stored.dtype)
            chunk = stored.chunks[0]
            while position < len(ordered):
                start = int(ordered[position]) // chunk * chunk
                end = int(np.searchsorted(ordered, start + chunk))
                block = stored[start : start + chunk]
                result[order[position:end]] = block[ordered[position:end] - start]
                position = end
        return result

    def _read_table(self) -> pd.DataFrame:
        columns: dict[str, Any] = {key: self._file[key].asstr()[...] for key in TABLE_TEXTS}
        columns["label"] = self._file["label"][...].astype(np.int64)
        columns["dropped"] = self._file["dropped"][...].astype(np.bool_)
        columns["has_mask"] = self._file["mask_index"][...] >= 0
        order = [
            *("source", "label", "defect", "group", "official_split", "dropped"),
            *("has_mask", "sha256"),
        ]
        return pd.DataFrame(columns)[order]
