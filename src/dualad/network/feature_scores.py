"""From residuals and codes of feature vectors to anomaly maps and scores.

At every location the residual r of the standardised feature vector and its code z have a distance:

- `standardised`: root mean square of r's components, each less its mean and over its deviation in
  training at that location;
- `mahalanobis`: Mahalanobis distance of some of r's components together with z, with a covariance
  that is estimated at the location in training and shrunk towards that of all locations. It takes
  into account that residuals of many channels rise and fall together, and that a vector may be
  reconstructed well although its code is one that normal images do not have.

Distances are blurred over the map and standardised with their mean and deviation in training at
each location. The score is the mean of the highest 1 % of the map, which finds local defects, or,
for `standardised_mean` and `mahalanobis_mean`, the mean of the whole map, which finds what changes
an image everywhere.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast, get_args

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from dualad.arrays import read_arrays, write_arrays
from dualad.design.parameters import FeatureScore
from dualad.network.scores import blur

FloatArray = npt.NDArray[np.float32]
Batches = Callable[[], Iterable[tuple[FloatArray, FloatArray]]]
"""Gives, each time it is called, residuals (n, p, c) and codes (n, p, z) in batches."""

FEATURE_SCORES: tuple[FeatureScore, ...] = get_args(FeatureScore)
_BLUR = 2.4
"""Width of the Gaussian blur in pixels of a 68 x 68 map: about one location of a 28 x 28 map."""
_TOP_FRACTION = 0.01
_STD_FLOOR = 0.1
"""Smallest deviation at a location, as a fraction of the mean one."""
_SMALLEST = 1e-6
"""What deviations are at least, so that images that are all the same give finite distances."""
_RIDGE = 1e-3
"""Added to the diagonal of the covariance of all locations, as a fraction of its mean variance."""


@dataclass(frozen=True)
class FeatureStatistics:
    """What residuals and codes of training images are like at every one of p locations."""

    mean: FloatArray
    """(p, c) of the residuals."""
    std: FloatArray
    """(p, c) of the residuals."""
    channels: npt.NDArray[np.int64]
    """(k,) those whose residuals, with the codes, make the d components of a joint vector."""
    joint_mean: FloatArray
    """(p, d)."""
    precision: FloatArray
    """(p, d, d) inverse covariances of the joint vectors."""
    map_mean: FloatArray
    """(2, p) mean of the blurred distances `standardised` and `mahalanobis`."""
    map_std: FloatArray
    """(2, p)."""
    best_score: FeatureScore = "mahalanobis"
    """The score that `auto` stands for."""

    @classmethod
    def fit(
        cls, batches: Batches, channels: npt.NDArray[np.int64], shrinkage: float
    ) -> "FeatureStatistics":
        """Statistics of the training images.

        Parameters
        ----------
        batches
            Of all training images.
        channels
            (k,) those whose residuals have a covariance.
        shrinkage
            Share in [0, 1] of the covariance of all locations in that of each location.
        """
        mean, std = _moments(residuals for residuals, _ in batches())
        joint = (_joint(residuals, codes, channels) for residuals, codes in batches())
        joint_mean, precision = _gaussians(joint, shrinkage)
        p = len(mean)
        unit = (np.zeros((2, p), np.float32), np.ones((2, p), np.float32))
        plain = cls(mean, std, channels, joint_mean, precision, *unit)
        names: tuple[FeatureScore, ...] = ("standardised", "mahalanobis")
        parts = [
            np.stack([plain.distances(name, *batch) for name in names], axis=1)
            for batch in batches()
        ]
        distances = np.concatenate(parts).reshape(-1, 2, p)
        map_std = distances.std(axis=0, dtype=np.float64)
        floor = np.maximum(_STD_FLOOR * map_std.mean(axis=1, keepdims=True), _SMALLEST)
        return replace(
            plain,
            map_mean=distances.mean(axis=0, dtype=np.float64).astype(np.float32),
            map_std=np.maximum(map_std, floor).astype(np.float32),
        )

    def maps(self, score: FeatureScore, residuals: tf.Tensor, codes: tf.Tensor) -> tf.Tensor:
        """The map (n, g, g) behind a score, from residuals (n, p, c) and codes (n, p, z)."""
        blurred = self.distances(score, residuals, codes)
        row = 0 if score.startswith("standardised") else 1
        shape = blurred.shape[1:]
        return (blurred - self.map_mean[row].reshape(shape)) / self.map_std[row].reshape(shape)

    def distances(self, score: FeatureScore, residuals: tf.Tensor, codes: tf.Tensor) -> tf.Tensor:
        """Blurred distances (n, g, g), at least 0, behind a score."""
        if score.startswith("standardised"):
            scaled = (residuals - self.mean) / self.std
            distance = tf.sqrt(tf.reduce_mean(tf.square(scaled), axis=-1))
        else:
            joint = _joint(residuals, codes, self.channels)
            difference = tf.transpose(joint - self.joint_mean, [1, 0, 2])
            squared = tf.reduce_sum(tf.matmul(difference, self.precision) * difference, axis=-1)
            distance = tf.sqrt(tf.maximum(tf.transpose(squared), 0) / self.joint_mean.shape[1])
        side = round(distance.shape[1] ** 0.5)
        return blur(tf.reshape(distance, [-1, side, side]), _BLUR)

    def save(self, path: Path) -> None:
        """Write to an .npz file."""
        write_arrays(path, {name: getattr(self, name) for name in self.__dataclass_fields__})

    @classmethod
    def load(cls, path: Path) -> "FeatureStatistics":
        """Read what `save` wrote.

        Raises
        ------
        DualadError
            If the file is missing or damaged.
        """
        values = read_arrays(path, list(cls.__dataclass_fields__))
        best_score = str(values.pop("best_score"))
        return cls(**values, best_score=cast(FeatureScore, best_score))


def feature_score(score: FeatureScore, maps: tf.Tensor) -> tf.Tensor:
    """The score (n,) of that name from its maps (n, g, g)."""
    if score.endswith("_mean"):
        return tf.reduce_mean(maps, axis=[1, 2])
    return highest_mean(tf.reshape(maps, [-1, maps.shape[1] * maps.shape[2]]))


def highest_mean(values: tf.Tensor) -> tf.Tensor:
    """Mean (n,) of the highest 1 % of values (n, p)."""
    top = max(1, round(_TOP_FRACTION * values.shape[1]))
    return tf.reduce_mean(tf.math.top_k(values, top).values, axis=1)


def _joint(residuals: tf.Tensor, codes: tf.Tensor, channels: npt.NDArray[np.int64]) -> tf.Tensor:
    """Residuals of some channels and codes, (n, p, d)."""
    return tf.concat([tf.gather(residuals, channels, axis=-1), codes], axis=-1)


def _moments(batches: Iterable[FloatArray]) -> tuple[FloatArray, FloatArray]:
    """Mean and deviation (p, c) of residuals (n, p, c)."""
    n, sums, squares = 0, np.zeros(()), np.zeros(())
    for residuals in batches:
        sums = sums + residuals.sum(axis=0, dtype=np.float64)
        squares = squares + np.square(residuals).sum(axis=0, dtype=np.float64)
        n += len(residuals)
    mean = sums / n
    std = np.sqrt(np.maximum(squares / n - mean**2, 0))
    std = np.maximum(std, max(_STD_FLOOR * std.mean(), _SMALLEST))
    return mean.astype(np.float32), std.astype(np.float32)


def _gaussians(batches: Iterable[tf.Tensor], shrinkage: float) -> tuple[FloatArray, FloatArray]:
    """Mean (p, d) and inverse shrunk covariance (p, d, d) of joint vectors (n, p, d)."""
    n, sums, products = 0, np.zeros(()), np.zeros(())
    for vectors in batches:
        sums = sums + np.asarray(tf.reduce_sum(vectors, axis=0), dtype=np.float64)
        products = products + np.asarray(_outer_products(vectors), dtype=np.float64)
        n += len(vectors)
    mean = sums / n
    covariance = products / n - np.einsum("pc,pd->pcd", mean, mean)
    shared = covariance.mean(axis=0)
    ridge = max(_RIDGE * np.trace(shared) / len(shared), _SMALLEST)
    identity = np.eye(len(shared))
    shrunk = (1 - shrinkage) * covariance + shrinkage * (shared + ridge * identity)
    # Without shrinkage and with few images the covariance of a location is singular.
    precision = np.linalg.inv(shrunk + _RIDGE * ridge * identity)
    return mean.astype(np.float32), precision.astype(np.float32)


@tf.function(reduce_retracing=True, autograph=False)
def _outer_products(vectors: tf.Tensor) -> tf.Tensor:
    """Sums over images of v v^T at every location, (p, d, d)."""
    by_location = tf.transpose(vectors, [1, 0, 2])
    return tf.matmul(by_location, by_location, transpose_a=True)
