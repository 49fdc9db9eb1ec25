"""MGAD: Gaussian mixtures with robust covariance (Wei et al., Meas. Sci. Technol. 35, 2024).

An interpretation: what is public names multi-layer pretrained features, a Gaussian mixture per
position, a robust covariance, the smallest Mahalanobis distance and a robust core set.
"""

import warnings

import numpy as np
import tensorflow as tf

from dualad.data.plan import Seeds
from dualad.design.parameters import MgadParams
from dualad.methods.base import Experiment, FloatArray, Floats, Indices
from dualad.methods.baselines.feature_detector import FeatureDetector, sample_images, stacked_stages


class Mgad(FeatureDetector):
    """Smallest Mahalanobis distance to the components of a mixture, at every position.

    Features of two middle stages, reduced by one principal component analysis for all positions. At
    each position a Gaussian mixture assigns the training images to components; mean and covariance
    of a component come from the core half of its members (minimum covariance determinant), so that
    outliers among them have no weight.

    Attributes
    ----------
    basis_ : float32 array (c, d)
    center_ : float32 array (c,)
        The principal components, and the mean.
    means_ : float32 array (h * w, k, d)
    precisions_ : float32 array (h * w, k, d, d)
    """

    family = "mgad"
    least_training_images = 2  # one image has no principal component
    stages = (2, 3)
    arrays = ("basis_", "center_", "means_", "precisions_")
    params: MgadParams

    def _learn(self, experiment: Experiment, train: Indices, seeds: Seeds) -> list[str]:
        # Imported here: scoring does not need it.
        from sklearn.decomposition import PCA

        rng = np.random.default_rng([seeds.numpy, 1])
        chosen, notes = sample_images(train, self.params.max_images, rng)
        parts = [_joined(f) for f in self.extractor_.batches(experiment.dataset, chosen)]
        features = np.concatenate(parts)
        n, positions, channels = features.shape
        flat = features.reshape(-1, channels)
        d = min(self.params.components, channels, n - 1)
        seed = int(rng.integers(2**31))
        pca = PCA(d, svd_solver="covariance_eigh", random_state=seed).fit(flat)
        self.center_: FloatArray = pca.mean_.astype(np.float32)
        self.basis_: FloatArray = pca.components_.T.astype(np.float32)
        reduced = self._reduce(features).astype(np.float64)
        fitted = [
            robust_mixture(reduced[:, p], self.params.mixture, self.params.regularization, seed)
            for p in range(positions)
        ]
        self.means_ = np.stack([means for means, _ in fitted]).astype(np.float32)
        self.precisions_ = np.stack([precisions for _, precisions in fitted]).astype(np.float32)
        return notes

    def _score_features(self, features: list[FloatArray]) -> tuple[None, FloatArray]:
        h, w = features[0].shape[1:3]
        reduced = self._reduce(_joined(features))
        squared = np.asarray(_smallest_mahalanobis(reduced, self.means_, self.precisions_))
        return None, np.sqrt(np.maximum(squared, 0)).reshape(-1, h, w)

    def _reduce(self, features: FloatArray) -> FloatArray:
        return np.asarray((features - self.center_) @ self.basis_, dtype=np.float32)


def robust_mixture(
    points: Floats, components: int, regularization: float, seed: int
) -> tuple[Floats, Floats]:
    """Means (k, d) and inverse covariances (k, d, d) of a mixture's components.

    Parameters
    ----------
    points : float64 array (n, d)
    components : int
        k. A component with fewer than 2 d members has no covariance of its own: it takes the
        estimate from all points.
    regularization : float
        Added to the diagonal of every covariance.
    seed : int
    """
    from sklearn.covariance import MinCovDet
    from sklearn.mixture import GaussianMixture

    d = points.shape[1]

    def robust(members: Floats) -> tuple[Floats, Floats]:
        if len(members) < 2 * d:
            center, covariance = members.mean(axis=0), np.cov(members.T).reshape(d, d)
        else:
            with warnings.catch_warnings():
                # Nearly flat directions are what the regularisation is for.
                warnings.simplefilter("ignore")
                estimate = MinCovDet(random_state=seed).fit(members)
            center, covariance = estimate.location_, estimate.covariance_
        return center, np.asarray(np.linalg.inv(covariance + regularization * np.eye(d)))

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mixture = GaussianMixture(
            min(components, len(points)),
            covariance_type="diag",
            reg_covar=regularization,
            random_state=seed,
        ).fit(points)
    owner = mixture.predict(points)
    everything = robust(points)
    fitted = [
        robust(points[owner == k]) if np.sum(owner == k) >= 2 * d else everything
        for k in range(components)
    ]
    means, precisions = zip(*fitted, strict=True)
    return np.stack(means), np.stack(precisions)


def _joined(features: list[FloatArray]) -> FloatArray:
    """All stages' channels at the first one's positions (n, h * w, c)."""
    stacked = np.asarray(stacked_stages(features))
    return stacked.reshape(len(stacked), -1, stacked.shape[-1])


@tf.function(reduce_retracing=True, autograph=False)
def _smallest_mahalanobis(points: tf.Tensor, means: tf.Tensor, precisions: tf.Tensor) -> tf.Tensor:
    """Squared distances (n, p) of (n, p, d) to the nearest of k components at each position."""
    difference = tf.transpose(points, [1, 0, 2])[:, tf.newaxis] - means[:, :, tf.newaxis]
    squared = tf.reduce_sum(tf.matmul(difference, precisions) * difference, axis=-1)
    return tf.transpose(tf.reduce_min(squared, axis=1))
