"""From the bytes of an image file to what a viewer shows, or to a reason why it is refused.

Pillow decodes the files. This module adds what Pillow leaves to its caller: EXIF orientation,
colour profiles, transparency, values of more than 8 bits, and files with several frames. A file
whose meaning is not certain raises `UnreadableImageError`; nothing is guessed.
"""

import io
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tifffile
from PIL import ExifTags, Image, ImageCms, UnidentifiedImageError
from PIL.ImageFile import ImageFile
from PIL.TiffImagePlugin import TiffImageFile

from dualad.errors import brief

Range = tuple[float, float]
"""The values that are shown as black and as white."""

_SIXTEEN_BIT_MODES = ("I;16", "I;16L", "I;16B", "I;16N")

_GREY_MODES = ("1", "L", "LA", "La")

_TRANSPOSITIONS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What turns the stored pixels upright, per EXIF orientation."""

_PNG_EXIF = (b"eXIf", b"Raw profile type exif", b"XML:com.adobe.xmp")
"""What a PNG holds if it may have an orientation."""

_MIN_IS_WHITE = 0
_REDUCED_RESOLUTION = 1
_NEW_SUBFILE_TYPE = 254
_BITS_PER_SAMPLE = 258
_PHOTOMETRIC = 262
_SAMPLE_FORMAT = 339
_YCBCR_SUBSAMPLING = 530
_PLANAR_CONFIGURATION = 284
_SEPARATE_PLANES = 2
_IMAGE_DEPTH = 32997
_SIGNED, _FLOAT = 2, 3

_PROFILE_MODES = {"GRAY": "L", "RGB ": "RGB", "CMYK": "CMYK"}

_PROFILE_TOLERANCE = 3
"""A colour profile that moves no colour by more than these levels is taken for sRGB."""


class UnreadableImageError(Exception):
    """An image or mask cannot be decoded; the message says why, without the file's name."""


@dataclass(frozen=True, slots=True)
class FileProperties:
    """What an image file says of itself, before its pixels are decoded.

    Attributes
    ----------
    container
        Pillow's name of the file format, such as `PNG`.
    mode
        Pillow's name of the pixel format, such as `RGB` or `I;16`.
    size
        Width and height in pixels, as the image is shown.
    bits
        Bits per channel in the file; 16 for formats that Pillow scales to 16 bits.
    kind
        `unsigned`, `signed` or `float`.
    orientation
        EXIF orientation, 1 to 8; 1 is upright.
    has_alpha
        Whether pixels can be transparent.
    frames
        Number of frames or pages, without thumbnails and previews.
    lossy
        Whether the compression may change pixel values.
    has_profile
        Whether a colour profile is embedded.
    """

    container: str
    mode: str
    size: tuple[int, int]
    bits: int
    kind: str
    orientation: int
    has_alpha: bool
    frames: int
    lossy: bool
    has_profile: bool

    @property
    def is_deep(self) -> bool:
        """Whether the file has grey or RGB values of 9 to 16 bits."""
        return 8 < self.bits <= 16 and (self.is_grey or self.mode in ("RGB", "RGBA"))

    @property
    def is_grey(self) -> bool:
        """Whether there is one channel of integers with more than 8 bits."""
        return self.mode in (*_SIXTEEN_BIT_MODES, "I")

    @property
    def container_range(self) -> Range:
        """Smallest and largest value that the file can hold."""
        if self.kind == "signed":
            return -(2.0 ** (self.bits - 1)), 2.0 ** (self.bits - 1) - 1
        return 0.0, 2.0**self.bits - 1


def read_bytes(path: Path) -> bytes:
    """Content of a file.

    Raises
    ------
    UnreadableImageError
        If the file is missing, unreadable or empty.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UnreadableImageError(f"cannot be read ({error.strerror or error})") from error
    if not content:
        raise UnreadableImageError("the file is empty")
    return content


def describe_content(content: bytes) -> FileProperties:
    """Describe an image file, also one that `decode_picture` would refuse; decodes no pixels.

    Parameters
    ----------
    content
        The bytes of the file.

    Raises
    ------
    UnreadableImageError
        If the file is damaged, or in a format that Pillow does not know.
    """
    with _open(content) as image:
        return _describe(image, content)


def decode_picture(
    content: bytes, color: bool, value_range: Range | None = None, side: int | None = None
) -> tuple[Image.Image, tuple[int, int]]:
    """Decode an image to 8 bits as a viewer shows it.

    The image is turned upright, its colours are converted to sRGB where an embedded profile tells
    that they are others, and transparency is laid on white.

    Parameters
    ----------
    content
        The file.
    color
        Whether the result is RGB instead of grey (ITU-R BT.601 luma).
    value_range
        Values that become black and white in files of more than 8 bits; values outside are
        clipped. Without it, all values that the file could hold are shown. It does not concern
        files of 8 bits.
    side
        A JPEG may be decoded at 1/2, 1/4 or 1/8 of its size, as long as neither side becomes
        smaller than this.

    Returns
    -------
    image : PIL.Image.Image
        Mode `RGB` or `L`.
    size : tuple of int
        Width and height of the upright image in pixels, before any reduction.

    Raises
    ------
    UnreadableImageError
        If the file is damaged, or its meaning is not certain.
    """
    image, about = _opened(content)
    mode = "RGB" if color else "L"
    # A draft changes the mode, which the profile is about.
    to_srgb = _profile_transform(image, about)
    if side is not None:
        image.draft("RGB" if color or to_srgb else "L", (side, side))
    if about.is_deep and (value_range or about.is_grey):
        low, high = value_range or _default_range(about)
        values, alpha = _deep_values(image, content, about)
        scaled = np.clip((values - low) * (255 / (high - low)), 0, 255)
        shown = Image.fromarray(np.round(scaled).astype(np.uint8))
        # Values that are stretched are measurements, not the colours that a profile is about.
        shown = shown if value_range else _converted(shown, to_srgb)
    else:
        shown, alpha = _shown(image, to_srgb)
    if alpha is not None:
        white = Image.new("RGB", shown.size, "white")
        shown = Image.composite(shown.convert("RGB"), white, alpha)
    with _decoding():
        return _upright(shown.convert(mode), about), about.size


def decode_mask_values(
    content: bytes,
) -> tuple[npt.NDArray[Any], npt.NDArray[np.uint8] | None, FileProperties]:
    """Decode a mask to one value per pixel.

    Parameters
    ----------
    content
        The file.

    Returns
    -------
    values : numpy.ndarray
        (H, W), not negative: the value, or the largest of the three colours, of each pixel.
        Zero is black.
    alpha : numpy.ndarray or None
        uint8, (H, W): the opacity; None if all pixels are opaque.
    properties : FileProperties
        What the file says of itself.

    Raises
    ------
    UnreadableImageError
        If the file is damaged, or its meaning is not certain.
    """
    image, about = _opened(content, ranges=False)
    if about.bits == 1 and _is_white_zero(image):
        # tifffile writes boolean arrays so, and reads them back as they were; viewers show the
        # opposite.
        raise UnreadableImageError(
            "a mask of 1 bit in which 0 is white, which programs read in opposite ways; save it "
            "as PNG, or as 8-bit grey with a black background"
        )
    opacity: Image.Image | None = None
    if about.is_deep:
        values, opacity = _deep_values(image, content, about)
    elif image.mode in ("I", "F"):
        with _decoding():
            values = np.asarray(image)
    else:
        if image.mode == "P" and not about.has_alpha:
            _refuse_ambiguous_palette(image)
        shown, opacity = _shown(image, None)
        values = np.asarray(shown.convert("RGB"))
    if values.ndim == 3:
        values = values.max(axis=2)
    if not np.isfinite(values).all() or values.min() < 0:
        raise UnreadableImageError(
            "a mask with negative values, or values that are no numbers; save it as 8-bit grey "
            "with a black background"
        )
    alpha = None if opacity is None else _upright_array(np.asarray(opacity), about)
    return _upright_array(values, about), alpha, about


def deep_values(path: Path) -> tuple[npt.NDArray[np.int32], Range] | None:
    """Decode the values of an image with more than 8 bits.

    Parameters
    ----------
    path
        An image file. Of one that can have no more than 8 bits, only the first bytes are read.

    Returns
    -------
    values : numpy.ndarray
        int32, (H, W) or (H, W, 3), as stored: not turned upright, transparent pixels included.
    container : tuple of float
        Smallest and largest value that the file can hold.

    None for an image of at most 8 bits.

    Raises
    ------
    UnreadableImageError
        As for `decode_picture`.
    """
    try:
        with path.open("rb") as file:
            head = file.read(32)
    except OSError:
        head = b""
    if _is_surely_shallow(head):
        return None
    content = read_bytes(path)
    image, about = _opened(content)
    if not about.is_deep:
        return None
    values, _ = _deep_values(image, content, about)
    return values, about.container_range


def _is_surely_shallow(head: bytes) -> bool:
    """Whether the first bytes of a file tell that no channel has more than 8 bits."""
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return len(head) > 24 and head[24] <= 8
    return head.startswith((b"\xff\xd8", b"GIF8", b"BM", b"RIFF"))


@contextmanager
def _decoding() -> Iterator[None]:
    """Turn whatever a decoder raises into one error, and keep its warnings to itself."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except UnreadableImageError:
        raise
    except Exception as error:
        raise UnreadableImageError(f"truncated or damaged ({brief(error)})") from error


def _open(content: bytes) -> ImageFile:
    try:
        return Image.open(io.BytesIO(content))
    except UnidentifiedImageError as error:
        raise UnreadableImageError(_unidentified(content)) from error
    except Image.DecompressionBombError as error:
        raise UnreadableImageError(f"too large to decode ({brief(error)})") from error
    except Exception as error:
        # A damaged header makes Pillow's plugins raise anything from struct.error to KeyError.
        raise UnreadableImageError(f"damaged header ({brief(error)})") from error


def _opened(content: bytes, ranges: bool = True) -> tuple[ImageFile, FileProperties]:
    """Open an image that can be read right, or raise `UnreadableImageError`; see `_refuse`."""
    image = _open(content)
    about = _describe(image, content)
    _refuse(image, about, ranges)
    return image, about


def _unidentified(content: bytes) -> str:
    """Say what a file is that Pillow does not open."""
    if content.startswith((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")):
        try:
            with tifffile.TiffFile(io.BytesIO(content)) as file:
                page = file.pages.first
                name = getattr(page.photometric, "name", page.photometric)
                return (
                    f"a TIFF of {page.dtype} {page.shape} with photometric interpretation {name} "
                    "is not supported; convert it to 8- or 16-bit grey or RGB"
                )
        except Exception:
            return "not an image, or a damaged TIFF"
    return "not an image, or an unknown format"


def _describe(image: ImageFile, content: bytes) -> FileProperties:
    with _decoding():
        bits, kind = _depth(image, content)
        orientation = _orientation(image, content)
        size = image.size
        # Pillow swaps the size of a TIFF by itself.
        if orientation >= 5 and image.format != "TIFF":
            size = (size[1], size[0])
        return FileProperties(
            container=image.format or "",
            mode=image.mode,
            size=size,
            bits=bits,
            kind=kind,
            orientation=orientation,
            has_alpha=image.has_transparency_data,
            frames=_frames(image),
            lossy=_is_lossy(image, content),
            has_profile=bool(image.info.get("icc_profile")),
        )


def _depth(image: Image.Image, content: bytes) -> tuple[int, str]:
    """Bits per channel, and whether values are unsigned, signed or float."""
    if isinstance(image, TiffImageFile):
        formats = image.tag_v2.get(_SAMPLE_FORMAT, (1,))
        kinds = {_SIGNED: "signed", _FLOAT: "float"}
        return max(image.tag_v2.get(_BITS_PER_SAMPLE, (1,))), kinds.get(max(formats), "unsigned")
    if image.format == "PNG":
        return content[24], "unsigned"
    # Pillow scales a PGM by its declared maximum to 16 bits, and a JPEG 2000 by its precision.
    if image.mode in _SIXTEEN_BIT_MODES or (image.mode == "I" and image.format == "PPM"):
        return 16, "unsigned"
    if image.mode in ("I", "F"):
        return 32, "float" if image.mode == "F" else "signed"
    return 1 if image.mode == "1" else 8, "unsigned"


def _orientation(image: ImageFile, content: bytes) -> int:
    if isinstance(image, TiffImageFile):
        orientation = image.tag_v2.get(ExifTags.Base.Orientation, 1)
    else:
        if image.format == "PNG":
            if not any(marker in content for marker in _PNG_EXIF):
                return 1
            # The block may follow the pixels, so Pillow decodes them to find it.
            image = Image.open(io.BytesIO(content))
        try:
            orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
        except Exception:
            # Viewers show an image with a damaged EXIF block as it is stored; damaged pixels are
            # reported when they are wanted.
            return 1
    return orientation if orientation in _TRANSPOSITIONS else 1


def _frames(image: Image.Image) -> int:
    """Number of frames or pages; smaller versions of the first one do not count."""
    if image.format == "PSD":
        # Layers; the image itself is what they make together.
        return 1
    count = int(getattr(image, "n_frames", 1))
    if count == 1 or image.format not in ("TIFF", "MPO"):
        return count
    first = image.size
    frames = 1
    for index in range(1, count):
        image.seek(index)
        if isinstance(image, TiffImageFile):
            frames += not image.tag_v2.get(_NEW_SUBFILE_TYPE, 0) & _REDUCED_RESOLUTION
        else:
            # A camera adds previews and gain maps to a JPEG; the views of a stereo camera and
            # of a panorama have the size of the first.
            frames += image.size == first
    image.seek(0)
    return frames


def _is_lossy(image: Image.Image, content: bytes) -> bool:
    if image.format == "WEBP":
        return b"VP8L" not in content[:64] and b"VP8 " in content
    return image.format in ("JPEG", "MPO", "AVIF", "JPEG2000") or (
        image.info.get("compression") in ("jpeg", "tiff_jpeg", "webp")
    )


def _refuse(image: Image.Image, about: FileProperties, ranges: bool) -> None:
    """Raise `UnreadableImageError` for what cannot be read right.

    With `ranges`, that includes values whose black and white are not known.
    """
    if about.frames > 1:
        raise UnreadableImageError(
            f"it holds {about.frames} frames or pages, and only single images are read; save each "
            "of them as a file of its own"
        )
    if ranges and (about.bits > 16 or (about.mode in ("I", "F") and not about.is_deep)):
        raise UnreadableImageError(
            f"{about.bits}-bit pixels (mode {about.mode}) have no known range; convert to 8 or 16 "
            "bits"
        )
    if about.kind == "signed" and about.bits <= 8:
        raise UnreadableImageError("signed 8-bit pixels are not read; convert to unsigned 8 bits")
    if about.mode == "La":
        raise UnreadableImageError(
            "grey that is multiplied by its alpha is not read; save it with unassociated alpha"
        )
    if about.is_deep and isinstance(image.info.get("transparency"), tuple):
        raise UnreadableImageError(
            "a 16-bit colour that stands for transparency is not read; save with an alpha channel"
        )
    if isinstance(image, TiffImageFile):
        _refuse_tiff(image, about)


def _refuse_tiff(image: TiffImageFile, about: FileProperties) -> None:
    tags = image.tag_v2
    if tags.get(_IMAGE_DEPTH, 1) > 1:
        raise UnreadableImageError(
            f"it holds a volume of {tags[_IMAGE_DEPTH]} slices; save each as a file of its own"
        )
    planes = tags.get(_PLANAR_CONFIGURATION) == _SEPARATE_PLANES
    if planes and about.bits > 8 and not about.is_grey:
        # Pillow takes such planes for 8 bits.
        raise UnreadableImageError(
            "colours of more than 8 bits in separate planes are not read; save the channels of "
            "each pixel together"
        )
    subsampled = tuple(tags.get(_YCBCR_SUBSAMPLING, (2, 2))) != (1, 1)
    if about.mode == "YCbCr" and subsampled and not about.lossy:
        raise UnreadableImageError(
            "uncompressed YCbCr with subsampled colours is not read; convert it to RGB"
        )


def _default_range(about: FileProperties) -> Range:
    """The range of an image without a recorded one: what its file can hold."""
    if about.kind == "signed":
        raise UnreadableImageError(
            "signed 16-bit pixels have no known range, as no training image has more than 8 bits; "
            "convert to unsigned 16 bits"
        )
    return about.container_range


def _shown(
    image: Image.Image, to_srgb: ImageCms.ImageCmsTransform | None
) -> tuple[Image.Image, Image.Image | None]:
    """Pixels of at most 8 bits in sRGB or grey, and their opacity if some are transparent."""
    with _decoding():
        image.load()
        alpha = _opacity(image)
        if alpha is not None:
            image = image.convert("L" if image.mode in _GREY_MODES else "RGB")
        elif image.mode == "LAB":
            image = image.convert("RGB")
        return _converted(image, to_srgb), alpha


def _opacity(image: Image.Image) -> Image.Image | None:
    """Alpha channel of an image of at most 8 bits; None if all pixels are opaque."""
    if not image.has_transparency_data:
        return None
    alpha = image.convert("RGBA").getchannel("A")
    return None if alpha.getextrema() == (255, 255) else alpha


def _is_white_zero(image: Image.Image) -> bool:
    """Whether it is a TIFF in which 0 is white."""
    return isinstance(image, TiffImageFile) and (image.tag_v2.get(_PHOTOMETRIC) == _MIN_IS_WHITE)


def _deep_values(
    image: ImageFile, content: bytes, about: FileProperties
) -> tuple[npt.NDArray[np.int32], Image.Image | None]:
    """Values of more than 8 bits, (H, W) or (H, W, 3), and the opacity if some are transparent."""
    if not about.is_grey:
        return _deep_colors(image, content)
    with _decoding():
        values = np.asarray(image).astype(np.int32)
    if _is_white_zero(image):
        # Pillow inverts 8 bits, but not 16.
        values = int(sum(about.container_range)) - values
    transparent = image.info.get("transparency")
    if transparent is None or not (values == transparent).any():
        return values, None
    return values, Image.fromarray(np.where(values == transparent, 0, 255).astype(np.uint8))


def _deep_colors(
    image: ImageFile, content: bytes
) -> tuple[npt.NDArray[np.int32], Image.Image | None]:
    """16-bit colours, of which Pillow has a mode for the upper halves only.

    Decoding a second time in the other byte order gives the lower halves.
    """
    alpha: Image.Image | None = None
    with _decoding():
        tiles = list(image.tile)
        raw_modes = {_raw_mode(tile) for tile in tiles}
        if any(raw_mode.startswith("RGBa") for raw_mode in raw_modes):
            raise UnreadableImageError(
                "16-bit colours that are multiplied by their alpha channel are not read; save with "
                "unassociated alpha"
            )
        again = Image.open(io.BytesIO(content))
        if raw_modes == {"LA;16B"}:
            # All four bytes of a grey pixel and its opacity as four channels.
            again.tile = [_with_raw_mode(tile, "RGBA") for tile in again.tile]
            quarters = np.asarray(again).astype(np.int32)
            values = 256 * quarters[..., 0] + quarters[..., 1]
            alpha = Image.fromarray(quarters[..., 2].astype(np.uint8))
        else:
            again.tile = [_with_raw_mode(tile, _swapped(_raw_mode(tile))) for tile in again.tile]
            upper, lower = np.asarray(image), np.asarray(again)
            values = 256 * upper[..., :3].astype(np.int32) + lower[..., :3]
            if image.mode == "RGBA":
                alpha = image.getchannel("A")
    if alpha is not None and alpha.getextrema() == (255, 255):
        alpha = None
    return values, alpha


def _raw_mode(tile: Any) -> str:
    arguments = tile.args
    return str(arguments if isinstance(arguments, str) else arguments[0])


def _with_raw_mode(tile: Any, raw_mode: str) -> Any:
    arguments = tile.args
    changed = raw_mode if isinstance(arguments, str) else (raw_mode, *arguments[1:])
    return tile._replace(args=changed)


def _swapped(raw_mode: str) -> str:
    """The raw mode of the other byte order."""
    native = "L" if sys.byteorder == "little" else "B"
    name, order = raw_mode[:-1], raw_mode[-1].replace("N", native)
    return name + {"L": "B", "B": "L"}[order]


def _converted(image: Image.Image, to_srgb: ImageCms.ImageCmsTransform | None) -> Image.Image:
    """Convert the colours of an image without alpha to sRGB, if they are others."""
    if to_srgb is None:
        return image
    with _decoding():
        known = image.mode == to_srgb.input_mode
        return to_srgb.apply(image if known else image.convert(to_srgb.input_mode))


def _profile_transform(
    image: Image.Image, about: FileProperties
) -> ImageCms.ImageCmsTransform | None:
    """Conversion to sRGB by the profile of an opened file, if it has one of its own kind."""
    transform = _transform(
        image.info.get("icc_profile"), about.is_grey or image.mode in _GREY_MODES
    )
    is_ink = transform is not None and transform.input_mode == "CMYK"
    return transform if is_ink == (image.mode == "CMYK") else None


@lru_cache(maxsize=16)
def _transform(profile: bytes | None, grey: bool) -> ImageCms.ImageCmsTransform | None:
    """Conversion to sRGB; None if there is nothing to convert.

    A profile that is damaged or of another kind than the pixels is ignored, as viewers do.
    """
    if not profile:
        return None
    try:
        source = ImageCms.getOpenProfile(io.BytesIO(profile))
        space = source.profile.xcolor_space
        if (space == "GRAY") != grey or space not in _PROFILE_MODES:
            return None
        mode = _PROFILE_MODES[space]
        transform = ImageCms.buildTransform(
            source, ImageCms.createProfile("sRGB"), mode, "RGB", ImageCms.Intent.PERCEPTUAL
        )
        if mode == "CMYK":
            return transform
        levels = np.linspace(0, 255, 16).round().astype(np.uint8)
        channels = 1 if grey else 3
        grid = np.stack(np.meshgrid(*[levels] * channels), axis=-1).reshape(1, -1, channels)
        sample = Image.fromarray(grid[..., 0] if grey else grid)
        change = np.asarray(transform.apply(sample)).astype(int) - grid
    except (ImageCms.PyCMSError, OSError, ValueError):
        return None
    return transform if np.abs(change).max() > _PROFILE_TOLERANCE else None


def _refuse_ambiguous_palette(image: Image.Image) -> None:
    """Two indices in use that are both black: colours and indices tell different masks."""
    with _decoding():
        used = np.unique(np.asarray(image))
        palette = np.asarray(image.getpalette("RGB"), dtype=np.uint8).reshape(-1, 3)
    colors = palette[used[used < len(palette)]]
    if (colors.max(axis=1) == 0).sum() > 1:
        raise UnreadableImageError(
            "an indexed mask in which several indices have the colour black; save it as 8-bit "
            "grey with a black background"
        )


def _upright(image: Image.Image, about: FileProperties) -> Image.Image:
    # Pillow turns a TIFF upright by itself.
    method = None if about.container == "TIFF" else _TRANSPOSITIONS.get(about.orientation)
    return image if method is None else image.transpose(method)


def _upright_array(array: npt.NDArray[Any], about: FileProperties) -> npt.NDArray[Any]:
    """The same for an array, (H, W), of any type."""
    if about.container == "TIFF" or about.orientation == 1:
        return array
    turned = array.T if about.orientation >= 5 else array
    # Orientations as flips along the rows and the columns of the upright image.
    if about.orientation in (3, 4, 7, 8):
        turned = turned[::-1]
    if about.orientation in (2, 3, 6, 7):
        turned = turned[:, ::-1]
    return turned
