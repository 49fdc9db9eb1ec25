"""Arrays are read as files with the same values are, or refused."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from dualad.data.formats import UnreadableImageError
from dualad.data.images import load_content, load_image
from dualad.deployment.given import given_images
from dualad.errors import DualadError
from dualad.methods.base import FitReport

RNG = np.random.default_rng(0)


def report(**values: Any) -> FitReport:
    return FitReport("pca", 0, [], image_size=8, **values)


def read(array: Any, given_report: FitReport, **options: Any) -> np.ndarray[Any, Any]:
    (image,) = given_images(array)
    return load_content(image.content(given_report), 8, **options)


@pytest.mark.parametrize("color", [False, True])
@pytest.mark.parametrize("shape", [(20, 24), (20, 24, 3), (20, 24, 4)])
def test_8_bits_are_read_as_from_a_png(shape: tuple[int, ...], color: bool, tmp_path: Path) -> None:
    array = RNG.integers(0, 256, shape, dtype=np.uint8)
    Image.fromarray(array).save(tmp_path / "a.png")
    expected = load_image(tmp_path / "a.png", 8, color=color)
    for same in (array, array.astype(np.float64) / 255, array.astype(np.float32) / 255):
        np.testing.assert_array_equal(read(same[None], report(color=color), color=color), expected)


def test_a_last_axis_of_one_channel_is_grey() -> None:
    array = RNG.integers(0, 256, (1, 20, 24), dtype=np.uint8)
    np.testing.assert_array_equal(read(array[..., None], report()), read(array, report()))


@pytest.mark.parametrize("value_range", [None, (0.0, 4095.0)])
def test_16_bits_are_read_as_from_a_png_by_the_range_of_training(
    value_range: tuple[float, float] | None, tmp_path: Path
) -> None:
    array = RNG.integers(0, 4096, (20, 24), dtype=np.uint16)
    Image.fromarray(array).save(tmp_path / "a.png")
    expected = load_image(tmp_path / "a.png", 8, value_range=value_range)
    found = read(array[None], report(), value_range=value_range)
    np.testing.assert_array_equal(found, expected)


def test_coordinates_are_read_as_from_a_tiff(tmp_path: Path) -> None:
    array = RNG.uniform(0.2, 0.8, (20, 24, 3)).astype(np.float32)
    tifffile.imwrite(tmp_path / "a.tiff", array)
    expected = load_image(tmp_path / "a.tiff", 8, depth_range=(0.2, 0.8))
    of_depth = report(depth_range=[0.2, 0.8])
    np.testing.assert_array_equal(read(array[None], of_depth, depth_range=(0.2, 0.8)), expected)
    for wrong in (array[None, ..., 0], (255 * array[None]).astype(np.uint8)):
        with pytest.raises(UnreadableImageError, match="the detector reads depth"):
            read(wrong, of_depth)


@pytest.mark.parametrize(
    ("array", "reason"),
    [
        (np.full((1, 9, 9), 255.0), "floating-point values from 255 to 255"),
        (np.full((1, 9, 9), -0.1), "floating-point values from -0.1"),
        (np.full((1, 9, 9), np.nan), "floating-point values from nan"),
        (np.zeros((1, 9, 9), np.int64), "int64 has no known range"),
        (np.zeros((1, 9, 9), bool), "bool has no known range"),
    ],
)
def test_values_without_a_certain_meaning_are_refused(array: Any, reason: str) -> None:
    with pytest.raises(UnreadableImageError, match=reason):
        read(array, report())


def test_shares_of_a_range_that_the_detector_knows_are_refused() -> None:
    with pytest.raises(UnreadableImageError, match="give them as uint16"):
        read(np.zeros((1, 9, 9)), report(value_range=[0, 4095]))


@pytest.mark.parametrize("shape", [(9,), (9, 9), (9, 9, 3), (2, 9, 9, 2), (2, 3, 9, 9), (2, 0, 9)])
def test_shapes_that_do_not_tell_where_an_image_begins_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(DualadError, match="images: an array of shape"):
        given_images(np.zeros(shape, np.uint8))


def test_images_are_called_by_position_or_path(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    content = io.BytesIO()
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(content, "png")
    for name in ("b.png", "sub/a.png"):
        (tmp_path / name).write_bytes(content.getvalue())
    sizes = [np.zeros((5, 6), np.uint8), np.zeros((7, 8, 3), np.uint8)]
    path = str(tmp_path / "b.png")
    for given, names in (
        (sizes, ["0", "1"]),
        (np.zeros((2, 5, 6), np.uint8), ["0", "1"]),
        (tmp_path, ["b.png", "sub/a.png"]),
        (path, [path]),
        ([path, tmp_path / "sub/a.png"], [path, str(tmp_path / "sub/a.png")]),
    ):
        assert [image.name for image in given_images(given)] == names


def test_nothing_to_read_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DualadError, match="none were given"):
        given_images([])
    with pytest.raises(DualadError, match="no images in this folder"):
        given_images(tmp_path)
    (tmp_path / "gone.png").symlink_to(tmp_path / "nowhere.png")
    with pytest.raises(DualadError, match=r"gone\.png: the link leads to"):
        given_images(tmp_path)
