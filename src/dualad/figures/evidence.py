"""The pictures behind a decision: image, reconstruction, error map, saliency, masks."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dualad.data.dataset import Dataset
from dualad.errors import DualadError
from dualad.evaluation.maps import resized_maps
from dualad.evaluation.predictions import open_predictions
from dualad.figures.heat import HeatScale, normals_scale
from dualad.figures.inputs import MethodResults

Images = NDArray[np.float32]

_MAX_NORMALS = 200
_EPSILON = 1e-12


@dataclass(frozen=True)
class Evidence:
    """Pictures of n images under one method, (n, S, S) each; None where the method has none."""

    rows: pd.DataFrame
    """Their rows of `scores.csv`."""
    image: Images
    truth: Sequence[NDArray[np.bool_] | None] | None = None
    """Ground-truth masks, (S, S): of a normal image all False, of an anomalous one that came
    without a mask None; None in place of all for a dataset without any."""
    reconstruction: Images | None = None
    saliency: Images | None = None
    """Eq. 35, any scale."""
    anomaly_map: Images | None = None
    """What the method localises with; the squared error (eq. 33) if it stores no map."""
    map_name: str = ""
    scale: HeatScale | None = None
    """How `anomaly_map` is coloured, and where it becomes the predicted mask."""

    @property
    def error(self) -> Images | None:
        """Squared reconstruction error per pixel (eq. 33)."""
        return None if self.reconstruction is None else (self.image - self.reconstruction) ** 2

    @property
    def predicted(self) -> NDArray[np.bool_] | None:
        """Binary masks: the anomaly map above its cut-off."""
        if self.anomaly_map is None or self.scale is None:
            return None
        return self.anomaly_map > self.scale.cutoff


def normalised(maps: NDArray[Any]) -> Images:
    """Stretch each map to [0, 1] (eq. 34).

    Parameters
    ----------
    maps
        (n, h, w), any finite values.
    """
    values = np.asarray(maps, dtype=np.float64)
    low = values.min(axis=(1, 2), keepdims=True)
    high = values.max(axis=(1, 2), keepdims=True)
    return np.asarray((values - low) / (high - low + _EPSILON), dtype=np.float32)


def gather(dataset: Dataset, method: MethodResults, rows: pd.DataFrame) -> Evidence:
    """Collect the pictures of some rows of a method's `scores.csv`.

    Raises
    ------
    DualadError
        If an image is unknown to the dataset or to the predictions, or a file is damaged.
    """
    indices = _dataset_indices(dataset, method, rows)
    images = dataset.images(indices)
    with open_predictions(method.predictions_h5) as file:
        stored = pd.Index(file["index"][:])
        at = stored.get_indexer(pd.Index(indices))
        if (at < 0).any():
            raise DualadError(
                f"{method.predictions_h5}: no prediction for image "
                f"{rows['image'].iloc[int(np.argmin(at))]!r} of {method.name}'s scores; "
                "delete both files and run again"
            )
        reconstruction = _slices(file, "reconstruction", at)
        saliency = _slices(file, "saliency", at)
        if saliency is not None and np.isnan(saliency).any():
            # It was not computed for all of these images.
            saliency = None
        path = _map_path(file, method)
        normals = _normals(method, dataset, stored)
        if path:
            anomaly_map, normal_maps = _slices(file, path, at), _slices(file, path, normals)
        else:
            anomaly_map = _squared_error(images, reconstruction)
            originals = dataset.images(stored[normals].to_numpy())
            normal_maps = _squared_error(originals, _slices(file, "reconstruction", normals))
    normal_maps = _at_mask_size(normal_maps, dataset)
    return Evidence(
        rows,
        images,
        _truth(dataset, indices) if dataset.has_masks else None,
        reconstruction,
        saliency,
        _at_mask_size(anomaly_map, dataset),
        map_name=path.removeprefix("maps/") if path else "squared error",
        scale=None if normal_maps is None else normals_scale(normal_maps),
    )


def _dataset_indices(
    dataset: Dataset, method: MethodResults, rows: pd.DataFrame
) -> NDArray[np.int64]:
    sources = pd.Index(dataset.table["source"])
    indices = sources.get_indexer(pd.Index(rows["image"].astype(str)))
    if (indices < 0).any():
        unknown = rows["image"].iloc[int(np.argmin(indices))]
        raise DualadError(
            f"image {unknown!r} of {method.name}'s scores is not in dataset {dataset.name}; "
            "the scores belong to another dataset: delete them and run again"
        )
    return np.asarray(indices, dtype=np.int64)


def _truth(dataset: Dataset, indices: NDArray[np.int64]) -> list[NDArray[np.bool_] | None]:
    rows = dataset.table.iloc[indices]
    known = rows["has_mask"] | (rows["label"] == 0)
    return [
        mask if given else None for mask, given in zip(dataset.masks(indices), known, strict=True)
    ]


def _normals(method: MethodResults, dataset: Dataset, stored: pd.Index) -> NDArray[np.int64]:
    """Positions in the predictions of at most `_MAX_NORMALS` validation normals, spread evenly."""
    scores = method.scores
    normals = scores[(scores["split"] == "val") & (scores["label"] == 0)]
    if len(normals) > _MAX_NORMALS:
        normals = normals.iloc[np.linspace(0, len(normals) - 1, _MAX_NORMALS).astype(int)]
    at = stored.get_indexer(pd.Index(_dataset_indices(dataset, method, normals)))
    return np.sort(at[at >= 0])


def _map_path(file: h5py.File, method: MethodResults) -> str | None:
    """The map that the evaluator measured, else the default score's."""
    wanted = (method.metrics.get("map"), str(file.attrs["default_score"]))
    stored = file.get("maps", {})
    return next((f"maps/{name}" for name in wanted if name and name in stored), None)


def _slices(file: h5py.File, path: str, at: NDArray[np.int64]) -> Images | None:
    if path not in file or not len(at):
        return None
    unique, inverse = np.unique(at, return_inverse=True)
    return np.asarray(file[path][unique], dtype=np.float32)[inverse]


def _squared_error(images: Images, reconstruction: Images | None) -> Images | None:
    return None if reconstruction is None else (images - reconstruction) ** 2


def _at_mask_size(maps: Images | None, dataset: Dataset) -> Images | None:
    """The maps as they were compared with the masks: the mask that is drawn is the one measured."""
    return None if maps is None else resized_maps(maps, (dataset.image_size, dataset.image_size))
