"""What the files of a fitted method say of it, in the result tree or in an export."""

import json
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np

from dualad.data.dataset import Dataset
from dualad.deployment.archive import MANIFEST
from dualad.design.experiments import Method, resolve_methods
from dualad.errors import DualadError
from dualad.evaluation.decisions import apply_threshold
from dualad.evaluation.drift import NormalImages
from dualad.figures.heat import HeatScale
from dualad.figures.overlays import validation_scale
from dualad.files import read_json, reading
from dualad.methods.base import FitReport

HEAT_FILE = "heat.json"
"""In an export, in place of the predictions by which the colours of maps are scaled."""
NORMALS_FILE = "normals.npz"
"""In an export, in place of the dataset with the validation normals."""
_MOST_NORMALS = 200
"""Validation normals with which new images are compared, at most."""


@dataclass(frozen=True)
class FittedMethod:
    """A method's `fit.json` and `threshold.json`, checked."""

    folder: Path
    """Where they are, and the model's files."""
    method: Method
    report: FitReport
    threshold: dict[str, Any]

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read what fitting and evaluation left.

        Parameters
        ----------
        folder
            A method's folder in the result tree, such as `results/bottle/dual`.

        Raises
        ------
        DualadError
            If a file is missing or damaged.
        """
        if not folder.exists():
            raise DualadError(f"{folder}: no such folder; name a folder of results, or an export")
        for name in ("fit.json", "threshold.json"):
            if not (folder / name).exists():
                raise DualadError(
                    f"{folder}: no {name}; name the results folder of one method, such as "
                    "results/bottle/dual, after its run has finished"
                )
        with reading(folder / "fit.json"):
            report = FitReport.read(folder / "fit.json")
            if not report.image_size > 0:
                raise ValueError(f"image_size is {report.image_size}")
        path = folder / "threshold.json"
        threshold = read_json(path)
        with reading(path, DualadError):
            # Refuses NaN and infinity, which Python's parser lets pass.
            json.dumps(threshold, allow_nan=False)
            method = resolve_methods({"model": threshold["method"]})["model"]
            for name in ("score", "rule"):
                if not isinstance(threshold[name], str):
                    raise TypeError(f"{name} is not a text")
            # A trial, so that a damaged entry is found before hours of scoring.
            apply_threshold(threshold, [0.0], [0.0], [0.0])
        return cls(folder, replace(method, name=_name(folder)), report, threshold)

    @property
    def score(self) -> str:
        """Name of the score that decides."""
        return str(self.threshold["score"])

    @property
    def ranges(self) -> dict[str, Any]:
        """Which values became 0 and 1 in training, as `load_image` takes them."""
        named = {"depth_range": self.report.depth_range, "value_range": self.report.value_range}
        return {name: None if ends is None else tuple(ends) for name, ends in named.items()}

    def heat_scale(self) -> HeatScale | None:
        """Scale of the colours of the method's maps; None if it has none of its score.

        Raises
        ------
        DualadError
            If the files by which the colours are scaled are missing or damaged.
        """
        path = self.folder / HEAT_FILE
        if not path.exists():
            return validation_scale(self.folder, self.score)
        values = read_json(path)
        with reading(path):
            return HeatScale(float(values["floor"]), float(values["cutoff"])) if values else None

    def normal_images(self) -> NormalImages | None:
        """What is known of the validation normals; None without the dataset that they are in.

        Raises
        ------
        DualadError
            If the file that tells it is damaged.
        """
        path = self.folder / NORMALS_FILE
        if path.exists():
            return NormalImages.load(path)
        size = self.method.input_size
        dataset_h5 = self.folder.parent / (f"colour{size}.h5" if size else "dataset.h5")
        if not dataset_h5.exists():
            return None
        with Dataset(dataset_h5) as dataset:
            validation = np.array(self.report.validation, dtype=np.int64)
            with reading(self.folder / "fit.json"):
                labels = dataset.table["label"].to_numpy()[validation]
            normals = validation[labels == 0]
            step = max(math.ceil(len(normals) / _MOST_NORMALS), 1)
            chosen = np.sort(normals[::step])
            return NormalImages.measure(dataset.images(chosen)) if len(chosen) else None


def _name(folder: Path) -> str:
    """The method's name in the configuration: an unpacked export says it, else the folder does."""
    manifest = folder / MANIFEST
    if not manifest.exists():
        return folder.resolve().name
    return str(read_json(manifest).get("method", folder.resolve().name))
