"""MGAD: the distance to the nearest component, and which points a component has."""

import numpy as np
import pytest
from scipy.spatial.distance import mahalanobis

from dualad.methods.baselines.mgad import _smallest_mahalanobis, robust_mixture


def test_the_distance_is_scipys_to_the_nearest_component() -> None:
    rng = np.random.default_rng(0)
    points = rng.normal(size=(4, 3, 2)).astype(np.float32)
    means = rng.normal(size=(3, 5, 2)).astype(np.float32)
    root = rng.normal(size=(3, 5, 2, 2)).astype(np.float32)
    precisions = root @ root.transpose(0, 1, 3, 2) + np.eye(2, dtype=np.float32)
    found = np.asarray(_smallest_mahalanobis(points, means, precisions))
    for n in range(4):
        for p in range(3):
            expected = min(
                mahalanobis(points[n, p], means[p, k], precisions[p, k]) ** 2 for k in range(5)
            )
            assert found[n, p] == pytest.approx(expected, rel=1e-4)


def test_groups_far_apart_become_components() -> None:
    rng = np.random.default_rng(0)
    points = np.concatenate([rng.normal(size=(40, 2)), rng.normal(50, 1, size=(40, 2))])
    means, _ = robust_mixture(points, 2, 0.01, seed=0)
    np.testing.assert_allclose(np.sort(means[:, 0]), [0, 50], atol=1)


def test_a_component_of_few_points_takes_the_estimate_of_all() -> None:
    rng = np.random.default_rng(0)
    # Three points in two dimensions are fewer than twice the dimensions; four are not.
    for outlying, own in ((3, False), (4, True)):
        points = np.concatenate([rng.normal(size=(40, 2)), rng.normal(50, 1, size=(outlying, 2))])
        means, _ = robust_mixture(points, 2, 0.01, seed=0)
        assert (means.max() > 40) == own
