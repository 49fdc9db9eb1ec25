"""Synthetic defects: the same ones whatever the size of the image, each in a part of it."""

import numpy as np
import pytest

from dualad.data.synthetic import KINDS, with_defects

RNG = np.random.default_rng(0)


def texture(size: int, *channels: int) -> np.ndarray:
    return RNG.random((size, size, *channels)).astype(np.float32)


@pytest.mark.parametrize("shape", [(16,), (68,), (32, 3)])
@pytest.mark.parametrize("index", range(5))
def test_every_defect_changes_a_part_of_the_image_and_stays_in_range(
    shape: tuple[int, ...], index: int
) -> None:
    image = texture(*shape)
    defective = with_defects(image, index, seed=1)
    assert defective.shape == (len(KINDS), *image.shape) and defective.dtype == np.float32
    assert defective.min() >= 0 and defective.max() <= 1
    changed = np.mean(defective != image, axis=tuple(range(1, defective.ndim)))
    assert np.all(changed > 0) and np.all(changed < 0.2)


def test_the_position_and_the_seed_determine_the_defects() -> None:
    image = texture(20)
    once = with_defects(image, 3, seed=1)
    np.testing.assert_array_equal(with_defects(image, 3, seed=1), once)
    assert not np.array_equal(with_defects(image, 4, seed=1), once)
    assert not np.array_equal(with_defects(image, 3, seed=2), once)


def test_small_grey_and_large_colour_images_get_the_same_defects() -> None:
    """On images of one shade, the change is the defect's shape."""
    small, large = np.full((32, 32), 0.5, np.float32), np.full((128, 128, 3), 0.5, np.float32)
    for index in range(4):
        grey = with_defects(small, index, seed=1) - 0.5
        colour = with_defects(large, index, seed=1) - 0.5
        reduced = colour.mean(axis=-1).reshape(len(KINDS), 32, 4, 32, 4).mean(axis=(2, 4))
        np.testing.assert_allclose(grey, reduced, atol=0.11)
        assert abs(float(np.mean(grey - reduced))) < 1e-3


def test_kinds_do_what_they_are_called() -> None:
    image = texture(64)
    patch, scar, blur, brightness = with_defects(image, 2, seed=1)
    inside = blur != image
    assert blur[inside].std() < 0.5 * image[inside].std()
    for changed in (scar, brightness):
        inside = np.abs(changed - image) > 1e-6
        assert len(np.unique(np.sign((changed - image)[inside]))) == 1
    assert np.mean(scar != image) < np.mean(patch != image)
