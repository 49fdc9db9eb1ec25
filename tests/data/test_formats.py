"""Every kind of image file is read as a viewer shows it, or refused by name."""

import io
from contextlib import suppress

import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pictures import KINDS, LINEAR_RGB, luma, png16, saved, tiff
from PIL import Image
from samples import SIZE, pixels, save_image

from dualad.data import formats
from dualad.data.formats import UnreadableImageError, deep_values, describe_content
from dualad.data.images import ImageFile, MaskFile, defective_pixels, load_image
from dualad.data.ranges import shown_range
from dualad.errors import DualadError


def check(folder, kind, seed, side, orientation, color):
    """Compare what is read with what was written; training and scoring agree to the bit."""
    picture = KINDS[kind](np.random.default_rng(seed), side, orientation)
    path = folder / "picture"
    path.write_bytes(picture.content)
    side = picture.shown.shape[0]
    decoded = ImageFile(path).decode(side, color)
    expected = picture.shown if color else luma(picture.shown)
    assert decoded.pixels.shape == expected.shape
    assert np.abs(decoded.pixels - expected).max() <= picture.tolerance, kind
    scored = load_image(path, side, color=color)
    assert (scored == decoded.pixels / np.float32(255)).all()


CASES = {
    "kind": st.sampled_from(sorted(KINDS)),
    "seed": st.integers(0, 2**32 - 1),
    "side": st.integers(1, 24),
    "orientation": st.integers(1, 8),
    "color": st.booleans(),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("pictures")


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_file_is_read_as_it_is_shown(folder, kind):
    for color in (False, True):
        check(folder, kind, 0, 12, 1, color)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(
    "kind", ["JPEG, RGB", "PNG, L", "PNG, RGBA", "WEBP, RGB", "AVIF lossy", "TIFF, L",
             "TIFF lzw, RGB", "16 bits, png rgb", "16 bits, tiff rgb", "tifffile, planes"]
)  # fmt: skip
def test_all_orientations(folder, kind, orientation):
    check(folder, kind, 1, 24, orientation, True)


@settings(max_examples=100, deadline=None, derandomize=True, database=None)
@given(**CASES)
def test_a_sample_of_files_is_read_as_it_is_shown(folder, kind, seed, side, orientation, color):
    check(folder, kind, seed, side, orientation, color)


@pytest.mark.slow
@settings(
    max_examples=2000, deadline=None, suppress_health_check=[HealthCheck.too_slow], database=None
)
@given(**CASES)
def test_files_are_read_as_they_are_shown(folder, kind, seed, side, orientation, color):
    check(folder, kind, seed, side, orientation, color)


# What training and scoring read


def test_training_and_scoring_read_the_same_bits(build, tmp_path):
    """Every kind of file in one dataset, with a range that its deep training images set."""
    rng = np.random.default_rng(5)
    for number, kind in enumerate(sorted(KINDS)):
        path = tmp_path / f"data/{('normal', 'anomalous')[number % 2]}/{number:03d}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(KINDS[kind](rng, 20, 1 + number % 8).content)
    save_deep(tmp_path / "data/normal/few.png", rng.integers(500, 3000, (20, 20)))
    for color in (False, True):
        dataset, _ = build({"reader": "folder", "path": str(tmp_path / "data")}, color=color)
        for row, source in enumerate(dataset.table.source):
            scored = load_image(
                tmp_path / "data" / source, SIZE, color=color, value_range=dataset.value_range
            )
            assert (scored == dataset.images([row])[0]).all()
        dataset.close()


# Ranges of images of more than 8 bits


def save_deep(path, values):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values.astype(np.uint16)).save(path)


def deep_folder(root, make, seeds=range(6)):
    for seed in seeds:
        values = make(np.random.default_rng(seed))
        save_deep(root / f"train/good/{seed}.png", values)
        save_deep(root / f"test/good/{seed}.png", values[::-1])
    save_deep(root / "test/hole/0.png", np.full((SIZE, SIZE), 65535))
    return {"reader": "folder", "path": str(root)}


def test_twelve_bits_in_a_file_of_sixteen_use_all_greys(build, tmp_path, caplog):
    entry = deep_folder(tmp_path / "a", lambda rng: rng.integers(0, 4096, (SIZE, SIZE)))
    save_deep(tmp_path / "a/test/good/9.png", np.tile([2000, 2080], (SIZE, SIZE // 2)))
    dataset, summary = build(entry)
    assert dataset.value_range == (0, 4095)
    assert summary["value_range"] == [0, 4095]
    row = dataset.table.index[dataset.table.source == "test/good/9.png"][0]
    greys = dataset.images([row])[0, 0, :2] * 255
    np.testing.assert_allclose(greys, [125, 130])
    # What is brighter than the range is white.
    assert (dataset.images([dataset.n_images - 1]) == 1).all()
    assert "are 6 % of what their files can hold; 0 is shown as black and 4095" in caplog.text


def test_sixteen_bits_that_are_used_are_shown_whole(build, tmp_path, caplog):
    entry = deep_folder(tmp_path / "a", lambda rng: rng.integers(0, 65536, (SIZE, SIZE)))
    dataset, summary = build(entry)
    assert dataset.value_range is summary["value_range"] is None
    assert caplog.text == ""
    stored = np.asarray(Image.open(tmp_path / "a" / dataset.table.source[0]))
    assert (dataset.images([0])[0] * 255 == np.round(stored / 257)).all()


def test_eight_bits_have_no_range(build, mvtec, monkeypatch):
    monkeypatch.setattr(formats, "read_bytes", lambda *_: pytest.fail("read twice"))
    dataset, summary = build({"reader": "mvtec", "path": str(mvtec)})
    assert dataset.value_range is summary["value_range"] is None


def test_colours_of_twelve_bits(build, tmp_path):
    entry = deep_folder(tmp_path / "a", lambda rng: rng.integers(0, 4096, (SIZE, SIZE)))
    values = np.random.default_rng(1).integers(0, 4096, (SIZE, SIZE, 4))
    values[..., 3] = 65535
    values[:3, :3, 3] = 0
    writers = {
        "a": (png16(values[..., :3], 2), values[..., :3]),
        "b": (png16(values, 6), values[..., :3]),
        "c": (png16(values[..., [0, 3]], 4), values[..., [0, 0, 0]]),
        "d": (tiff(values[..., :3].astype(np.uint16), photometric="rgb"), values[..., :3]),
        "e": (
            tiff(values[..., :3].astype(">u2"), photometric="rgb", byteorder=">", orientation=6),
            np.rot90(values[..., :3], -1),
        ),
        "f": (
            tiff(values[..., :3].astype(np.uint16), photometric="rgb", compression="zlib"),
            values[..., :3],
        ),
    }
    for name, (content, _) in writers.items():
        (tmp_path / f"a/test/hole/{name}").write_bytes(content)
        (tmp_path / f"a/train/good/{name}").write_bytes(content + b"\0")
    dataset, _ = build(entry, color=True)
    assert dataset.value_range == (0, 4095)
    images = dict(zip(dataset.table.source, dataset.images(range(dataset.n_images)), strict=True))
    for name, (_, shown) in writers.items():
        expected = shown / 4095
        if name in "bc":
            expected[:3, :3] = 1
        np.testing.assert_allclose(images[f"test/hole/{name}"], expected, atol=0.51 / 255)


def test_signed_values_are_shown_by_the_range_of_training(build, tmp_path):
    for seed in range(4):
        values = np.random.default_rng(seed).integers(-1000, 1001, (SIZE, SIZE), dtype=np.int16)
        path = tmp_path / f"a/train/good/{seed}.tif"
        path.parent.mkdir(parents=True, exist_ok=True)
        tifffile.imwrite(path, values)
    dataset, _ = build({"reader": "folder", "path": str(tmp_path / "a")})
    low, high = dataset.value_range
    assert low == pytest.approx(-1500, abs=20)
    assert high == 1023
    expected = (values - low) / (high - low)
    np.testing.assert_allclose(dataset.images([3])[0], expected, atol=0.51 / 255)
    with pytest.raises(DualadError, match=r"3\.tif: signed 16-bit pixels have no known range"):
        load_image(path, SIZE)


@pytest.mark.parametrize(
    ("limits", "container", "expected"),
    [
        ((0, 4095), (0, 65535), (0, 4095)),
        ((300, 3000), (0, 65535), (0, 3675)),
        ((0, 255), (0, 65535), (0, 255)),
        ((29000, 31000), (0, 65535), (28500, 31500)),
        ((100, 60000), (0, 65535), None),
        ((7, 7), (0, 65535), None),
        ((0, 4000), (0, 4095), None),
        ((-1000, 3000), (-32768, 32767), (-2000, 4000)),
        ((-30000, 30000), (-32768, 32767), (-32768, 32767)),
    ],
)
def test_the_range_that_is_shown(limits, container, expected):
    assert shown_range(limits, container) == expected


@given(st.integers(0, 65535), st.integers(0, 65535))
def test_the_range_holds_every_value_of_training(first, second):
    low, high = sorted((first, second))
    shown = shown_range((low, high), (0, 65535)) or (0, 65535)
    assert 0 <= shown[0] <= low <= high <= shown[1] <= 65535


def test_stray_pixels_that_set_the_range_are_told(build, tmp_path, caplog):
    def make(rng):
        values = rng.integers(1000, 1010, (SIZE, SIZE))
        values[0, 0] = 9000
        return values

    build(deep_folder(tmp_path / "a", make))
    assert "98 % of the values of every such image are between 1000 and 1009" in caplog.text


def test_a_mixture_of_depths_is_told(build, tmp_path, caplog):
    entry = deep_folder(tmp_path / "a", lambda rng: rng.integers(0, 65536, (SIZE, SIZE)))
    save_image(tmp_path / "a/train/good/x.png", 0)
    build(entry)
    assert "6 of 7 normal training images have more than 8 bits" in caplog.text


# What is refused


def frames(container, **options):
    pages = [Image.fromarray(pixels(seed)) for seed in range(3)]
    return saved(pages[0], container, save_all=True, append_images=pages[1:], **options)


ARRAY = np.arange(64).reshape(8, 8)
REFUSED = {
    "animated GIF": (frames("GIF"), "3 frames or pages"),
    "animated PNG": (frames("PNG"), "3 frames or pages"),
    "animated WebP": (frames("WEBP"), "3 frames or pages"),
    "pages": (frames("TIFF"), "3 frames or pages"),
    "views of a stereo camera": (frames("MPO"), "3 frames or pages"),
    "animated AVIF": (frames("AVIF"), "3 frames or pages"),
    "float32": (tiff(ARRAY.astype(np.float32)), "32-bit pixels"),
    "float64": (tiff(ARRAY.astype(np.float64)), "TIFF of float64"),
    "float16": (tiff(ARRAY.astype(np.float16)), "TIFF of float16"),
    "int32": (tiff(ARRAY.astype(np.int32)), "32-bit pixels"),
    "uint32": (tiff(ARRAY.astype(np.uint32)), "32-bit pixels"),
    "int8": (tiff(ARRAY.astype(np.int8)), "signed 8-bit"),
    "int16": (tiff(ARRAY.astype(np.int16)), "signed 16-bit"),
    "complex": (tiff(ARRAY.astype(np.complex64)), "TIFF of complex64"),
    "float colours": (tiff(np.ones((8, 8, 3), np.float32), photometric="rgb"), "TIFF of float32"),
    "five channels": (
        tiff(np.ones((8, 8, 5), np.uint8), photometric="minisblack", planarconfig="contig"),
        "not supported",
    ),
    "planes of 16 bits": (
        tiff(np.ones((3, 8, 8), np.uint16), photometric="rgb", planarconfig="separate"),
        "separate planes",
    ),
    "volume": (
        tiff(np.ones((4, 16, 16), np.uint8), photometric="minisblack", volumetric=True,
             tile=(4, 16, 16)),
        "volume of 4 slices|not supported",
    ),
    "text": (b"Dear diary", "not an image"),
}  # fmt: skip


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_not_certain_is_refused_by_name(tmp_path, kind):
    content, message = REFUSED[kind]
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(DualadError, match=rf"/a: .*({message})"):
        load_image(tmp_path / "a", 8)


def test_thumbnails_and_previews_are_no_frames(tmp_path):
    """Reduced versions of a TIFF's page, and smaller images after that of a camera's JPEG."""
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(pixels(0, (32, 32)))
        file.write(pixels(1, (16, 16)), subfiletype=1)
    (tmp_path / "a.jpg").write_bytes(
        saved(Image.fromarray(pixels(0, (32, 32))), "MPO", save_all=True,
              append_images=[Image.fromarray(pixels(1, (16, 16)))])
    )  # fmt: skip
    assert (load_image(tmp_path / "a.tif", 32) * 255 == pixels(0, (32, 32))).all()
    assert describe_content((tmp_path / "a.jpg").read_bytes()).frames == 1
    assert load_image(tmp_path / "a.jpg", 32).shape == (32, 32)


def test_min_is_white_of_sixteen_bits_is_inverted(tmp_path):
    values = np.array([[0, 65535]], dtype=np.uint16)
    (tmp_path / "a.tif").write_bytes(tiff(values, photometric="miniswhite"))
    decoded = ImageFile(tmp_path / "a.tif").decode(2, False)
    assert decoded.pixels[0].tolist() == [255, 0]


def test_a_png_keeps_its_orientation_after_the_pixels(tmp_path):
    """The EXIF block may be the last one."""
    values = pixels(0, (6, 9))
    content = saved(Image.fromarray(values), "PNG", 6)
    start = content.index(b"eXIf") - 4
    length = 12 + int.from_bytes(content[start : start + 4], "big")
    block, rest = content[start : start + length], content[:start] + content[start + length :]
    end = rest.index(b"IEND") - 4
    (tmp_path / "a.png").write_bytes(rest[:end] + block + rest[end:])
    decoded = ImageFile(tmp_path / "a.png").decode(9, False)
    assert decoded.size == (6, 9)


@pytest.mark.parametrize("container", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
@pytest.mark.parametrize("orientation", [3, 6])
def test_the_size_is_that_of_the_upright_image(tmp_path, container, orientation):
    (tmp_path / "a").write_bytes(saved(Image.fromarray(pixels(0)), container, orientation))
    size = (20, 24) if orientation == 6 else (24, 20)
    about = describe_content((tmp_path / "a").read_bytes())
    assert ImageFile(tmp_path / "a").decode(8, False).size == about.size == size
    if container != "AVIF":
        # AVIF has the rotation as a property of its own.
        assert about.orientation == orientation


@pytest.mark.parametrize("exif", [b"Exif\0\0junk", b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01"])
def test_a_damaged_exif_block_is_ignored_as_viewers_do(tmp_path, exif):
    (tmp_path / "a.jpg").write_bytes(saved(Image.fromarray(pixels(0)), "JPEG", exif=exif))
    assert ImageFile(tmp_path / "a.jpg").decode(8, False).size == (24, 20)


def test_the_colour_that_stands_for_transparency_is_white(tmp_path):
    values = np.array([[10, 200], [10, 90]], dtype=np.uint8)
    Image.fromarray(values).save(tmp_path / "a.png", transparency=10)
    Image.fromarray(values.astype(np.uint16) * 257).save(tmp_path / "b.png", transparency=2570)
    for name in ("a.png", "b.png"):
        assert (load_image(tmp_path / name, 2) * 255).tolist() == [[255, 200], [255, 90]]


def test_a_description_tells_what_an_inspection_asks(tmp_path):
    Image.fromarray(pixels(0, (20, 24, 4))).save(tmp_path / "a.png", icc_profile=LINEAR_RGB)
    (tmp_path / "b.tif").write_bytes(frames("TIFF"))
    about, pages = (
        describe_content((tmp_path / "a.png").read_bytes()),
        describe_content((tmp_path / "b.tif").read_bytes()),
    )
    assert (about.container, about.mode, about.bits, about.size) == ("PNG", "RGBA", 8, (24, 20))
    assert about.has_alpha and about.has_profile and not about.lossy and about.kind == "unsigned"
    assert (pages.frames, pages.has_alpha) == (3, False)


@settings(max_examples=100, deadline=None, derandomize=True, database=None)
@given(**CASES, cut=st.floats(0, 1), value=st.integers(0, 255))
def test_a_damaged_file_is_read_or_refused(
    folder, kind, seed, side, orientation, color, cut, value
):
    """A changed byte near the header, and the file's end missing; no other error comes out."""
    content = bytearray(KINDS[kind](np.random.default_rng(seed), side, orientation).content)
    content[seed % min(len(content), 300)] = value
    path = folder / "damaged"
    path.write_bytes(content[: 1 + int(cut * len(content))])
    for read in (
        lambda: ImageFile(path).decode(8, color),
        lambda: ImageFile(path, (0, 4095)).decode(8, color),
        lambda: MaskFile(path).decode_mask(8),
        lambda: describe_content(path.read_bytes()),
        lambda: deep_values(path),
    ):
        with suppress(UnreadableImageError):
            read()


def test_a_one_bit_mask_in_which_zero_is_white_is_refused():
    """tifffile writes and reads boolean arrays so; viewers show the opposite."""
    mask = np.zeros((32, 32), bool)
    mask[4:8, 4:8] = True
    file = io.BytesIO()
    tifffile.imwrite(file, mask)
    with pytest.raises(UnreadableImageError, match="opposite ways; save it as PNG"):
        defective_pixels(file.getvalue())
    file = io.BytesIO()
    Image.fromarray(mask).save(file, "TIFF")
    assert np.array_equal(defective_pixels(file.getvalue()), mask)


def test_grey_multiplied_by_its_alpha_is_refused_by_name(tmp_path):
    grey = np.full((8, 8), 60, np.uint8)
    path = tmp_path / "premultiplied.tif"
    tifffile.imwrite(
        path,
        np.dstack([grey, grey + 100]),
        photometric="minisblack",
        planarconfig="contig",
        extrasamples=["assocalpha"],
    )
    with pytest.raises(DualadError, match=r"premultiplied\.tif: .*unassociated alpha"):
        load_image(path, 8)
