"""Decoding, resizing and masks."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image
from samples import pixels, save_depth, save_image
from scipy import ndimage

from dualad.data.images import ImageFile, decode_array, load_image, resize_mask
from dualad.errors import DualadError

BOOL_IMAGES = hnp.arrays(np.bool_, hnp.array_shapes(min_dims=2, max_dims=2, max_side=60))


@given(BOOL_IMAGES, st.integers(1, 40))
def test_a_mask_is_empty_exactly_if_it_was(mask, size):
    resized = resize_mask(mask, size)
    assert resized.shape == (size, size)
    assert set(np.unique(resized)) <= {0, 1}
    assert resized.any() == mask.any()


@given(BOOL_IMAGES, st.integers(1, 5))
def test_a_mask_enlarged_by_an_integer_keeps_every_pixel(mask, factor):
    side = max(mask.shape)
    square = np.zeros((side, side), dtype=bool)
    square[: mask.shape[0], : mask.shape[1]] = mask
    expected = np.kron(square, np.ones((factor, factor), dtype=bool))
    assert (resize_mask(square, side * factor) == expected).all()


def test_every_small_defect_survives_and_large_ones_keep_their_area():
    mask = np.zeros((1024, 1024), dtype=bool)
    mask[100, 100] = mask[700:703, 400:402] = True
    mask[300:600, 600:900] = True
    resized = resize_mask(mask, 68)
    assert ndimage.label(resized)[1] == 3
    assert resized.mean() == pytest.approx(mask.mean(), rel=0.05)


@given(
    hnp.arrays(np.uint8, hnp.array_shapes(min_dims=2, max_dims=2, max_side=40)),
    st.integers(1, 40),
)
def test_resizing_stays_within_the_range_of_the_pixels(image, size):
    resized = decode_array(image, size, color=False).pixels
    assert resized.min() >= image.min()
    assert resized.max() <= image.max()


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA", "P", "1", "CMYK"])
@pytest.mark.parametrize("color", [False, True])
def test_modes(tmp_path, mode, color):
    path = tmp_path / ("a.tif" if mode == "CMYK" else "a.png")
    Image.fromarray(np.full((20, 20, 3), 255, dtype=np.uint8)).convert(mode).save(path)
    image = load_image(path, 8, color=color)
    assert image.shape == ((8, 8, 3) if color else (8, 8))
    assert image.dtype == np.float32
    np.testing.assert_allclose(image, 1, atol=0.01)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_sixteen_bits(tmp_path, suffix):
    values = np.linspace(0, 65535, 256).astype(np.uint16).reshape(16, 16)
    Image.fromarray(values).save(tmp_path / f"a{suffix}")
    image = load_image(tmp_path / f"a{suffix}", 16)
    np.testing.assert_allclose(image, values / 65535, atol=0.003)


def test_thirty_two_bits_have_no_range(tmp_path):
    Image.fromarray(np.ones((8, 8), dtype=np.float32)).save(tmp_path / "a.tif")
    with pytest.raises(DualadError, match=r"a\.tif.*convert to 8 or 16 bits"):
        load_image(tmp_path / "a.tif", 8)


def test_a_large_jpeg_decoded_at_half_size_looks_the_same(tmp_path):
    smooth = ndimage.gaussian_filter(pixels(0, (496, 512)).astype(float), 6)
    smooth = ((smooth - smooth.min()) / np.ptp(smooth) * 255).astype(np.uint8)
    Image.fromarray(smooth).save(tmp_path / "a.jpg", quality=95)
    Image.fromarray(smooth).save(tmp_path / "a.png")
    jpeg, png = (load_image(tmp_path / name, 68) for name in ("a.jpg", "a.png"))
    assert np.abs(jpeg - png).max() < 0.03
    assert ImageFile(tmp_path / "a.jpg").decode(68, False).size == (512, 496)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (b"Dear diary, ...", "not an image"),
        ("truncated", "truncated"),
        (None, "No such file"),
    ],
)
@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif"])
def test_bad_files(tmp_path, content, message, suffix):
    path = save_image(tmp_path / f"a{suffix}", 0, (200, 200))
    if content is None:
        path.unlink()
    elif content == "truncated":
        whole = path.read_bytes()
        path.write_bytes(whole[: len(whole) // 2])
        message = "truncated|damaged|not an image"
    else:
        path.write_bytes(content)
    with pytest.raises(DualadError, match=rf"a\{suffix}: .*({message})"):
        load_image(path, 8)


def test_depth_of_a_new_image(tmp_path):
    path = save_depth(tmp_path / "a.tiff", np.full((10, 10), 0.5, dtype=np.float32))
    np.testing.assert_allclose(load_image(path, 4, depth_range=(0.4, 0.6)), 0.55, atol=1e-5)
    assert load_image(path, 4, depth_range=(0.4, 0.6), color=True).shape == (4, 4, 3)


def test_truncated_depth(tmp_path):
    path = save_depth(tmp_path / "a.tiff", np.full((30, 30), 0.5, dtype=np.float32))
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(DualadError, match="TIFF"):
        load_image(path, 4, depth_range=(0.4, 0.6))
