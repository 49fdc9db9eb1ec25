"""PatchCore: neighbourhood means and the greedy core set against their definitions."""

import numpy as np
import pytest
from scipy.ndimage import uniform_filter
from scipy.spatial.distance import cdist

from dualad.methods.baselines.feature_detector import local_average, patch_features
from dualad.methods.baselines.patchcore import greedy_coreset, project, reweighted


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_a_patch_is_the_mean_of_its_neighbourhood(rng: np.random.Generator) -> None:
    """Eq. 2; at the border the neighbourhood ends there."""
    features = rng.normal(size=(2, 6, 7, 3)).astype(np.float32)
    found = np.asarray(local_average(features, 3))
    expected = uniform_filter(features, size=(1, 3, 3, 1))
    np.testing.assert_allclose(found[:, 1:-1, 1:-1], expected[:, 1:-1, 1:-1], atol=1e-5)
    np.testing.assert_allclose(found[:, 0, 0], features[:, :2, :2].mean(axis=(1, 2)), atol=1e-5)


def test_stages_are_joined_at_the_positions_of_the_first(rng: np.random.Generator) -> None:
    fine = rng.normal(size=(2, 6, 4, 3)).astype(np.float32)
    coarse = np.full((2, 3, 2, 5), 0.25, np.float32)
    found = patch_features([fine, coarse], 3)
    assert found.shape == (2, 6, 4, 8)
    np.testing.assert_allclose(found[..., :3], local_average(fine, 3), atol=1e-6)
    np.testing.assert_allclose(found[..., 3:], 0.25, atol=1e-6)


def test_each_point_of_the_coreset_is_the_furthest_from_those_before(
    rng: np.random.Generator,
) -> None:
    points = rng.normal(size=(30, 3)).astype(np.float32)
    distances = cdist(points, points)
    chosen = greedy_coreset(points, 12, rng).tolist()
    for count in range(1, 12):
        closest = distances[:, chosen[:count]].min(axis=1)
        assert chosen[count] == closest.argmax()


def test_a_random_projection_keeps_squared_lengths_on_average(rng: np.random.Generator) -> None:
    patches = rng.normal(size=(200, 300)).astype(np.float32)
    found = project(patches, 128, rng)
    assert found.shape == (200, 128) and found.dtype == np.float32
    ratio = np.square(found).sum() / np.square(patches).sum()
    assert ratio == pytest.approx(1, abs=0.05)
    assert project(patches, 300, rng) is patches


def test_the_weight_looks_around_the_neighbour_and_not_around_the_patch() -> None:
    # Nearest to the patch at 2 is row 0; row 2 lies nearer to the patch than row 1, which is the
    # nearest to row 0.
    bank = np.array([[0.0], [-1.0], [4.5]], np.float32)
    found = reweighted(np.array([2.0]), np.array([[2.0]]), np.array([0]), bank, neighbours=2)
    share = np.exp(2) / (np.exp(2) + np.exp(3))
    assert found == pytest.approx([(1 - share) * 2])
