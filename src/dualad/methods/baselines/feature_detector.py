"""What all methods on pretrained features have in common."""

from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import keras
import numpy as np
import tensorflow as tf
from scipy.ndimage import gaussian_filter

from dualad.data.plan import Seeds
from dualad.methods.base import (
    Detector,
    Experiment,
    FitReport,
    FloatArray,
    Floats,
    Indices,
    Scored,
    load_arrays,
    save_arrays,
)
from dualad.methods.baselines.features import FeatureExtractor, Stage
from dualad.runtime import seed_everything

BLUR_SIGMA = 4.0
"""Gaussian blur of an anomaly map in pixels of a 224 x 224 image, as PaDiM and PatchCore use it."""
_BLUR_REFERENCE = 224


class FeatureDetector(Detector):
    """A frozen backbone, and a few arrays that fitting finds.

    A subclass names its `stages` and `arrays`, computes the arrays in `_learn`, and turns feature
    maps into scores and anomaly maps in `_score_features`.

    Attributes
    ----------
    extractor_ : FeatureExtractor
    """

    scoring_batch = 32
    stages: ClassVar[tuple[Stage, ...]]
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
    def _score_features(self, features: list[FloatArray]) -> tuple[Floats | None, FloatArray]:
        """Scores (n,), or None for the maximum of the smoothed map, and raw maps (n, h, w)."""

    def score(self, images: FloatArray) -> Scored:
        scores, raw = self._score_features(self.extractor_(images))
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


def sample_images(
    train: Indices, max_images: int, rng: np.random.Generator
) -> tuple[Indices, list[str]]:
    """Training images drawn without replacement, at most `max_images` of them.

    Returns
    -------
    chosen, notes
        Dataset indices, ascending. A note says how many there were if some were left out.
    """
    chosen = np.sort(rng.permutation(train)[:max_images])
    left_out = len(chosen) < len(train)
    return chosen, [f"{len(chosen)} of {len(train)} training images"] if left_out else []


def stage_features(
    extractor: FeatureExtractor, experiment: Experiment, indices: Indices
) -> list[FloatArray]:
    """Feature maps (n, h, w, c) of some images, one array per stage or scale, all in memory."""
    parts = extractor.batches(experiment.dataset, indices)
    return [np.concatenate(stage) for stage in zip(*parts, strict=True)]


def stacked_stages(features: list[FloatArray]) -> tf.Tensor:
    """Channels of all stages at the first one's positions (n, h, w, sum of c), by repetition."""
    size = features[0].shape[1:3]
    return tf.concat(
        [tf.image.resize(stage, size, method="nearest") for stage in features], axis=-1
    )


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
