"""Statistics of images against computations by hand."""

import numpy as np
import pytest

from dualad.data.statistics import STATISTICS, brightness, contrast, gradient


def test_statistics_of_a_small_image_by_hand() -> None:
    image = np.array([[[0.0, 1.0, 0.0], [0.0, 0.5, 0.5]]], dtype=np.float32)
    assert brightness(image)[0] == pytest.approx(2 / 6)
    assert contrast(image)[0] == pytest.approx(np.std([0, 1, 0, 0, 0.5, 0.5]))
    across, down = np.mean([1, 1, 0.5, 0]), np.mean([0, 0.5, 0.5])
    assert gradient(image)[0] == pytest.approx((across + down) / 2)


@pytest.mark.parametrize("name", STATISTICS)
def test_an_images_statistic_does_not_depend_on_the_others(name: str) -> None:
    images = np.random.default_rng(0).random((5, 7, 7), dtype=np.float32)
    alone = [STATISTICS[name](images[i : i + 1])[0] for i in range(5)]
    found = STATISTICS[name](images)
    assert found.dtype == np.float64 and found.tolist() == alone


def test_a_darker_image_is_darker_flatter_and_smoother() -> None:
    images = np.random.default_rng(0).random((4, 9, 9), dtype=np.float32)
    for statistic in STATISTICS.values():
        np.testing.assert_allclose(statistic(images / 2), statistic(images) / 2, rtol=1e-6)
