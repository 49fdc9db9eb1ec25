"""What all methods on pretrained features have in common."""

from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Self
from zipfile import BadZipFile

import keras
import numpy as np
import tensorflow as tf
from scipy.ndimage import gaussian_filter

from dualad.data.plan import Seeds
from dualad.errors import DualadError
from dualad.methods.base import Detector, Experiment, FitReport, FloatArray, Floats, Indices, Scored
from dualad.methods.baselines.features import FeatureExtractor
from dualad.runtime import seed_everything

BLUR_SIGMA = 4.0
"""Gaussian blur of an anomaly map in pixels of a 224 x 224 image, as PaDiM and PatchCore use it."""
_BLUR_REFERENCE = 224


class FeatureDetector(Detector):
    """A frozen backbone, and a few arrays that fitting finds.

    A subclass names its `stages` and `arrays`, learns the arrays in `_learn` and turns the feature
    maps of images into scores and maps in `_judge`.

    Attributes
    ----------
    extractor_ : FeatureExtractor
    """

    scoring_batch = 32
    stages: ClassVar[tuple[int, ...]]
    arrays: ClassVar[tuple[str, ...]]

    def fit(self, experiment: Experiment) -> FitReport:
        seeds = experiment.seeds(self.params)
        train, validation = experiment.split.attempt(1, seeds.numpy)
        seed_everything(seeds)
        self.extractor_ = self._extractor(seeds.tensorflow)
        seed_everything(seeds)
        notes = self._learn(experiment, train, seeds)
        return FitReport(
            family=self.family,
            n_parameters=self.extractor_.n_parameters
            + sum(np.size(getattr(self, name)) for name in self.arrays),
            validation=validation.tolist(),
            notes=[*self.extractor_.notes, *notes],
        )

    def _extractor(self, seed: int) -> FeatureExtractor:
        return FeatureExtractor(self.params, self.stages, seed)

    @abstractmethod
    def _learn(self, experiment: Experiment, train: Indices, seeds: Seeds) -> list[str]:
        """Compute the attributes named in `arrays`; return notes on the result."""

    @abstractmethod
    def _judge(self, features: list[FloatArray]) -> tuple[Floats | None, FloatArray]:
        """Scores (n,), None for the maximum of the map, and raw maps (n, h, w)."""

    def score(self, images: FloatArray) -> Scored:
        scores, raw = self._judge(self.extractor_(images))
        maps = smooth_maps(raw, images.shape[1])
        if scores is None:
            scores = maps.max(axis=(1, 2)).astype(np.float64)
        return Scored({self.family: scores}, maps={self.family: maps})

    def save(self, folder: Path) -> None:
        self.extractor_.save(folder)
        save_arrays(self, self.arrays, folder)

    @classmethod
    def load(cls, folder: Path, params: Any) -> Self:
        detector = cls(params)
        detector.extractor_ = FeatureExtractor.load(folder)
        load_arrays(detector, cls.arrays, folder)
        return detector


def save_arrays(owner: object, names: tuple[str, ...], folder: Path) -> None:
    """Write attributes of `owner` to `model.npz`."""
    with (folder / "model.npz").open("wb") as file:
        np.savez(file, **{name: getattr(owner, name) for name in names})


def load_arrays(owner: object, names: tuple[str, ...], folder: Path) -> None:
    """Set attributes of `owner` to what `save_arrays` wrote.

    Raises
    ------
    DualadError
        If the file is missing or damaged.
    """
    path = folder / "model.npz"
    try:
        with np.load(path) as stored:
            for name in names:
                setattr(owner, name, stored[name])
    except (OSError, ValueError, KeyError, BadZipFile) as error:
        raise DualadError(f"{path}: damaged ({error}); delete it and run again") from error


def smooth_maps(maps: FloatArray, size: int) -> FloatArray:
    """Raw maps (n, h, w) enlarged bilinearly to (n, S, S) and blurred (PaDiM, section III-C)."""
    enlarged = tf.image.resize(maps[..., np.newaxis], (size, size))[..., 0].numpy()
    sigma = BLUR_SIGMA * size / _BLUR_REFERENCE
    blurred: FloatArray = gaussian_filter(enlarged, sigma=(0, sigma, sigma))
    return blurred


def local_average(features: FloatArray | tf.Tensor, patch: int) -> tf.Tensor:
    """Mean over the patch x patch neighbourhood of every position (PatchCore, eq. 2)."""
    return tf.nn.avg_pool2d(features, patch, strides=1, padding="SAME")


def patch_features(features: list[FloatArray], patch: int) -> FloatArray:
    """Neighbourhood means of all stages, at the first one's positions (n, h, w, sum of c)."""
    size = features[0].shape[1:3]
    parts = [tf.image.resize(local_average(stage, patch), size) for stage in features]
    return np.asarray(tf.concat(parts, axis=-1))


def sample_patches(
    extractor: FeatureExtractor,
    experiment: Experiment,
    train: Indices,
    patch: int,
    max_patches: int,
    rng: np.random.Generator,
) -> tuple[FloatArray, list[str]]:
    """Patch features (m, c) of the training images, at most `max_patches` of them.

    Which positions of which image are kept is drawn before any feature is computed, so memory does
    not grow with the number of images.

    Returns
    -------
    patches, notes
        A note says how many there were if some were left out.
    """
    h, w = extractor.sizes[0]
    total = len(train) * h * w
    kept = np.sort(rng.choice(total, size=min(total, max_patches), replace=False))
    parts = []
    start = 0
    for features in extractor.batches(experiment.dataset, train):
        embedded = patch_features(features, patch).reshape(-1, sum(extractor.channels))
        inside = kept[(kept >= start) & (kept < start + len(embedded))]
        parts.append(embedded[inside - start])
        start += len(embedded)
    notes = [f"{len(kept)} of {total} patches"] if len(kept) < total else []
    return np.concatenate(parts), notes


def flat_weights(models: Sequence[keras.Model]) -> FloatArray:
    """All weights of some models, one after another."""
    weights = [weight.reshape(-1) for model in models for weight in model.get_weights()]
    return np.concatenate(weights).astype(np.float32)


def set_flat_weights(models: Sequence[keras.Model], flat: FloatArray) -> None:
    """Inverse of `flat_weights`, for models of the same shape."""
    start = 0
    for model in models:
        values = []
        for weight in model.get_weights():
            values.append(flat[start : start + weight.size].reshape(weight.shape))
            start += weight.size
        model.set_weights(values)
