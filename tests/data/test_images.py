"""Decoding, resizing and masks."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image
from samples import pixels, save_depth, save_image
from scipy import ndimage

from dualad.data.formats import UnreadableImageError
from dualad.data.images import ImageFile, MaskFile, decode_array, load_image, resize_mask
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


# Masks

DEFECT = np.zeros((24, 32), dtype=bool)
DEFECT[5:15, 8:20] = True
DEFECT[18:20, 2:4] = True
INK = 255 * DEFECT.astype(np.uint8)


def drawn(background, color, alpha=None):
    """An image of the defect in a colour, on another."""
    image = np.where(DEFECT[..., None], np.uint8(color), np.uint8(background))
    if alpha is not None:
        image = np.concatenate([image, alpha[..., None].astype(np.uint8)], axis=-1)
    return Image.fromarray(image.astype(np.uint8))


def indexed(palette, indices=DEFECT):
    image = Image.fromarray(np.asarray(indices, dtype=np.uint8))
    image.putpalette(np.asarray(palette, dtype=np.uint8).tobytes())
    return image


BLACK, WHITE, RED = (0, 0, 0), (255, 255, 255), (255, 0, 0)
MASKS = {
    "grey": Image.fromarray(INK),
    "zeros and ones": Image.fromarray(DEFECT.astype(np.uint8)),
    "classes": Image.fromarray(np.where(DEFECT, np.arange(32, dtype=np.uint8) % 5 + 1, 0)),
    "one bit": Image.fromarray(DEFECT),
    "16 bits": Image.fromarray(DEFECT.astype(np.uint16)),
    "32 bits": Image.fromarray(DEFECT.astype(np.int32)),
    "floats": Image.fromarray(DEFECT.astype(np.float32)),
    "RGB": drawn(BLACK, WHITE),
    "dark blue": drawn(BLACK, (0, 0, 1)),
    "quantized": Image.fromarray(INK).convert("RGB").quantize(2),
    "white first": indexed([WHITE, BLACK], ~DEFECT),
    "coloured index": indexed([BLACK, (128, 0, 0)]),
    "drawn on transparency": drawn(BLACK, RED, INK),
    "hidden colours": drawn(WHITE, WHITE, INK),
    "black on transparency": drawn(BLACK, BLACK, INK),
    "black on transparent white": drawn(WHITE, BLACK, INK),
    "faint overlay": drawn(BLACK, RED, INK // 2),
    "opaque alpha": drawn(BLACK, WHITE, np.full(DEFECT.shape, 255)),
    "even alpha": drawn(BLACK, WHITE, np.full(DEFECT.shape, 100)),
    "partly transparent background": drawn(BLACK, WHITE, np.where(np.arange(32) < 30, 255, INK)),
    "grey and alpha": drawn(WHITE, WHITE, INK).convert("LA"),
    "CMYK": drawn(BLACK, WHITE).convert("CMYK"),
    "YCbCr": drawn(BLACK, WHITE).convert("YCbCr"),
}


def suffix(image):
    return ".png" if image.mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16") else ".tif"


@pytest.mark.parametrize("kind", MASKS)
def test_masks_of_every_kind(tmp_path, kind):
    image = MASKS[kind]
    path = tmp_path / f"mask{suffix(image)}"
    image.save(path)
    mask, size = MaskFile(path).decode_mask(32)
    assert size == (32, 24)
    assert (mask == resize_mask(DEFECT, 32)).all()


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGBA"])
def test_a_transparent_index_or_grey_is_background(tmp_path, mode):
    image = {"P": indexed([WHITE, RED]), "1": Image.fromarray(DEFECT)}.get(
        mode, Image.fromarray(INK)
    )
    if mode in ("LA", "RGBA"):
        image = drawn(WHITE, WHITE, INK).convert(mode)
        image.save(tmp_path / "a.png")
    else:
        image.save(tmp_path / "a.png", transparency=0)
    assert (MaskFile(tmp_path / "a.png").decode_mask(32)[0] == resize_mask(DEFECT, 32)).all()


def test_a_black_index_on_a_transparent_one_is_a_defect(tmp_path):
    indexed([BLACK, BLACK]).save(tmp_path / "a.png", transparency=0)
    assert (MaskFile(tmp_path / "a.png").decode_mask(32)[0] == resize_mask(DEFECT, 32)).all()


@pytest.mark.parametrize("quality", [30, 75, 95])
@pytest.mark.parametrize("container", ["JPEG", "WEBP", "AVIF", "TIFF"])
def test_lossy_compression_lets_no_defect_grow(tmp_path, container, quality):
    options = {"compression": "jpeg"} if container == "TIFF" else {}
    Image.fromarray(INK).save(tmp_path / "a", container, quality=quality, **options)
    mask, _ = MaskFile(tmp_path / "a").decode_mask(32)
    assert (mask != resize_mask(DEFECT, 32)).sum() <= 2


UPRIGHT = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.T,
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].T,
    8: lambda a: np.rot90(a, 1),
}
"""What a viewer does, per EXIF orientation (row 0 and column 0 lie where the standard says)."""


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.tif", "deep.png", "deep.tif", "float.tif"])
def test_a_mask_is_turned_like_its_image(tmp_path, name, orientation):
    image = Image.fromarray(
        DEFECT.astype(np.float32) if "float" in name
        else DEFECT.astype(np.uint16) if "deep" in name else INK
    )  # fmt: skip
    exif = Image.Exif()
    exif[0x0112] = orientation
    image.save(tmp_path / name, exif=exif)
    turned = UPRIGHT[orientation](DEFECT)
    mask, size = MaskFile(tmp_path / name).decode_mask(32)
    assert size == ((24, 32) if orientation >= 5 else (32, 24))
    if name != "a.jpg":
        assert (mask == resize_mask(turned, 32)).all()


REFUSED_MASKS = {
    "no black": (drawn((1, 1, 1), WHITE), "several colours without black"),
    "coloured background": (indexed([(68, 1, 84), (253, 231, 37)]), "without black"),
    "two black indices": (indexed([BLACK, BLACK]), "several indices have the colour black"),
    "all transparent": (drawn(BLACK, WHITE, np.zeros(DEFECT.shape)), "transparent throughout"),
    "negative": (Image.fromarray(-DEFECT.astype(np.int32)), "negative"),
    "no number": (Image.fromarray(np.where(DEFECT, np.nan, 0).astype(np.float32)), "no numbers"),
}


@pytest.mark.parametrize("kind", REFUSED_MASKS)
def test_a_mask_that_cannot_be_told_from_its_background_is_refused(tmp_path, kind):
    image, message = REFUSED_MASKS[kind]
    path = tmp_path / f"mask{suffix(image)}"
    image.save(path)
    with pytest.raises(UnreadableImageError, match=message):
        MaskFile(path).decode_mask(32)


@pytest.mark.parametrize(
    ("color", "message"), [((120, 120, 120), "areas of grey"), ((30, 30, 30), "brightest value is")]
)
def test_a_lossy_mask_in_grey_is_refused(tmp_path, color, message):
    drawn(BLACK, color).save(tmp_path / "a.jpg")
    with pytest.raises(UnreadableImageError, match=message):
        MaskFile(tmp_path / "a.jpg").decode_mask(32)


def test_empty_and_full_masks_stay_what_they_are(tmp_path):
    for value in (0, 255):
        for name in ("a.png", "a.jpg"):
            Image.fromarray(np.full((9, 9), value, dtype=np.uint8)).save(tmp_path / name)
            assert (MaskFile(tmp_path / name).decode_mask(5)[0] == value // 255).all()
