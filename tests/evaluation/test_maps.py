import numpy as np
import pytest

from dualad.evaluation.maps import resized_maps


@pytest.fixture
def maps():
    return np.random.default_rng(0).random((5, 12, 12)).astype(np.float32)


def test_maps_of_the_right_size_are_left_alone(maps):
    assert resized_maps(maps, (12, 12)) is maps


@pytest.mark.parametrize("size", [(30, 30), (5, 5), (17, 9)])
def test_a_map_comes_out_the_same_whatever_the_others_are(maps, size):
    together = resized_maps(maps, size)
    assert together.shape == (5, *size) and together.dtype == np.float32
    for alone, other in zip(maps, together, strict=True):
        assert np.array_equal(resized_maps(alone[None], size)[0], other)


def test_a_ramp_stays_a_ramp():
    ramp = np.tile(np.arange(8, dtype=np.float32), (1, 8, 1))
    larger = resized_maps(ramp, (16, 16))[0]
    # Pixels are areas: the centres of two new ones lie a quarter of a pixel beside an old one's.
    np.testing.assert_allclose(larger[8, 2:-2], np.arange(16)[2:-2] / 2 - 0.25, atol=1e-6)
