"""PatchCore: distance to a core set of normal patch features (Roth et al., CVPR 2022)."""

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from dualad.data.plan import Seeds
from dualad.design.parameters import PatchcoreParams
from dualad.methods.base import Experiment, FloatArray, Floats, Indices
from dualad.methods.baselines.feature_detector import (
    FeatureDetector,
    patch_features,
    sample_patches,
)

_QUERIES = 4096
"""Patches whose distances to the whole bank are held at a time."""


class Patchcore(FeatureDetector):
    """Nearest-neighbour distance to a memory bank, reduced to a greedy core set.

    Features of two middle stages, averaged over 3 x 3 neighbourhoods (section 3.1); at most
    `max_patches` of them, of which a greedy k-centre selection keeps the share `coreset` (section
    3.2, algorithm 1) in a random projection. The score is the largest distance of a patch to its
    nearest neighbour, weighted down where that neighbour lies among many (section 3.3, eq. 7).

    Attributes
    ----------
    bank_ : float32 array (m, c)
    """

    family = "patchcore"
    stages = (2, 3)
    arrays = ("bank_",)
    params: PatchcoreParams

    def _learn(self, experiment: Experiment, train: Indices, seeds: Seeds) -> list[str]:
        rng = np.random.default_rng([seeds.numpy, 1])
        patches, notes = sample_patches(
            self.extractor_, experiment, train, self.params.patch, self.params.max_patches, rng
        )
        wanted = max(1, round(self.params.coreset * len(patches)))
        chosen = greedy_coreset(project(patches, self.params.projection, rng), wanted, rng)
        self.bank_: FloatArray = patches[chosen]
        return notes

    def _score_features(self, features: list[FloatArray]) -> tuple[Floats, FloatArray]:
        embedded = patch_features(features, self.params.patch)
        n, h, w, c = embedded.shape
        distances, nearest = nearest_in(self.bank_, embedded.reshape(-1, c))
        distances, nearest = distances.reshape(n, -1), nearest.reshape(n, -1)
        worst = distances.argmax(axis=1)
        rows = np.arange(n)
        scores = reweighted(
            distances[rows, worst],
            embedded.reshape(n, -1, c)[rows, worst],
            nearest[rows, worst],
            self.bank_,
            self.params.neighbours,
        )
        return scores, distances.reshape(n, h, w)


def project(patches: FloatArray, dimension: int, rng: np.random.Generator) -> FloatArray:
    """Patches (m, c) in a random projection to at most `dimension` numbers (Johnson-Lindenstrauss).

    Parameters
    ----------
    dimension
        Patches that are no wider stay as they are.
    """
    if patches.shape[1] <= dimension:
        return patches
    # Imported here: scoring does not need it.
    from sklearn.random_projection import GaussianRandomProjection

    projection = GaussianRandomProjection(dimension, random_state=int(rng.integers(2**31)))
    return np.asarray(projection.fit_transform(patches), dtype=np.float32)


def greedy_coreset(
    points: FloatArray, wanted: int, rng: np.random.Generator
) -> npt.NDArray[np.int64]:
    """Rows of `points` (m, d) chosen one after another, each the furthest from all before.

    The largest distance of a point to the chosen ones is at most twice the smallest possible with
    as many (Gonzalez, 1985). The first is drawn at random.

    Returns
    -------
    int64 array (min(wanted, m),)
    """
    columns = tf.constant(points)
    squares = tf.reduce_sum(columns**2, axis=1)
    closest = tf.fill([len(points)], tf.constant(np.inf, tf.float32))
    chosen = _select(
        columns, squares, closest, int(rng.integers(len(points))), min(wanted, len(points))
    )
    return np.asarray(chosen, dtype=np.int64)


@tf.function(reduce_retracing=True)
def _select(
    points: tf.Tensor, squares: tf.Tensor, closest: tf.Tensor, first: tf.Tensor, wanted: tf.Tensor
) -> tf.Tensor:
    chosen = tf.TensorArray(tf.int32, size=wanted)
    latest = tf.cast(first, tf.int32)
    for i in tf.range(wanted):
        chosen = chosen.write(i, latest)
        point = points[latest]
        distances = squares - 2 * tf.linalg.matvec(points, point) + squares[latest]
        closest = tf.minimum(closest, distances)
        # Rounding must not let a chosen point be chosen again before all others.
        closest = tf.tensor_scatter_nd_update(closest, [[latest]], [-np.inf])
        latest = tf.argmax(closest, output_type=tf.int32)
    return chosen.stack()


def nearest_in(bank: FloatArray, queries: FloatArray) -> tuple[FloatArray, npt.NDArray[np.int64]]:
    """Distance to, and row of, the nearest row of `bank` (m, c) for each of `queries` (q, c)."""
    squares = np.square(bank).sum(axis=1)
    parts = []
    for start in range(0, len(queries), _QUERIES):
        block = queries[start : start + _QUERIES]
        # The distance is computed from the difference itself: near zero, the expanded square of
        # the search cancels.
        nearest = np.asarray(_nearest(bank, squares, block))
        parts.append((np.linalg.norm(block - bank[nearest], axis=1), nearest))
    distances, rows = (np.concatenate(part) for part in zip(*parts, strict=True))
    return distances.astype(np.float32), rows.astype(np.int64)


@tf.function(reduce_retracing=True, autograph=False)
def _nearest(bank: tf.Tensor, squares: tf.Tensor, queries: tf.Tensor) -> tf.Tensor:
    return tf.argmin(squares - 2 * tf.matmul(queries, bank, transpose_b=True), axis=1)


def reweighted(
    distances: FloatArray,
    patches: FloatArray,
    nearest: npt.NDArray[np.int64],
    bank: FloatArray,
    neighbours: int,
) -> Floats:
    """Scores of images from their worst patches (eq. 7).

    Parameters
    ----------
    distances : (n,)
        Of each image's worst patch to its nearest neighbour in the bank.
    patches : (n, c)
        The worst patches.
    nearest : (n,)
        Rows of those neighbours.
    bank : (m, c)
    neighbours : int
        b, how many of the bank's rows around the neighbour are looked at.

    Returns
    -------
    float64 array (n,)
        (1 - share of the neighbour in the softmax of distances to its surroundings) * distance.
    """
    scores = []
    for distance, patch, row in zip(distances.astype(np.float64), patches, nearest, strict=True):
        around = np.argsort(np.linalg.norm(bank - bank[row], axis=1), kind="stable")[:neighbours]
        lengths = np.linalg.norm(bank[around] - patch, axis=1).astype(np.float64)
        # The softmax, shifted so that it cannot overflow.
        share = np.exp(distance - lengths.max()) / np.exp(lengths - lengths.max()).sum()
        scores.append((1 - share) * distance)
    return np.array(scores, dtype=np.float64)
