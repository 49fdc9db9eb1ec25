"""From reconstructions to anomaly maps and scores.

Four scores of one residual r = x_hat - x:

- `l2`: L2 norm of r (eq. 30); map r^2 (eq. 33);
- `msle`: mean squared difference of logarithms (eq. 22); map its summands;
- `standardised`: root mean square of the per-pixel standardised residual; map its square;
- `blurred_z`: r blurred, then standardised per pixel; map its absolute value; score the mean of
  the map's highest 1 %. How much to blur is chosen on validation images.

The last two standardise with the mean and standard deviation of the training residuals. TensorFlow
operations throughout, so that Monte Carlo sampling can compile them together with the decoder.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import cast, get_args

import numpy as np
import numpy.typing as npt
import tensorflow as tf
from scipy.ndimage import gaussian_filter1d

from dualad.arrays import read_arrays, write_arrays
from dualad.design.parameters import Score
from dualad.network.trainer import squared_log_error

FloatArray = npt.NDArray[np.float32]

SCORE_NAMES: tuple[Score, ...] = get_args(Score)
_REFERENCE_SIZE = 68
"""Side of the images at which blurs are given in pixels; they scale with the image size."""
_TOP_FRACTION = 0.01
_STD_FLOOR = 0.1
"""Smallest per-pixel standard deviation, as a fraction of the mean one: pixels that hardly vary in
training must not dominate."""


@dataclass(frozen=True)
class ResidualStatistics:
    """Per-pixel mean and standard deviation (S, S) of plain and of blurred training residuals."""

    blur_sigma: float
    """Width of the Gaussian blur, in pixels of a 68 x 68 image."""
    mean: FloatArray
    std: FloatArray
    blurred_mean: FloatArray
    blurred_std: FloatArray
    best_score: Score = "blurred_z"
    """The score that `auto` stands for."""

    @classmethod
    def fit(
        cls, batches: Iterable[tuple[FloatArray, FloatArray]], blur_sigmas: Sequence[float]
    ) -> "list[ResidualStatistics]":
        """Statistics for every width of the blur, in one pass over the training images.

        Parameters
        ----------
        batches
            Images and their reconstructions, each (n, S, S).
        blur_sigmas
            In pixels of a 68 x 68 image.
        """
        count, sums, squares = 0, np.zeros(()), np.zeros(())
        for images, reconstructions in batches:
            residual = reconstructions - images
            blurred = [np.asarray(blur(residual, sigma)) for sigma in blur_sigmas]
            residuals = np.stack([residual, *blurred]).astype(np.float64)
            sums = sums + residuals.sum(axis=1)
            squares = squares + np.square(residuals).sum(axis=1)
            count += len(images)
        means = sums / count
        stds = np.sqrt(np.maximum(squares / count - means**2, 0))
        floors = _STD_FLOOR * stds.mean(axis=(1, 2), keepdims=True)
        # All are zero only if the model reconstructs every training pixel exactly.
        stds = np.maximum(np.maximum(stds, floors), np.finfo(np.float32).eps)
        means, stds = means.astype(np.float32), stds.astype(np.float32)
        return [
            cls(sigma, means[0], stds[0], means[i], stds[i])
            for i, sigma in enumerate(blur_sigmas, start=1)
        ]

    def save(self, path: Path) -> None:
        """Write to an .npz file."""
        write_arrays(path, vars(self))

    @classmethod
    def load(cls, path: Path) -> "ResidualStatistics":
        """Read what `save` wrote.

        Raises
        ------
        DualadError
            If the file is missing or damaged.
        """
        defaults = {"best_score": cls.best_score}
        values = read_arrays(path, list(cls.__dataclass_fields__), defaults)
        blur_sigma, best_score = (values.pop(name) for name in ("blur_sigma", "best_score"))
        return cls(float(blur_sigma), **values, best_score=cast(Score, str(best_score)))


def anomaly_map(
    score: Score, images: tf.Tensor, reconstructions: tf.Tensor, statistics: ResidualStatistics
) -> tf.Tensor:
    """The map (n, S, S), at least 0, higher where more anomalous, behind the score of that name."""
    residual = reconstructions - images
    if score == "l2":
        return tf.square(residual)
    if score == "msle":
        return squared_log_error(images, reconstructions)
    if score == "standardised":
        return tf.square((residual - statistics.mean) / statistics.std)
    blurred = blur(residual, statistics.blur_sigma)
    return tf.abs((blurred - statistics.blurred_mean) / statistics.blurred_std)


def image_score(score: Score, maps: tf.Tensor) -> tf.Tensor:
    """The score (n,) of that name from its maps (n, S, S)."""
    if score == "l2":
        return tf.sqrt(tf.reduce_sum(maps, axis=[1, 2]))
    if score == "msle":
        return tf.reduce_mean(maps, axis=[1, 2])
    if score == "standardised":
        return tf.sqrt(tf.reduce_mean(maps, axis=[1, 2]))
    n_pixels = maps.shape[1] * maps.shape[2]
    top = max(1, round(_TOP_FRACTION * n_pixels))
    return tf.reduce_mean(tf.math.top_k(tf.reshape(maps, [-1, n_pixels]), top).values, axis=1)


def blur(images: tf.Tensor, sigma: float) -> tf.Tensor:
    """Gaussian blur of (n, S, S), reflecting at the border, as two matrix products."""
    size = images.shape[-1]
    kernel = _blur_matrix(size, sigma)
    rows = tf.reshape(tf.reshape(images, [-1, size]) @ kernel.T, [-1, size, size])
    return tf.einsum("ij,njk->nik", kernel, rows)


@cache
def _blur_matrix(size: int, sigma: float) -> FloatArray:
    pixels = sigma * size / _REFERENCE_SIZE
    matrix: npt.NDArray[np.float64] = gaussian_filter1d(np.eye(size), pixels, axis=0)
    return matrix.astype(np.float32)
