"""CITN: how much each transformation changes an image."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from dualad.methods.baselines.citn import add_noise, blur, erase


@pytest.fixture
def images() -> np.ndarray:
    return np.random.default_rng(0).uniform(0.6, 0.9, (2, 64, 64, 3)).astype(np.float32)


def test_a_quarter_of_the_cells_is_filled_with_grey(images: np.ndarray) -> None:
    found = erase(images, np.random.default_rng(1))
    erased = (found != images).any(axis=-1)
    # Cells of 8 x 8 pixels are erased whole, the same ones in both images.
    cells = erased.reshape(2, 8, 8, 8, 8).mean(axis=(2, 4))
    assert set(np.unique(cells)) == {0, 1} and np.all(cells.sum(axis=(1, 2)) == 16)
    np.testing.assert_array_equal(cells[0], cells[1])
    assert np.all(found[erased] == 0.5)
    np.testing.assert_array_equal(found[~erased], images[~erased])


def test_the_blur_has_at_most_a_fiftieth_of_the_side(images: np.ndarray) -> None:
    for seed in range(20):
        found = blur(images, np.random.default_rng(seed))
        sigma = np.random.default_rng(seed).uniform(0.25, 1.0) * 64 / 50
        for image in range(2):
            for channel in range(3):
                expected = gaussian_filter(images[image, ..., channel], sigma)
                np.testing.assert_allclose(found[image, ..., channel], expected, atol=1e-6)


def test_the_noise_has_deviation_a_tenth_and_no_mean() -> None:
    grey = np.full((2, 64, 64, 3), 0.5, np.float32)
    difference = add_noise(grey, np.random.default_rng(1)) - grey
    assert difference.std() == pytest.approx(0.1, rel=0.03)
    assert difference.mean() == pytest.approx(0, abs=0.003)
    black = add_noise(np.zeros_like(grey), np.random.default_rng(1))
    white = add_noise(np.ones_like(grey), np.random.default_rng(1))
    assert black.min() == 0 and white.max() == 1
